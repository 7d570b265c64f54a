// The server under test, and what suites need of it. `run` starts it and says where it is.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import WebSocket from "ws";

export const url = process.env.SHOAL_URL;
assert.ok(url, "SHOAL_URL is not set: start the suites with tests/clients/run");
export const socketUrl = url.replace(/^http/, "ws");
/** Where graphql-sse keeps a stream of its own. */
export const streamUrl = `${url}/stream`;
export { WebSocket };

const here = fileURLToPath(new URL(".", import.meta.url));
const project = join(here, "../..");
export const read = (path) => readFileSync(join(project, path), "utf8");
export const schemaPath = join(project, "schema.graphql");

/** A new directory beside the packages, for what a suite generates and then imports. */
export function workPlace(name) {
  mkdirSync(join(here, ".work"), { recursive: true });
  return mkdtempSync(join(here, ".work", `${name}-`));
}

/** What no other suite and no earlier run has. */
export const unique = (name) => `${name} ${randomUUID()}`;

/** One request, as the specification describes it; the answer must have no errors. */
export async function ask(query, variables = {}) {
  const result = await send({ query, variables });
  assert.equal(result.errors, undefined, JSON.stringify(result.errors));
  return result.data;
}

export async function send(body, headers = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/graphql-response+json", ...headers },
    body: JSON.stringify(body),
  });
  return response.json();
}

/** Does a mutation that takes one input, and gives the named field of its payload. */
async function change(mutation, input, field, selection) {
  const name = mutation[0].toUpperCase() + mutation.slice(1);
  const query = `mutation ($input: ${name}Input!) {
    ${mutation}(input: $input) { ${field} { ${selection} } userErrors { field code message } }
  }`;
  const payload = (await ask(query, { input }))[mutation];
  assert.deepEqual(payload.userErrors, []);
  return payload[field];
}

export const newUser = () =>
  change("createUser", { name: unique("Ada"), email: `${randomUUID()}@example.com` }, "user", "id name email");

export const renameUser = (id, name) => change("updateUser", { id, name }, "user", "id name");

export async function newPost(authorId, title = unique("Post")) {
  const draft = await change("createPost", { authorId, title, body: "A text." }, "post", "id");
  return publish(draft.id);
}

export const newDraft = (authorId, title) =>
  change("createPost", { authorId, title, body: "A text." }, "post", "id title");
export const publish = (id) => change("publishPost", { id }, "post", "id title");

export const newComment = (postId, authorId, body) =>
  change("addComment", { postId, authorId, body }, "comment", "id body");

export const newProduct = () =>
  change(
    "createProduct",
    { name: unique("Kettle"), sku: randomUUID(), price: { amount: "12.50", currencyCode: "USD" }, stock: 1000 },
    "product",
    "id name stock",
  );

export const addStock = (id, delta) =>
  change("adjustStock", { id, delta, idempotencyKey: randomUUID() }, "product", "id stock");

export const newOrder = (userId, productId) =>
  change(
    "placeOrder",
    { userId, items: [{ productId, quantity: 1 }], idempotencyKey: randomUUID() },
    "order",
    "id status",
  );

export const payOrder = (id) => change("payOrder", { id, idempotencyKey: randomUUID() }, "order", "id status");

/** Does something again and again until something else has come of it. */
export async function until(done, act) {
  let isDone = false;
  const settled = done.finally(() => (isDone = true));
  settled.catch(() => {});
  while (!isDone) {
    await act();
    await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, 50))]);
  }
  return done;
}

/** What a subscription brings, to be waited for. */
export class Events {
  all = [];
  #end;
  #waiting = new Set();

  push(event) {
    this.all.push(event);
    this.#wake();
  }

  /** No more will come; with an error, whoever waits gets that. */
  end(error) {
    this.#end = { error };
    this.#wake();
  }

  get isOver() {
    return this.#end !== undefined;
  }

  /** The first event for which `test` holds, now or later. */
  async find(test) {
    for (;;) {
      const found = this.all.find(test);
      if (found !== undefined) return found;
      if (this.#end) throw this.#end.error ?? new Error(`no such event: ${JSON.stringify(this.all)}`);
      await this.#change();
    }
  }

  async over() {
    while (!this.#end) await this.#change();
    if (this.#end.error) throw this.#end.error;
  }

  #change() {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #wake() {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const resolve of waiting) resolve();
  }

  /** Nothing but an event tells a client that it is subscribed: writes until there is one, or these. */
  arm(write, ...events) {
    return until(events.length > 0 ? Promise.all(events) : this.find(() => true), write);
  }
}

/** Whatever carries `commentAdded`: each comment comes once, in order, with what it says at that time. */
export async function checkComments(subscribe) {
  const author = await newUser();
  const post = await newPost(author.id);
  const events = new Events();
  const stop = subscribe(
    `subscription Comments($postId: ID!) { commentAdded(postId: $postId) { id body author { name } } }`,
    { postId: post.id },
    events,
  );
  await events.arm(() => newComment(post.id, author.id, "arming"));
  const added = [];
  for (const body of ["first", "second", "third"]) added.push(await newComment(post.id, author.id, body));
  await events.find((event) => event.commentAdded.body === "third");
  const seen = events.all.map((event) => event.commentAdded).filter(({ body }) => body !== "arming");
  assert.deepEqual(
    seen.map(({ id, body, author }) => ({ id, body, author: author.name })),
    added.map(({ id, body }) => ({ id, body, author: author.name })),
  );
  await stop();
}
