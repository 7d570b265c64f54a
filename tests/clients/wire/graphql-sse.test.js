// The graphql-sse client, in both modes of its protocol.

import assert from "node:assert/strict";
import test from "node:test";

import { createClient } from "graphql-sse";

import { Events, addStock, checkComments, newProduct, newUser, renameUser, streamUrl, unique, url } from "../shoal.js";

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

for (const [mode, options] of [
  ["distinct connections", { url }],
  ["a single connection", { url: streamUrl, singleConnection: true }],
]) {
  test(`${mode}: each event comes once, in order`, async (t) => {
    const client = createClient({ ...options, retryAttempts: 0 });
    t.after(() => client.dispose());
    await checkComments((...subscription) => collect(client, ...subscription));
  });

  test(`${mode}: several subscriptions, and a query among them`, async (t) => {
    const client = createClient({ ...options, retryAttempts: 0 });
    t.after(() => client.dispose());
    const user = await newUser();
    const product = await newProduct();
    const users = new Events();
    const stocks = new Events();
    const stop = collect(client, `subscription ($id: ID!) { userUpdated(id: $id) { name } }`, { id: user.id }, users);
    collect(client, `subscription ($id: ID!) { productChanged(id: $id) { stock } }`, { id: product.id }, stocks);
    await users.arm(() => renameUser(user.id, unique("Arming")));
    await stocks.arm(() => addStock(product.id, 1));
    const answers = [];
    for await (const answer of client.iterate({ query: `{ __typename }` })) answers.push(answer);
    assert.deepEqual(answers, [{ data: { __typename: "Query" } }]);
    stop();
    await users.over();
    const { stock } = await addStock(product.id, 5);
    await stocks.find(({ productChanged }) => productChanged.stock === stock);
  });

  test(`${mode}: what is not valid is an error with a code`, async (t) => {
    const client = createClient({ ...options, retryAttempts: 0 });
    t.after(() => client.dispose());
    const events = new Events();
    collect(client, `subscription { noSuchField }`, {}, events);
    await assert.rejects(events.over(), (error) => {
      // In distinct mode the refusal may be an answer of HTTP.
      const errors = Array.isArray(error) ? error : [error];
      assert.ok(errors[0].extensions?.code ?? error.response, String(error));
      return true;
    });
  });
}
