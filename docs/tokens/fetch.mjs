// Own writes with plain fetch: the token of the last write goes with every request. In a browser, on the server's own
// origin, the cookie does the same by itself.
//
//     node docs/tokens/fetch.mjs http://localhost:8000/graphql http://localhost:8001/graphql

let token;

async function graphql(url, query, variables) {
  const headers = { "content-type": "application/json", ...(token && { "shoal-token": token }) };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  token = response.headers.get("shoal-token") ?? token;
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors[0].message);
  return data;
}

// What is written through one instance is read through another.
const [here, there = here] = process.argv.slice(2);
const name = `Renamed at ${Date.now()}`;
const rename = "mutation ($name: String!) { updateUser(input: { id: \"VXNlcjox\", name: $name }) { user { name } } }";
await graphql(here, rename, { name });
const { user } = await graphql(there, "{ user(id: \"VXNlcjox\") { name } }");
if (user.name !== name) throw new Error(`an old name: ${user.name}`);
console.log(user.name);
