// urql, with its document cache and with its normalised one.

import assert from "node:assert/strict";
import test from "node:test";

import { Client, cacheExchange, fetchExchange, gql, subscriptionExchange } from "@urql/core";
import { cacheExchange as graphcache } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { createClient } from "graphql-ws";

import { WebSocket, ask, checkComments, newUser, socketUrl, unique, url } from "../shoal.js";

/** A client, and the requests it has sent. */
function connect(cache, options = {}) {
  const sent = [];
  const { exchanges = [], ...others } = options;
  const client = new Client({
    url,
    exchanges: [cache, ...exchanges, fetchExchange],
    fetch: (target, init) => {
      sent.push({ method: init.method ?? "GET", url: String(target) });
      return fetch(target, init);
    },
    ...others,
  });
  return { client, sent };
}

const USER = gql`
  query User($id: ID!) {
    user(id: $id) {
      id
      name
    }
  }
`;
const RENAME = gql`
  mutation Rename($input: UpdateUserInput!) {
    updateUser(input: $input) {
      user {
        id
        name
      }
    }
  }
`;

for (const preferGetMethod of [false, true]) {
  test(`the document cache answers until a mutation touches what it holds, ${preferGetMethod ? "GET" : "POST"}`, async () => {
    const user = await newUser();
    const { client, sent } = connect(cacheExchange, { preferGetMethod });
    const first = await client.query(USER, { id: user.id });
    assert.equal(first.error, undefined);
    assert.equal(first.data.user.name, user.name);
    await client.query(USER, { id: user.id });
    assert.deepEqual(sent.map(({ method }) => method), [preferGetMethod ? "GET" : "POST"]);

    const name = unique("Grace");
    const renamed = await client.mutation(RENAME, { input: { id: user.id, name } });
    assert.equal(renamed.error, undefined);
    const again = await client.query(USER, { id: user.id }, { requestPolicy: "network-only" });
    assert.equal(again.data.user.name, name);
    assert.equal(sent[1].method, "POST", "never a mutation by GET");
    assert.equal(sent.length, 3);
  });
}

test("errors have codes, beside the data there are", async () => {
  const { client } = connect(cacheExchange);
  const { data, error } = await client.query(`query { user(id: "nonsense") { id } users(first: 1) { nodes { id } } }`, {});
  assert.equal(error.networkError, undefined);
  assert.equal(error.graphQLErrors[0].extensions.code, "BAD_USER_INPUT");
  assert.equal(data.users.nodes.length, 1);
});

test("graphcache normalises, and joins pages with relayPagination", async () => {
  const { client, sent } = connect(
    graphcache({
      keys: { Money: () => null, OrderSummary: () => null },
      resolvers: { Query: { products: relayPagination() } },
    }),
  );
  const SHELF = `query Shelf($after: String) {
    products(first: 4, after: $after, orderBy: ID_ASC) {
      edges { cursor node { id name } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`;
  const first = await client.query(SHELF, {});
  assert.equal(first.error, undefined);
  const second = await client.query(SHELF, { after: first.data.products.pageInfo.endCursor });
  const whole = await ask(`{ products(first: 8, orderBy: ID_ASC) { edges { node { id } } } }`);
  assert.deepEqual(
    second.data.products.edges.map(({ node }) => node.id),
    whole.products.edges.map(({ node }) => node.id),
  );

  const user = await newUser();
  await client.query(USER, { id: user.id });
  const name = unique("Grace");
  await client.mutation(RENAME, { input: { id: user.id, name } });
  const requests = sent.length;
  assert.equal((await client.query(USER, { id: user.id })).data.user.name, name);
  assert.equal(sent.length, requests, "answered by the cache");
});

function collect(client, query, variables, events) {
  const { unsubscribe } = client.subscription(query, variables).subscribe(({ data, error }) => {
    if (error) events.end(error);
    else events.push(data);
  });
  return unsubscribe;
}

test("subscriptions over graphql-ws", async (t) => {
  const socket = createClient({ url: socketUrl, webSocketImpl: WebSocket });
  t.after(() => socket.dispose());
  const forwardSubscription = (request) => ({
    subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? "" }, sink) }),
  });
  const { client } = connect(cacheExchange, { exchanges: [subscriptionExchange({ forwardSubscription })] });
  await checkComments((...subscription) => collect(client, ...subscription));
});

test("subscriptions by fetch, without a socket", async () => {
  const { client } = connect(cacheExchange, { fetchSubscriptions: true });
  await checkComments((...subscription) => collect(client, ...subscription));
});
