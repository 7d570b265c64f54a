// Own writes with Apollo Client 4: a link in front of the one that sends.
//
//     npm install @apollo/client graphql rxjs
//     node apollo.mjs http://localhost:8000/graphql

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { map } from "rxjs";

let token;

const ownWrites = new ApolloLink((operation, forward) => {
  if (token) operation.setContext(({ headers }) => ({ headers: { ...headers, "shoal-token": token } }));
  return forward(operation).pipe(
    map((result) => {
      token = operation.getContext().response?.headers.get("shoal-token") ?? token;
      return result;
    }),
  );
});

const uri = process.argv[2];
const client = new ApolloClient({ link: ownWrites.concat(new HttpLink({ uri })), cache: new InMemoryCache() });

const name = `Renamed at ${Date.now()}`;
await client.mutate({
  mutation: gql`mutation ($name: String!) { updateUser(input: { id: "VXNlcjox", name: $name }) { user { id } } }`,
  variables: { name },
});
const query = gql`{ user(id: "VXNlcjox") { id name } }`;
const { data } = await client.query({ query, fetchPolicy: "network-only" });
if (!token || data.user.name !== name) throw new Error(`an old name: ${data.user.name}`);
console.log(data.user.name);
