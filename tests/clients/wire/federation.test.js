// A subgraph among others: composed by two compositions, and executed by Apollo's gateway.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";

import { composeServices } from "@apollo/composition";
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { composeServices as composeFreely } from "@theguild/federation-composition";
import { buildSchema, graphql, parse } from "graphql";

import { ask, newPost, newProduct, newUser, send, url } from "../shoal.js";

const POINTS = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"])
  type Query { best: [User!]! wins: WinConnection! }
  type User @key(fields: "id") { id: ID! points: Int! }
  interface Node { id: ID! }
  type Win implements Node @key(fields: "id") { id: ID! user: User! }
  type WinConnection { nodes: [Win!]! pageInfo: PageInfo! }
  type PageInfo @shareable { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
`;

/** The other subgraph, as its server would answer. */
function points(best) {
  const schema = buildSchema(`
    scalar _Any
    union _Entity = User
    type User { id: ID! points: Int! }
    type Query { best: [User!]! _entities(representations: [_Any!]!): [_Entity]! }
  `);
  const user = (id) => ({ __typename: "User", id, points: id.length });
  const rootValue = {
    best: () => best.map(user),
    _entities: ({ representations }) => representations.map(({ id }) => user(id)),
  };
  return { process: ({ request: { query, variables } }) => graphql({ schema, rootValue, source: query, variableValues: variables }) };
}

const sdl = async () => (await ask(`{ _service { sdl } }`))._service.sdl;

async function compose() {
  const subgraphs = [
    { name: "shoal", url, typeDefs: parse(await sdl()) },
    { name: "points", url: "http://points.invalid", typeDefs: parse(POINTS) },
  ];
  const { supergraphSdl, errors } = composeServices(subgraphs);
  assert.equal(errors, undefined, String(errors));
  const free = composeFreely(subgraphs);
  assert.equal(free.errors, undefined, JSON.stringify(free.errors));
  return supergraphSdl;
}

test("every type of Node is an entity by its id", async () => {
  const { __type } = await ask(`{ __type(name: "Node") { possibleTypes { name } } }`);
  const definitions = parse(await sdl()).definitions;
  for (const { name } of __type.possibleTypes) {
    const type = definitions.find((definition) => definition.name?.value === name);
    const keys = type.directives.filter((directive) => directive.name.value === "key");
    assert.deepEqual(keys.map((key) => key.arguments[0].value.value), ["id"], name);
  }
});

test("a gateway joins our entities with another subgraph's, both ways", async () => {
  const users = await Promise.all([newUser(), newUser(), newUser()]);
  const post = await newPost(users[0].id);
  const other = points(users.map(({ id }) => id));
  const requests = [];
  class Counted extends RemoteGraphQLDataSource {
    willSendRequest({ request }) {
      requests.push(request.query);
    }
  }
  const gateway = new ApolloGateway({
    supergraphSdl: await compose(),
    buildService: ({ name, url }) => (name === "points" ? other : new Counted({ url })),
    logger: { debug() {}, info() {}, warn: console.warn, error: console.error },
  });
  const { executor, schema } = await gateway.load();
  const run = (query, variables = {}) =>
    executor({
      document: parse(query),
      request: { query, variables },
      queryHash: randomUUID(),
      schema,
      context: {},
      metrics: {},
    });

  const best = await run(`{ best { points name } }`);
  assert.equal(best.errors, undefined, JSON.stringify(best.errors));
  assert.deepEqual({ ...best.data }.best.map(({ name }) => name), users.map(({ name }) => name));
  assert.equal(requests.length, 1, "all of them in one request");
  assert.match(requests[0], /_entities/);

  const author = await run(`query ($id: ID!) { post(id: $id) { title author { name points } } }`, { id: post.id });
  assert.equal(author.errors, undefined, JSON.stringify(author.errors));
  assert.equal(author.data.post.author.points, users[0].id.length);
  await gateway.stop();
});

const ENTITIES = `query ($representations: [_Any!]!) {
  _entities(representations: $representations) {
    __typename
    ... on User { name }
    ... on Product { stock }
  }
}`;

test("entities come in the order they are asked for, of any type", async () => {
  const [user, product, other] = await Promise.all([newUser(), newProduct(), newUser()]);
  const { _entities } = await ask(ENTITIES, {
    representations: [
      { __typename: "User", id: other.id },
      { __typename: "Product", id: product.id },
      { __typename: "User", id: user.id },
      { __typename: "User", id: other.id },
    ],
  });
  assert.deepEqual(_entities, [
    { __typename: "User", name: other.name },
    { __typename: "Product", stock: 1000 },
    { __typename: "User", name: user.name },
    { __typename: "User", name: other.name },
  ]);
});

test("a bad representation is null with a coded error, and the others stay", async () => {
  const user = await newUser();
  const bad = [
    { __typename: "Product", id: user.id },
    { __typename: "Nonsense", id: user.id },
    { __typename: "User", id: "nonsense" },
    { __typename: "User" },
    { id: user.id },
  ];
  for (const representation of bad) {
    const variables = { representations: [representation, { __typename: "User", id: user.id }] };
    const { data, errors } = await send({ query: ENTITIES, variables });
    assert.deepEqual(data?._entities, [null, { __typename: "User", name: user.name }], JSON.stringify({ representation, errors }));
    assert.deepEqual(errors.map(({ extensions }) => extensions.code), ["BAD_USER_INPUT"], JSON.stringify(representation));
  }
});
