// GraphiQL in a real browser, to which no other host exists.
//
// With SCREENSHOT=path it leaves a picture there.

import assert from "node:assert/strict";
import test from "node:test";

import puppeteer from "puppeteer-core";

import { newComment, until, url } from "../shoal.js";

const origin = new URL("/", url).href;
const USER = Buffer.from("User:71").toString("base64url");
const POST = Buffer.from("Post:1").toString("base64url");

let browser;
let page;
/** What must not happen while the page is used. */
const complaints = [];

test.before(async () => {
  browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
      // Chromium's own calls home would fail as well, and only cost time.
      "--disable-background-networking",
      "--disable-component-update",
      // Its sandbox does not work for root, nor in most containers. All it is shown is our own page.
      "--no-sandbox",
    ],
  });
  page = await browser.newPage();
  await page.setViewport({ width: 1440, height: 810 });
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`page: ${error}`));
  page.on("request", (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(origin)) complaints.push(`asks ${request.url()}`);
  });
  page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
  });
  await page.exposeFunction("complain", (text) => complaints.push(text));
  await page.evaluateOnNewDocument(() => {
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      window.complain(`policy: ${violatedDirective} ${blockedURI}`),
    );
  });
});

test.after(() => browser?.close());
test.afterEach(() => assert.deepEqual(complaints.splice(0), []));

/** Waits until an element shows all of these; Monaco writes blanks as no-break spaces. */
async function shows(selector, ...texts) {
  const text = () =>
    page.$$eval(selector, (found) => found.map((element) => element.innerText.replaceAll("\u00a0", " ")).join("\n"));
  const isShown = (selector, texts) => {
    const found = [...document.querySelectorAll(selector)].map((element) => element.innerText.replaceAll("\u00a0", " "));
    return texts.every((text) => found.join("\n").includes(text));
  };
  await page.waitForFunction(isShown, { timeout: 20_000 }, selector, texts).catch(async () => {
    assert.fail(`${selector} does not show ${JSON.stringify(texts)} but ${JSON.stringify(await text())}`);
  });
}

/** Opens the tab of an operation, and waits until that is what would be run. Examples name each other, so a name alone tells nothing. */
async function choose(kind, name) {
  const operation = `${kind} ${name}`;
  await page.locator(`.graphiql-tab-button ::-p-text(${name})`).click();
  await shows(".graphiql-query-editor", operation);
  // GraphiQL takes a moment to find out which operation there is to run: it stores the document when it does, and the
  // key that runs it knows with the next render.
  await page.waitForFunction((operation) => localStorage.getItem("graphiql:query")?.includes(operation), {}, operation);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

async function pressInEditor(...keys) {
  await page.locator(".graphiql-query-editor .view-lines").click();
  for (const key of keys.slice(0, -1)) await page.keyboard.down(key);
  await page.keyboard.press(keys.at(-1));
  for (const key of keys.slice(0, -1).reverse()) await page.keyboard.up(key);
}

const RESPONSE = ".graphiql-response";

test("it is served to who asks for a page, with a policy and assets that last", async () => {
  const assets = [];
  page.on("response", (response) => response.url().includes("/assets/") && assets.push(response));
  const response = await page.goto(origin, { waitUntil: "networkidle0" });
  assert.equal(response.status(), 200);
  assert.match(response.headers()["content-type"], /^text\/html/);
  assert.match(response.headers()["content-security-policy"], /default-src 'self'/);
  assert.equal(response.headers()["x-content-type-options"], "nosniff");
  await shows(".graphiql-tabs", "Front", "Shelf", "Customer", "NextPage", "AddComment", "Comments");
  assert.ok(assets.length > 3);
  for (const asset of assets) {
    assert.match(asset.headers()["cache-control"], /immutable/, asset.url());
    // Those that make the page; what fits in a packet is not compressed.
    if (/\/(index|monaco-editor)-/.test(asset.url())) assert.equal(asset.headers()["content-encoding"], "br", asset.url());
  }
});

test("the example runs by Ctrl+Enter", async () => {
  await pressInEditor("Control", "Enter");
  await shows(RESPONSE, '"posts"', '"title"', '"comments"');
});

test("documentation, history and explorer open, and show what they are for", async () => {
  const open = (label) => page.locator(`button[aria-label="${label}"]`).click();
  await open("Show Documentation Explorer");
  await shows(".graphiql-plugin", "Docs", "Query", "Mutation", "Subscription");
  await open("Show History");
  await shows(".graphiql-plugin", "History", "Front");
  await open("Show GraphiQL Explorer");
  await shows(".graphiql-plugin", "Explorer", "productBySku", "viewer");
  await open("Hide GraphiQL Explorer");
});

test("an example with variables runs, and so does one that changes something", async () => {
  await choose("query", "Customer");
  await pressInEditor("Control", "Enter");
  await shows(RESPONSE, '"orderSummary"', '"count"');
  await choose("mutation", "AddComment");
  await pressInEditor("Control", "Enter");
  await shows(RESPONSE, '"addComment"', '"userErrors": []');
});

test("a subscription shows what happens, until it is stopped", async () => {
  await choose("subscription", "Comments");
  await pressInEditor("Control", "Enter");
  await page.waitForSelector('button[aria-label="Stop query (Ctrl-Enter)"], .graphiql-execute-button[aria-label^="Stop"]');
  // Nothing but an event tells that it has begun.
  const shown = shows(RESPONSE, '"commentAdded"', "Seen in GraphiQL");
  await until(shown, () => newComment(POST, USER, "Seen in GraphiQL"));
  await pressInEditor("Control", "Enter");
  await page.waitForSelector('.graphiql-execute-button[aria-label^="Execute"]');
});

test("completion and validation know the schema: Monaco's workers run", async () => {
  assert.ok(page.workers().length > 0, "no worker");
  await page.locator('button[aria-label="New tab"], button[aria-label="Add tab"]').click();
  await page.locator(".graphiql-query-editor .view-lines").click();
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.type("{ produc");
  await shows(".suggest-widget", "products", "productBySku");
  await page.keyboard.press("Escape");
  await page.keyboard.type("x ");
  await page.waitForSelector(".graphiql-query-editor .squiggly-error");
});

test("its picture", { skip: !process.env.SCREENSHOT && "needs SCREENSHOT" }, async () => {
  await page.goto(origin);
  await page.evaluate(() => localStorage.clear());
  await page.goto("about:blank");
  await page.goto(origin, { waitUntil: "networkidle0" });
  await pressInEditor("Control", "Enter");
  await shows(RESPONSE, '"title"');
  await page.screenshot({ path: process.env.SCREENSHOT });
});
