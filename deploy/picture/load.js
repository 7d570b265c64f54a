// Clients of two instances: they read, write, subscribe, err, and come all at once from second 215 to 235.
//
//   node load.js URL URL SECONDS
const http = require("http");
const crypto = require("crypto");

const [first, second, seconds] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const instances = [first, second];
const started = Date.now();
const now = () => (Date.now() - started) / 1000;
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const some = (most) => 1 + Math.floor(Math.random() * most);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const id = (kind, key) => Buffer.from(`${kind}:${key}`).toString("base64url");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1000 });

/** What the demo data have. */
const [USERS, POSTS, PRODUCTS] = [200, 250, 1000];

const READS = [
  () => `query Front { posts(first: ${some(20)}) { nodes { title author { name } comments(first: 3) { totalCount nodes { body } } } } }`,
  () => `query User { user(id: "${id("User", some(USERS))}") { name posts(first: 3) { nodes { title } } } }`,
  () => `query Post { post(id: "${id("Post", some(POSTS))}") { title body commentCount tags { nodes { name } } } }`,
  () => `query Products { products(first: ${some(40)}) { nodes { name stock price { amount } } } }`,
  () => `query Product { product(id: "${id("Product", some(PRODUCTS))}") { name description stock } }`,
  () => `query Orders { user(id: "${id("User", some(USERS))}") { orders(first: 5) { nodes { status items { nodes { quantity product { name } } } } } } }`,
];
const WRITES = [
  () => `mutation { adjustStock(input: { id: "${id("Product", some(PRODUCTS))}", delta: 1, idempotencyKey: "${crypto.randomUUID()}" }) { product { stock } userErrors { code } } }`,
  () => `mutation { updateUser(input: { id: "${id("User", some(USERS))}", name: "Name ${some(1000)}" }) { user { name } userErrors { code } } }`,
  () => `mutation { addComment(input: { postId: "${id("Post", some(POSTS))}", authorId: "${id("User", some(USERS))}", body: "Well said." }) { comment { id } userErrors { code } } }`,
  () => `mutation { createUser(input: { email: "${crypto.randomUUID()}@example.org", name: "New" }) { user { id } userErrors { code } } }`,
  () => `mutation { updateUser(input: { id: "${id("User", some(USERS))}", name: "" }) { user { name } userErrors { code } } }`,
];
const ERRORS = ['{ user(id: "?") { name } }', "{ nothing }", "{ post(id: ", `{ users(first: 1000) { nodes { name } } }`];

let [answers, failures] = [0, 0];

/** Asks one of the instances; what it answers. Instances may be gone for moments. */
function ask(query, { token, fresh, on } = {}) {
  const url = new URL("/graphql", on ?? pick(instances));
  const headers = { "content-type": "application/json" };
  if (token) headers["shoal-token"] = token;
  if (fresh) headers["cache-control"] = "no-cache";
  return new Promise((done) => {
    const request = http.request(url, { method: "POST", headers, agent }, (response) => {
      response.resume().on("end", () => {
        answers += 1;
        done(response);
      });
    });
    const failed = () => {
      failures += 1;
      done({ headers: {} });
    };
    request.setTimeout(10_000, () => request.destroy()).on("error", failed).end(JSON.stringify({ query }));
  });
}

/** A person: reads most of the time, writes now and then, and sees what they wrote. */
async function person() {
  let token;
  while (now() < seconds) {
    const dice = Math.random();
    if (dice < 0.12) {
      token = (await ask(pick(WRITES)(), { token })).headers["shoal-token"] ?? token;
    } else if (dice < 0.14) {
      await ask(pick(ERRORS), { token });
    } else if (dice < 0.16) {
      token = (await ask(pick(READS)(), { token: "of somebody else" })).headers["shoal-token"] ?? token;
    } else {
      await ask(pick(READS)(), { token, fresh: dice < 0.2 });
    }
    await pause(20 + Math.random() * 120);
  }
}

/** Many who want the same few things, and change them. */
async function crowd() {
  await pause(215_000 - (Date.now() - started));
  const one = async () => {
    while (now() < 235) {
      await ask(Math.random() < 0.1 ? WRITES[0]() : `{ posts(first: ${some(100)}) { nodes { title comments(first: ${some(50)}) { nodes { body author { name } } } } } }`, { fresh: true });
    }
  };
  await Promise.all(Array.from({ length: 300 }, one));
}

/** Connections that say nothing: they are cut; and once more than there may be. */
async function silent() {
  const net = require("net");
  while (now() < seconds) {
    const { hostname, port } = new URL(pick(instances));
    const count = now() > 215 && now() < 230 ? 500 : 1;
    const open = Array.from({ length: count }, () => net.connect(Number(port), hostname).on("error", () => {}));
    await pause(5000);
    open.forEach((socket) => socket.destroy());
  }
}

/** Follows events over a WebSocket; again when it ends. */
async function watcher(on) {
  while (now() < seconds) {
    await new Promise((done) => {
      const headers = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-protocol": "graphql-transport-ws", "sec-websocket-key": crypto.randomBytes(16).toString("base64") };
      const request = http.request(new URL("/graphql", on), { headers });
      request.on("error", done).on("response", done).on("upgrade", (_, socket) => {
        const send = (message) => socket.write(frame(JSON.stringify(message)));
        socket.on("data", () => {}).on("error", done).on("close", done);
        send({ type: "connection_init" });
        send({ id: "1", type: "subscribe", payload: { query: `subscription { commentAdded(postId: "${id("Post", some(5))}") { id } }` } });
        send({ id: "2", type: "subscribe", payload: { query: `subscription { productChanged(id: "${id("Product", some(PRODUCTS))}") { stock } }` } });
        setTimeout(() => socket.end(), 20_000 + Math.random() * 40_000).unref();
      });
      request.end();
    });
    await pause(500);
  }
}

/** A text of a client, masked as it has to be. */
function frame(text) {
  const [body, mask] = [Buffer.from(text), crypto.randomBytes(4)];
  const length = body.length < 126 ? Buffer.from([0x81, 0x80 | body.length]) : Buffer.from([0x81, 0xfe, body.length >> 8, body.length & 255]);
  return Buffer.concat([length, mask, body.map((byte, place) => byte ^ mask[place % 4])]);
}

const all = [...Array.from({ length: 12 }, person), crowd(), silent(), ...Array.from({ length: 6 }, (_, place) => watcher(instances[place % 2]))];
Promise.all(all).then(() => {
  console.log(`${answers} answers, ${failures} without one`);
  process.exit(0);
});
