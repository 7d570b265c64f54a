// The graphql-ws client, and its protocol, graphql-transport-ws, to the letter.

import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";

import { createClient } from "graphql-ws";

import {
  Events,
  WebSocket,
  addStock,
  checkComments,
  newDraft,
  newOrder,
  newPost,
  newProduct,
  newUser,
  payOrder,
  publish,
  renameUser,
  socketUrl,
  unique,
} from "../shoal.js";

function collect(client, query, variables, events) {
  return client.subscribe(
    { query, variables },
    {
      next: ({ data, errors }) => (errors ? events.end(errors) : events.push(data)),
      error: (error) => events.end(error),
      complete: () => events.end(),
    },
  );
}

test("the client subscribes, gets each event, and completes", async (t) => {
  const client = createClient({ url: socketUrl, webSocketImpl: WebSocket });
  t.after(() => client.dispose());
  await checkComments((...subscription) => collect(client, ...subscription));
});

test("queries, mutations and many subscriptions share a socket", async (t) => {
  let sockets = 0;
  const client = createClient({ url: socketUrl, webSocketImpl: WebSocket, lazy: true, on: { opened: () => sockets++ } });
  t.after(() => client.dispose());
  const user = await newUser();
  const product = await newProduct();
  const users = new Events();
  const stocks = new Events();
  collect(client, `subscription ($id: ID!) { userUpdated(id: $id) { name } }`, { id: user.id }, users);
  collect(client, `subscription ($id: ID!) { productChanged(id: $id) { stock } }`, { id: product.id }, stocks);
  await users.arm(() => renameUser(user.id, unique("Arming")));
  await stocks.arm(() => addStock(product.id, 1));
  const name = unique("Grace");
  for await (const { data, errors } of client.iterate({
    query: `mutation ($input: UpdateUserInput!) { updateUser(input: $input) { user { name } } }`,
    variables: { input: { id: user.id, name } },
  })) {
    assert.equal(errors, undefined);
    assert.equal(data.updateUser.user.name, name);
  }
  await users.find(({ userUpdated }) => userUpdated.name === name);
  const { stock } = await addStock(product.id, 5);
  await stocks.find(({ productChanged }) => productChanged.stock === stock);
  const answers = [];
  for await (const answer of client.iterate({ query: `{ users(first: 1) { nodes { id } } }` })) answers.push(answer);
  assert.equal(answers.length, 1);
  assert.equal(sockets, 1);
});

test("what is published, and how an order is, is heard of", async (t) => {
  const client = createClient({ url: socketUrl, webSocketImpl: WebSocket });
  t.after(() => client.dispose());
  const user = await newUser();
  const order = await newOrder(user.id, (await newProduct()).id);
  const posts = new Events();
  const orders = new Events();
  collect(client, `subscription ($id: ID!) { orderStatusChanged(orderId: $id) { id status } }`, { id: order.id }, orders);
  collect(client, `subscription { postPublished { id title } }`, undefined, posts);
  // The socket takes one after the other: whoever hears of posts hears of the order, too.
  await posts.arm(() => newPost(user.id));
  const draft = await newDraft(user.id, unique("Draft"));
  await publish(draft.id);
  const { postPublished } = await posts.find(({ postPublished }) => postPublished.id === draft.id);
  assert.equal(postPublished.title, draft.title);
  await payOrder(order.id);
  const { orderStatusChanged } = await orders.find(({ orderStatusChanged }) => orderStatusChanged.id === order.id);
  assert.equal(orderStatusChanged.status, "PAID");
});

test("a document that is not valid ends its subscription with coded errors, and nothing else", async (t) => {
  const client = createClient({ url: socketUrl, webSocketImpl: WebSocket });
  t.after(() => client.dispose());
  for (const query of [`subscription { noSuchField }`, `subscription {`]) {
    const events = new Events();
    collect(client, query, {}, events);
    await assert.rejects(events.over(), (errors) => {
      assert.ok(Array.isArray(errors), String(errors));
      assert.equal(typeof errors[0].extensions.code, "string");
      return true;
    });
  }
});

/** A socket that says what it is told to. */
class Raw extends Events {
  static async open(t) {
    const raw = new Raw();
    raw.socket = new WebSocket(socketUrl, "graphql-transport-ws");
    t.after(() => raw.socket.terminate());
    raw.socket.on("message", (text) => raw.push(JSON.parse(text)));
    await once(raw.socket, "open");
    raw.closed = once(raw.socket, "close").then(([code, reason]) => {
      raw.end();
      return { code, reason: String(reason) };
    });
    return raw;
  }

  static async ready(t) {
    const raw = await Raw.open(t);
    raw.say({ type: "connection_init" });
    await raw.find(({ type }) => type === "connection_ack");
    return raw;
  }

  say(message) {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }
}

const subscribe = (id) => ({ id, type: "subscribe", payload: { query: `subscription { postPublished { id } }` } });

test("the subprotocol is negotiated, init is acknowledged, and a ping has its pong", async (t) => {
  const raw = await Raw.open(t);
  assert.equal(raw.socket.protocol, "graphql-transport-ws");
  raw.say({ type: "connection_init", payload: {} });
  await raw.find(({ type }) => type === "connection_ack");
  raw.say({ type: "ping" });
  await raw.find(({ type }) => type === "pong");
  raw.say({ type: "pong" });
  raw.say({ id: "q", type: "subscribe", payload: { query: `{ __typename }` } });
  await raw.find(({ type, id }) => type === "complete" && id === "q");
  assert.deepEqual(raw.all.find(({ type }) => type === "next"), {
    id: "q",
    type: "next",
    payload: { data: { __typename: "Query" } },
  });
  raw.socket.close(1000);
  assert.equal((await raw.closed).code, 1000);
});

test("a completed subscription brings no more, and its id is free again", async (t) => {
  const raw = await Raw.ready(t);
  const user = await newUser();
  const payload = { query: `subscription ($id: ID!) { userUpdated(id: $id) { name } }`, variables: { id: user.id } };
  for (const id of ["again", "other"]) raw.say({ id, type: "subscribe", payload });
  const arrived = (of, name) =>
    raw.find(({ type, id, payload }) => type === "next" && id === of && (!name || payload.data.userUpdated.name === name));
  await raw.arm(() => renameUser(user.id, unique("Arming")), arrived("again"), arrived("other"));
  raw.say({ id: "again", type: "complete" });
  // Messages are taken in order: once this is answered, that is done.
  raw.say({ id: "q", type: "subscribe", payload: { query: `{ __typename }` } });
  await raw.find(({ type, id }) => type === "complete" && id === "q");
  const name = unique("Grace");
  await renameUser(user.id, name);
  await arrived("other", name);
  const late = raw.all.filter(({ id, payload }) => id === "again" && payload?.data?.userUpdated?.name === name);
  assert.deepEqual(late, []);
  raw.say({ id: "again", type: "subscribe", payload: { query: `{ __typename }` } });
  await raw.find(({ type, id }) => type === "complete" && id === "again");
});

test("4400: what is no message of the protocol", async (t) => {
  for (const message of ["nonsense", "[]", `{"type":"nonsense"}`, `{"id":"a","type":"subscribe"}`, `{"type":"subscribe","payload":{}}`]) {
    const raw = await Raw.ready(t);
    raw.say(message);
    assert.equal((await raw.closed).code, 4400, message);
  }
});

test("4401: an operation before the acknowledgement", async (t) => {
  const raw = await Raw.open(t);
  raw.say(subscribe("a"));
  assert.deepEqual(await raw.closed, { code: 4401, reason: "Unauthorized" });
});

test("4408: no init in time", async (t) => {
  const raw = await Raw.open(t);
  assert.deepEqual(await raw.closed, { code: 4408, reason: "Connection initialisation timeout" });
});

test("4409: an id that is in use", async (t) => {
  const raw = await Raw.ready(t);
  raw.say(subscribe("a"));
  raw.say(subscribe("a"));
  assert.deepEqual(await raw.closed, { code: 4409, reason: "Subscriber for a already exists" });
});

test("4429: a second init", async (t) => {
  const raw = await Raw.ready(t);
  raw.say({ type: "connection_init" });
  assert.deepEqual(await raw.closed, { code: 4429, reason: "Too many initialisation requests" });
});
