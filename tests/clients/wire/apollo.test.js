// Apollo Client 4, as an application sets it up.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";

import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { createClient } from "graphql-ws";

import {
  Events,
  WebSocket,
  ask,
  checkComments,
  newUser,
  read,
  renameUser,
  socketUrl,
  unique,
  url,
  workPlace,
} from "../shoal.js";

// Apollo's link looks at the global one when a socket fails; Node has it from version 22 on.
globalThis.WebSocket ??= WebSocket;

const clients = [];
test.after(() => clients.forEach((client) => client.stop()));

/** A client, and the requests it has sent. */
function connect({ link = (http) => http, typePolicies } = {}) {
  const sent = [];
  const http = new HttpLink({
    uri: url,
    fetch: (target, options) => {
      sent.push({ method: options.method, url: String(target), body: options.body && JSON.parse(options.body) });
      return fetch(target, options);
    },
  });
  const client = new ApolloClient({ link: link(http), cache: new InMemoryCache({ typePolicies }) });
  clients.push(client);
  return { client, sent };
}

const USER = gql`
  query User($id: ID!) {
    user(id: $id) {
      id
      name
      email
    }
  }
`;

test("a mutation's payload updates what a query shows, without another request", async () => {
  const user = await newUser();
  const { client, sent } = connect();
  const shown = [];
  const watched = client.watchQuery({ query: USER, variables: { id: user.id } }).subscribe(({ data, dataState }) => {
    if (dataState === "complete") shown.push(data.user.name);
  });
  const { data } = await client.query({ query: USER, variables: { id: user.id } });
  assert.equal(data.user.email, user.email);
  const name = unique("Grace");
  await client.mutate({
    mutation: gql`
      mutation Rename($input: UpdateUserInput!) {
        updateUser(input: $input) {
          user {
            id
            name
          }
          userErrors {
            message
          }
        }
      }
    `,
    variables: { input: { id: user.id, name } },
  });
  const again = await client.query({ query: USER, variables: { id: user.id } });
  watched.unsubscribe();
  assert.deepEqual(again.data.user, { __typename: "User", id: user.id, name, email: user.email });
  assert.equal(shown.at(-1), name);
  assert.equal(sent.length, 2, "one query and one mutation");
});

test("relayStylePagination joins the pages that fetchMore brings", async () => {
  const { client } = connect({ typePolicies: { Query: { fields: { products: relayStylePagination(["orderBy"]) } } } });
  const query = gql`
    query Shelf($first: Int!, $after: String) {
      products(first: $first, after: $after, orderBy: ID_ASC) {
        edges {
          cursor
          node {
            id
          }
        }
        pageInfo {
          hasNextPage
          hasPreviousPage
          startCursor
          endCursor
        }
      }
    }
  `;
  const list = client.watchQuery({ query, variables: { first: 4 } });
  const shown = new Events();
  const watched = list.subscribe(({ data, dataState, error }) => {
    if (error) shown.end(error);
    else if (dataState === "complete") shown.push(data.products);
  });
  for (const rows of [4, 8]) {
    const { pageInfo } = await shown.find(({ edges }) => edges.length === rows);
    assert.ok(pageInfo.hasNextPage);
    await list.fetchMore({ variables: { after: pageInfo.endCursor } });
  }
  const products = await shown.find(({ edges }) => edges.length === 12);
  watched.unsubscribe();
  const whole = await ask(`{ products(first: 12, orderBy: ID_ASC) { edges { node { id } } } }`);
  assert.deepEqual(
    products.edges.map(({ node }) => node.id),
    whole.products.edges.map(({ node }) => node.id),
  );
});

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

for (const [useGETForHashedQueries, method] of [
  [false, "POST"],
  [true, "GET"],
]) {
  test(`a persisted query is sent by its hash alone, by ${method}`, async () => {
    // The server has not seen this document before.
    const alias = `a${randomUUID().replaceAll("-", "")}`;
    const query = gql`query Persisted { ${alias}: users(first: 1) { nodes { id } } }`;
    const persisted = () =>
      connect({ link: (http) => new PersistedQueryLink({ sha256, useGETForHashedQueries }).concat(http) });
    const first = persisted();
    const { data } = await first.client.query({ query });
    assert.equal(data[alias].nodes.length, 1);
    assert.equal(first.sent.length, 2);
    assert.equal(first.sent[0].method, method);
    assert.ok(first.sent[1].body?.query ?? new URL(first.sent[1].url).searchParams.get("query"), "then with its text");

    const second = persisted();
    assert.deepEqual((await second.client.query({ query })).data, data);
    assert.equal(second.sent.length, 1);
    assert.equal(second.sent[0].method, method);
    assert.equal(second.sent[0].body?.query, undefined);
    assert.equal(new URL(second.sent[0].url).searchParams.get("query"), null);
  });
}

test("errors have codes, and errorPolicy keeps what there is", async () => {
  const { client } = connect();
  const query = gql`
    query Half {
      users(first: 1) {
        nodes {
          id
        }
      }
      user(id: "nonsense") {
        id
      }
    }
  `;
  const { data, error } = await client.query({ query, errorPolicy: "all", fetchPolicy: "no-cache" });
  assert.ok(CombinedGraphQLErrors.is(error), String(error));
  assert.deepEqual(error.errors.map(({ path, extensions }) => [path, extensions.code]), [[["user"], "BAD_USER_INPUT"]]);
  assert.equal(data.user, null);
  assert.equal(data.users.nodes.length, 1);

  await assert.rejects(client.query({ query, fetchPolicy: "no-cache" }), (error) => {
    assert.ok(CombinedGraphQLErrors.is(error), String(error));
    return error.errors[0].extensions.code === "BAD_USER_INPUT";
  });
});

test("a document that is not valid is an error with a code, not a network error", async () => {
  const { client } = connect();
  await assert.rejects(client.query({ query: gql`query Wrong { noSuchField }` }), (error) => {
    assert.ok(CombinedGraphQLErrors.is(error), String(error));
    assert.equal(typeof error.errors[0].extensions.code, "string");
    assert.equal(error.data, undefined);
    return true;
  });
});

function collect(client, query, variables, events) {
  const subscription = client.subscribe({ query: gql(query), variables }).subscribe({
    next: ({ data, error }) => (error ? events.end(error) : events.push(data)),
    error: (error) => events.end(error),
    complete: () => events.end(),
  });
  return () => subscription.unsubscribe();
}

test("subscriptions over graphql-ws", async (t) => {
  const socket = createClient({ url: socketUrl, webSocketImpl: WebSocket });
  t.after(() => socket.dispose());
  const { client } = connect({
    link: (http) =>
      ApolloLink.split(({ operationType }) => operationType === "subscription", new GraphQLWsLink(socket), http),
  });
  await checkComments((...subscription) => collect(client, ...subscription));
});

test("subscriptions over multipart HTTP, without a socket", async () => {
  const { client } = connect();
  await checkComments((...subscription) => collect(client, ...subscription));
});

test("what a subscription brings updates what a query shows", async () => {
  const user = await newUser();
  const { client } = connect();
  await client.query({ query: USER, variables: { id: user.id } });
  const events = new Events();
  const stop = collect(
    client,
    `subscription User($id: ID!) { userUpdated(id: $id) { id name } }`,
    { id: user.id },
    events,
  );
  await events.arm(() => renameUser(user.id, unique("Arming")));
  const name = unique("Grace");
  await renameUser(user.id, name);
  await events.find(({ userUpdated }) => userUpdated.name === name);
  stop();
  assert.equal(client.readQuery({ query: USER, variables: { id: user.id } }).user.name, name);
});

test("a subscription that cannot be is an error with a code", async () => {
  const { client } = connect();
  const events = new Events();
  collect(client, `subscription Wrong { commentAdded(postId: "nonsense") { id } }`, {}, events);
  await assert.rejects(events.over(), (error) => {
    assert.ok(CombinedGraphQLErrors.is(error), String(error));
    return error.errors[0].extensions.code === "BAD_USER_INPUT";
  });
});

test("the link of docs/tokens keeps own writes", async () => {
  const place = workPlace("apollo");
  const program = join(place, "apollo.mjs");
  writeFileSync(program, read("docs/tokens/apollo.mjs"));
  const { stdout } = await promisify(execFile)(process.execPath, [program, url]);
  assert.match(stdout, /^Renamed at \d+\n$/);
  rmSync(place, { recursive: true });
});
