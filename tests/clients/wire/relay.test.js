// Relay: what its compiler makes of our schema, run by its runtime. Artifacts are generated anew each time.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { transformFileSync } from "@babel/core";
import { createClient } from "graphql-ws";
import relay from "relay-runtime";

import {
  Events,
  WebSocket,
  ask,
  newUser,
  newPost,
  renameUser,
  schemaPath,
  send,
  socketUrl,
  unique,
  workPlace,
} from "../shoal.js";

const {
  Environment,
  Network,
  Observable,
  RecordSource,
  Store,
  commitMutation,
  createOperationDescriptor,
  fetchQuery,
  getPaginationMetadata,
  getPaginationVariables,
  getRefetchMetadata,
  getRequest,
  getSingularSelector,
  requestSubscription,
} = relay;

const require = createRequire(import.meta.url);

const SOURCE = `
import { graphql } from "relay-runtime";

export const feed = graphql\`
  fragment operations_feed on Query
  @refetchable(queryName: "operationsFeedPageQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 4 }, cursor: { type: "String" }) {
    products(first: $count, after: $cursor, orderBy: ID_ASC) @connection(key: "operations_feed_products") {
      edges {
        node {
          id
          name
        }
      }
    }
  }
\`;
export const feedQuery = graphql\`
  query operationsFeedQuery {
    ...operations_feed
  }
\`;
export const card = graphql\`
  fragment operations_card on User @refetchable(queryName: "operationsCardRefetchQuery") {
    id
    name
    posts(first: 2) {
      nodes {
        title
      }
    }
  }
\`;
export const cardQuery = graphql\`
  query operationsCardQuery($id: ID!) {
    user(id: $id) {
      ...operations_card
    }
  }
\`;
export const rename = graphql\`
  mutation operationsRenameMutation($input: UpdateUserInput!) {
    updateUser(input: $input) {
      user {
        id
        name
      }
      userErrors {
        code
      }
    }
  }
\`;
export const renamed = graphql\`
  subscription operationsRenamedSubscription($id: ID!) {
    userUpdated(id: $id) {
      id
      name
    }
  }
\`;
`;

let place;
let operations;
let socket;

test.before(async () => {
  place = workPlace("relay");
  // The compiler reads schemas below its root only.
  copyFileSync(schemaPath, join(place, "schema.graphql"));
  writeFileSync(join(place, "package.json"), JSON.stringify({ type: "module" }));
  writeFileSync(join(place, "operations.js"), SOURCE);
  const settings = { src: ".", schema: "./schema.graphql", language: "javascript", eagerEsModules: true };
  writeFileSync(join(place, "relay.config.json"), JSON.stringify({ ...settings, customScalarTypes: { DateTime: "string" } }));
  const compiler = join(require.resolve("relay-compiler/package.json"), "../cli.js");
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [compiler, "relay.config.json"], {
    cwd: place,
    env: { ...process.env, FORCE_NO_WATCHMAN: "1" },
  });
  assert.doesNotMatch(stdout + stderr, /error/i);
  const { code } = transformFileSync(join(place, "operations.js"), {
    configFile: false,
    plugins: [["relay", { eagerEsModules: true }]],
  });
  writeFileSync(join(place, "compiled.js"), code);
  // Bundlers complete the names of artifacts; Node does not.
  for (const name of ["compiled.js", ...readdirSync(join(place, "__generated__")).map((name) => `__generated__/${name}`)]) {
    const file = join(place, name);
    writeFileSync(file, readFileSync(file, "utf8").replaceAll(/(["']\.\/[\w/]+\.graphql)(?=["'])/g, "$1.js"));
  }
  operations = await import(pathToFileURL(join(place, "compiled.js")));
  socket = createClient({ url: socketUrl, webSocketImpl: WebSocket });
});

test.after(async () => {
  await socket?.dispose();
  if (place) rmSync(place, { recursive: true });
});

function connect() {
  const sent = [];
  const request = ({ text: query, name: operationName }, variables) => {
    sent.push(operationName);
    return send({ query, operationName, variables });
  };
  const subscribe = ({ text: query, name: operationName }, variables) =>
    Observable.create((sink) => socket.subscribe({ query, operationName, variables }, sink));
  const environment = new Environment({ network: Network.create(request, subscribe), store: new Store(new RecordSource()) });
  return { environment, sent };
}

/** What a component sees: the root of a query. The data stay while the descriptor is retained. */
async function load(environment, query, variables) {
  await fetchQuery(environment, query, variables).toPromise();
  const operation = createOperationDescriptor(getRequest(query), variables);
  environment.retain(operation);
  return environment.lookup(operation.fragment).data;
}

const readFragment = (environment, fragment, reference) => environment.lookup(getSingularSelector(fragment, reference));

test("a compiled pagination fragment loads page after page into its connection", async () => {
  const { environment, sent } = connect();
  const { feed } = operations;
  const root = await load(environment, operations.feedQuery, {});
  // What usePaginationFragment does for loadNext.
  const { connectionPathInFragmentData, paginationRequest, paginationMetadata } = getPaginationMetadata(feed, "test");
  assert.deepEqual(connectionPathInFragmentData, ["products"]);
  for (const expected of [4, 7, 10]) {
    const { data } = readFragment(environment, feed, root);
    const ids = data.products.edges.map(({ node }) => node.id);
    const whole = await ask(`{ products(first: ${expected}, orderBy: ID_ASC) { nodes { id } } }`);
    assert.deepEqual(ids, whole.products.nodes.map(({ id }) => id));
    const { endCursor, hasNextPage } = data.products.pageInfo;
    assert.ok(hasNextPage);
    const variables = getPaginationVariables("forward", 3, endCursor, {}, {}, paginationMetadata);
    await fetchQuery(environment, paginationRequest, variables).toPromise();
  }
  assert.deepEqual([...new Set(sent)], ["operationsFeedQuery", "operationsFeedPageQuery"]);
});

test("a fragment is refetched through node", async () => {
  const { environment } = connect();
  const user = await newUser();
  const { card } = operations;
  const { user: reference } = await load(environment, operations.cardQuery, { id: user.id });
  assert.deepEqual(readFragment(environment, card, reference).data.posts.nodes, []);
  const name = unique("Grace");
  await renameUser(user.id, name);
  const post = await newPost(user.id);
  const { refetchableRequest, identifierInfo } = getRefetchMetadata(card, "test");
  assert.equal(identifierInfo.identifierQueryVariableName, "id");
  await fetchQuery(environment, refetchableRequest, { id: user.id }).toPromise();
  const { data } = readFragment(environment, card, reference);
  assert.deepEqual(data, { id: user.id, name, posts: { nodes: [{ title: post.title }] } });
});

test("a mutation and a subscription change what a fragment shows", async () => {
  const { environment } = connect();
  const user = await newUser();
  const { card } = operations;
  const { user: reference } = await load(environment, operations.cardQuery, { id: user.id });
  const name = unique("Grace");
  await new Promise((resolve, reject) => {
    const variables = { input: { id: user.id, name } };
    commitMutation(environment, { mutation: operations.rename, variables, onCompleted: resolve, onError: reject });
  });
  assert.equal(readFragment(environment, card, reference).data.name, name);

  const events = new Events();
  const subscription = requestSubscription(environment, {
    subscription: operations.renamed,
    variables: { id: user.id },
    onNext: (event) => events.push(event),
    onError: (error) => events.end(error),
  });
  await events.arm(() => renameUser(user.id, unique("Arming")));
  const last = unique("Hedy");
  await renameUser(user.id, last);
  await events.find(({ userUpdated }) => userUpdated.name === last);
  assert.equal(readFragment(environment, card, reference).data.name, last);
  subscription.dispose();
});
