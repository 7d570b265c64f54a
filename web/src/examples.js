// The tabs a new visitor finds. Each answers on the demo data; a tab is named after its operation. Comments are kept
// narrow: the editor shows about 55 columns.

const front = `# Posts with their latest comments and tags: at most two
# SQL statements a level, for 3 posts as for 100.
query Front {
  posts(first: 3) {
    nodes {
      title
      author {
        name
      }
      comments(first: 2) {
        totalCount
        nodes {
          body
          author {
            name
          }
        }
      }
      tags {
        nodes {
          name
        }
      }
    }
  }
}
`;

const shelf = `# Lists take a filter and an order, and offer only
# what an index serves.
query Shelf {
  products(first: 5, orderBy: PRICE_ASC, filter: { search: "milk" }) {
    totalCount
    nodes {
      name
      sku
      price {
        amount
        currencyCode
      }
      stock
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`;

const customer = `# A customer's orders, and what they add up to.
# The id is a variable, see below.
query Customer($id: ID!) {
  user(id: $id) {
    name
    orderSummary {
      count
      total {
        amount
        currencyCode
      }
      lastOrderAt
    }
    orders(first: 5) {
      nodes {
        status
        total {
          amount
          currencyCode
        }
        items {
          nodes {
            quantity
            product {
              name
            }
          }
        }
      }
    }
  }
}
`;

const nextPage = `# Walk a list: the endCursor of one answer is $after
# of the next.
query NextPage($after: String) {
  posts(first: 5, after: $after) {
    nodes {
      id
      title
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`;

const addComment = `# A mutation takes one input; userErrors say what a person
# can mend. Comments, the next tab, shows what this adds.
mutation AddComment($input: AddCommentInput!) {
  addComment(input: $input) {
    comment {
      id
      body
      createdAt
    }
    userErrors {
      field
      code
      message
    }
  }
}
`;

const comments = `# Each comment on a post, as soon as it is committed,
# whoever writes it.
subscription Comments($postId: ID!) {
  commentAdded(postId: $postId) {
    body
    createdAt
    author {
      name
    }
  }
}
`;

const json = (value) => JSON.stringify(value, null, 2);

// Base64url, unpadded, of "User:71" and "Post:1".
const user = 'VXNlcjo3MQ';
const post = 'UG9zdDox';

export const examples = [
  { query: front },
  { query: shelf },
  { query: customer, variables: json({ id: user }) },
  { query: nextPage, variables: json({ after: null }) },
  { query: addComment, variables: json({ input: { postId: post, authorId: user, body: 'Well said.' } }) },
  { query: comments, variables: json({ postId: post }) },
];
