// A write that Shoal did not make reaches its subscribers. On PostgreSQL only: the embedded database has one writer.

import assert from "node:assert/strict";
import test from "node:test";

import { createClient } from "graphql-ws";
import pg from "pg";

import { Events, WebSocket, ask, newUser, socketUrl, unique } from "../shoal.js";

const databaseUrl = process.env.DATABASE_URL;

test("a change by SQL reaches who subscribed", { skip: !databaseUrl && "needs DATABASE_URL" }, async (t) => {
  const user = await newUser();
  const key = Buffer.from(user.id, "base64url").toString().split(":")[1];
  const client = createClient({ url: socketUrl, webSocketImpl: WebSocket });
  t.after(() => client.dispose());
  const events = new Events();
  client.subscribe(
    { query: `subscription ($id: ID!) { userUpdated(id: $id) { name } }`, variables: { id: user.id } },
    {
      next: ({ data, errors }) => (errors ? events.end(errors) : events.push(data.userUpdated.name)),
      error: (error) => events.end(error),
      complete: () => events.end(),
    },
  );
  const database = new pg.Client(databaseUrl);
  t.after(() => database.end());
  await database.connect();
  const rename = (name) => database.query("update users set name = $1, updated_at = now() where id = $2", [name, key]);
  await events.arm(() => rename(unique("Arming")));
  const name = unique("Grace");
  await rename(name);
  await events.find((seen) => seen === name);
  const shown = await ask(`query ($id: ID!) { user(id: $id) { name } }`, { id: user.id });
  assert.equal(shown.user.name, name);
});
