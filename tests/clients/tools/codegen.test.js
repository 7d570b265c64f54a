// graphql-codegen: what it makes of schema.graphql and of operations compiles under `tsc --strict`.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";

import { preset } from "@graphql-codegen/client-preset";
import { codegen } from "@graphql-codegen/core";
import * as typescript from "@graphql-codegen/typescript";
import * as operations from "@graphql-codegen/typescript-operations";
import { buildSchema, parse } from "graphql";

import { read, workPlace } from "../shoal.js";

const require = createRequire(import.meta.url);
const sdl = read("schema.graphql");

const OPERATIONS = `
  query Feed($first: Int, $after: String, $filter: PostFilter) {
    posts(first: $first, after: $after, filter: $filter, orderBy: PUBLISHED_AT_DESC) {
      edges { cursor node { ...Card } }
      pageInfo { hasNextPage endCursor }
      totalCount
    }
  }
  fragment Card on Post { id title status publishedAt author { id name } comments(first: 2) { nodes { body } } }
  query Refetch($id: ID!) { node(id: $id) { __typename id ... on Order { total { amount currencyCode } } } }
  mutation Place($input: PlaceOrderInput!) {
    placeOrder(input: $input) { order { id status total { amount } } userErrors { field code message } }
  }
  subscription Comments($postId: ID!) { commentAdded(postId: $postId) { id body } }
`;

// Uses what is generated as an application would; types that are too loose fail as well.
const USE = `
import type { ResultOf, VariablesOf } from "@graphql-typed-document-node/core";
import { CommentsDocument, FeedDocument, PlaceDocument, RefetchDocument } from "./client/graphql.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <T extends true>(value: T): T => value;

type Node = ResultOf<typeof RefetchDocument>["node"];
export const money = (node: Node): string | undefined => (node?.__typename === "Order" ? node.total.amount : undefined);
type Feed = ResultOf<typeof FeedDocument>;
holds<Same<NonNullable<Feed["posts"]["pageInfo"]["endCursor"]>, string>>(true);
holds<null extends Feed["posts"]["pageInfo"]["endCursor"] ? true : false>(true);
holds<Same<Feed["posts"]["totalCount"], number>>(true);
export const comment = (event: ResultOf<typeof CommentsDocument>): string => event.commentAdded.body;
export const input: VariablesOf<typeof PlaceDocument> = {
  input: { idempotencyKey: "7d3c", items: [{ productId: "UHJvZHVjdDox", quantity: 1 }] },
};
// @ts-expect-error: the key must be given
export const wrong: VariablesOf<typeof PlaceDocument> = { input: { items: [] } };
`;

test("the output of graphql-codegen compiles under tsc --strict", async (t) => {
  const place = workPlace("codegen");
  t.after(() => rmSync(place, { recursive: true }));
  const schema = parse(sdl);
  const schemaAst = buildSchema(sdl);
  const documents = [{ location: "operations.graphql", document: parse(OPERATIONS), rawSDL: OPERATIONS }];
  const config = { scalars: { DateTime: "string", _Any: "unknown" }, strictScalars: true, useTypeImports: true };
  const write = async (options) => {
    mkdirSync(dirname(options.filename), { recursive: true });
    writeFileSync(options.filename, await codegen(options));
  };

  const sections = await preset.buildGeneratesSection({
    baseOutputDir: `${join(place, "client")}/`,
    presetConfig: { fragmentMasking: false },
    schema,
    schemaAst,
    documents,
    config: { ...config, emitLegacyCommonJSImports: false },
    plugins: [],
    pluginMap: {},
    pluginContext: {},
  });
  for (const section of sections) await write(section);
  await write({
    filename: join(place, "types.ts"),
    schema,
    schemaAst,
    documents: [],
    config,
    plugins: [{ typescript: {} }],
    pluginMap: { typescript },
  });
  await write({
    filename: join(place, "operations.ts"),
    schema,
    schemaAst,
    documents,
    config,
    plugins: [{ operations: {} }],
    pluginMap: { operations },
  });
  writeFileSync(join(place, "use.ts"), USE);
  writeFileSync(join(place, "package.json"), JSON.stringify({ type: "module" }));
  writeFileSync(
    join(place, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        target: "es2022",
        module: "nodenext",
        moduleResolution: "nodenext",
        skipLibCheck: false,
        types: [],
      },
    }),
  );
  const tsc = join(require.resolve("typescript/package.json"), "../bin/tsc");
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, "-p", place]).catch((error) => error);
  assert.equal(stdout, "");
});
