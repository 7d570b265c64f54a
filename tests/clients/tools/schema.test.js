// What tools read of the schema: from a running server and from schema.graphql, the same.

import assert from "node:assert/strict";
import test from "node:test";

import {
  buildClientSchema,
  buildSchema,
  getIntrospectionQuery,
  lexicographicSortSchema,
  printSchema,
  validateSchema,
} from "graphql";

import { ask, read } from "../shoal.js";

const print = (schema) => printSchema(lexicographicSortSchema(schema));

test("graphql-js's whole introspection query shows what schema.graphql says", async () => {
  const options = { specifiedByUrl: true, directiveIsRepeatable: true, inputValueDeprecation: true };
  const shown = buildClientSchema(await ask(getIntrospectionQuery(options)));
  const written = buildSchema(read("schema.graphql"));
  assert.deepEqual(validateSchema(shown), []);
  assert.deepEqual(validateSchema(written), []);
  assert.equal(print(shown), print(written));
});

test("it is also what the query of older tools shows", async () => {
  const shown = buildClientSchema(await ask(getIntrospectionQuery({ descriptions: false })));
  assert.deepEqual(validateSchema(shown), []);
});
