//! The kinds of request: what they ask of the graph, the statement that answers the same, and their mixes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// One operation: a document, and the statement that returns the same JSON for the id in `$1`.
pub struct Operation {
    pub name: &'static str,
    pub document: &'static str,
    pub sql: &'static str,
}

/// Requests that are measured together.
pub struct Class {
    pub name: &'static str,
    pub title: &'static str,
    /// The most CPU that it may cost, as a multiple of the SQL floor's.
    pub target: f64,
    /// In the order in which they are sent, again and again.
    pub requests: Vec<Request>,
}

/// An operation for a user.
#[derive(Clone, Copy)]
pub struct Request {
    pub operation: &'static Operation,
    pub user: i64,
}

pub const OPERATIONS: [&Operation; 6] = [&POINT, &FEED, &NESTED, &ACCOUNT, &WIDE, &RENAME];

const POINT: Operation = Operation {
    name: "point",
    document: "query point($id: ID!) { user(id: $id) { id name email role active createdAt } }",
    sql: "select json_build_object('data', json_build_object('user', (
            select json_build_object('id', global_id('User', id), 'name', name, 'email', email, 'role', upper(role),
                                     'active', active, 'createdAt', shown(created_at))
            from users where id = $1)))::text",
};

const FEED: Operation = Operation {
    name: "feed",
    document: "query feed { posts(first: 50) { nodes { id title publishedAt author { id name } } } }",
    sql: "select json_build_object('data', json_build_object('posts', json_build_object('nodes', coalesce(json_agg(
            json_build_object('id', global_id('Post', p.id), 'title', p.title, 'publishedAt', shown(p.published_at),
                              'author', json_build_object('id', global_id('User', u.id), 'name', u.name))
            order by p.published_at desc, p.id desc), '[]'))))::text
          from (select id, title, published_at, author_id from posts where status = 'published'
                order by published_at desc, id desc limit 50) p
          join users u on u.id = p.author_id where $1::bigint is not null",
};

const NESTED: Operation = Operation {
    name: "nested",
    document: "query nested { posts(first: 20) { nodes { id title author { id name }
        comments(first: 5) { nodes { id body createdAt author { id name } } } } } }",
    sql: "select json_build_object('data', json_build_object('posts', json_build_object('nodes', coalesce(json_agg(
            json_build_object('id', global_id('Post', p.id), 'title', p.title,
                              'author', json_build_object('id', global_id('User', u.id), 'name', u.name),
                              'comments', json_build_object('nodes', c.nodes))
            order by p.published_at desc, p.id desc), '[]'))))::text
          from (select id, title, published_at, author_id from posts where status = 'published'
                order by published_at desc, id desc limit 20) p
          join users u on u.id = p.author_id
          cross join lateral (
            select coalesce(json_agg(json_build_object('id', global_id('Comment', c.id), 'body', c.body,
                                                       'createdAt', shown(c.created_at),
                                                       'author', json_build_object('id', global_id('User', u.id),
                                                                                   'name', u.name))
                                     order by c.created_at desc, c.id desc), '[]') as nodes
            from (select id, body, author_id, created_at from comments where post_id = p.id
                  order by created_at desc, id desc limit 5) c
            join users u on u.id = c.author_id) c
          where $1::bigint is not null",
};

const ACCOUNT: Operation = Operation {
    name: "account",
    document: "query account($id: ID!) { user(id: $id) { id name orders(first: 10) { nodes { id status createdAt
        total { amount currencyCode } items { nodes { id quantity product { id name sku } } } } } } }",
    sql: "select json_build_object('data', json_build_object('user', (
            select json_build_object('id', global_id('User', id), 'name', name,
                                     'orders', json_build_object('nodes', o.nodes)) from users
            cross join lateral (
              select coalesce(json_agg(json_build_object('id', global_id('Order', o.id), 'status', upper(o.status),
                'createdAt', shown(o.created_at),
                'total', json_build_object('amount', o.total_cents / 100 || '.' || lpad((o.total_cents % 100)::text, 2, '0'),
                                           'currencyCode', o.currency),
                'items', json_build_object('nodes', i.nodes)) order by o.created_at desc, o.id desc), '[]') as nodes
              from (select id, status, total_cents, currency, created_at from orders where user_id = $1
                    order by created_at desc, id desc limit 10) o
              cross join lateral (
                select coalesce(json_agg(json_build_object('id', global_id('OrderItem', i.id), 'quantity', i.quantity,
                  'product', json_build_object('id', global_id('Product', p.id), 'name', p.name, 'sku', p.sku))
                  order by i.id), '[]') as nodes
                from (select id, quantity, product_id from order_items where order_id = o.id order by id limit 20) i
                join products p on p.id = i.product_id) i) o
            where users.id = $1)))::text",
};

const WIDE: Operation = Operation {
    name: "wide",
    document: "query wide { posts(first: 1000) { nodes { id title publishedAt author { id name } } } }",
    sql: "select json_build_object('data', json_build_object('posts', json_build_object('nodes', coalesce(json_agg(
            json_build_object('id', global_id('Post', p.id), 'title', p.title, 'publishedAt', shown(p.published_at),
                              'author', json_build_object('id', global_id('User', u.id), 'name', u.name))
            order by p.published_at desc, p.id desc), '[]'))))::text
          from (select id, title, published_at, author_id from posts where status = 'published'
                order by published_at desc, id desc limit 1000) p
          join users u on u.id = p.author_id where $1::bigint is not null",
};

const RENAME: Operation = Operation {
    name: "rename",
    document: "mutation rename($id: ID!) { updateUser(input: { id: $id, name: \"Renamed\" }) {
        user { id name email } userErrors { message } } }",
    sql: "with renamed as (update users set name = 'Renamed', updated_at = clock_timestamp() where id = $1
            returning id, name, email)
          select json_build_object('data', json_build_object('updateUser', json_build_object(
            'user', (select json_build_object('id', global_id('User', id), 'name', name, 'email', email) from renamed),
            'userErrors', json_build_array())))::text",
};

impl Operation {
    /// The statement as it is sent: ids and times are shown as the graph shows them, by expressions in their place.
    pub fn statement(&self) -> String {
        let mut sql = self.sql.to_owned();
        while let Some((start, end)) = call(&sql, "global_id(") {
            let (kind, id) = sql[start + "global_id(".len()..end].split_once(", ").unwrap();
            let kind = kind.trim_matches('\'');
            // Letters, digits and a colon never make the two characters that base64url has in the place of others.
            let shown = format!("rtrim(encode(('{kind}:' || {id})::bytea, 'base64'), '=')");
            sql.replace_range(start..=end, &shown);
        }
        while let Some((start, end)) = call(&sql, "shown(") {
            let time = &sql[start + "shown(".len()..end];
            // Twice as quick as to_char.
            let shown = format!("replace(({time} at time zone 'UTC')::text, ' ', 'T') || 'Z'");
            sql.replace_range(start..=end, &shown);
        }
        sql
    }
}

/// Where a call stands that has no other within.
fn call(sql: &str, name: &str) -> Option<(usize, usize)> {
    let start = sql.find(name)?;
    Some((start, start + sql[start..].find(')')?))
}

/// How many requests of a mix are drawn; then they begin again.
const DRAWS: usize = 20_000;

impl Class {
    /// All, for a database with users 1 to `users`.
    pub fn all(users: i64) -> Vec<Self> {
        let one = |name, title, target, operation| {
            let requests = (1..=users.min(1000)).map(|user| Request { operation, user }).collect();
            Self { name, title, target, requests }
        };
        vec![
            one("point", "point: a user by id", 1.2, &POINT),
            one("feed", "feed: 50 newest posts, authors", 1.2, &FEED),
            one("nested", "nested: 20 posts, authors, 5 comments each, their authors", 1.2, &NESTED),
            one("account", "account: 10 newest orders, items, products", 1.5, &ACCOUNT),
            Self {
                name: "mix",
                title: "mix: Zipf(1.0) of point and account, 5 % feed",
                target: 1.5,
                requests: mix(users, 0),
            },
            Self { name: "writes", title: "the same with 5 % mutations", target: 1.5, requests: mix(users, 5) },
            one("wide", "1000 posts, authors", 1.0, &WIDE),
        ]
    }
}

/// Points and accounts, as many of each, 5 % feeds and `writes` % mutations, of users drawn by Zipf's law: the user of
/// rank n is asked for n times more rarely than the first.
fn mix(users: i64, writes: u64) -> Vec<Request> {
    let mut sums = Vec::new();
    let mut sum = 0.0;
    for rank in 1..=users {
        sum += 1.0 / rank as f64;
        sums.push(sum);
    }
    // xorshift64*: the same draws in every run. https://doi.org/10.1145/2845077
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let one = |_| {
        let place = (draw() >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        let rank = sums.partition_point(|sum| *sum < place) as i64;
        // Ranks are no ids: the popular are not those who came first, but anybody.
        let user = 1 + (rank * 7919) % users;
        let operation = match draw() % 100 {
            0..5 => &FEED,
            share if share < 5 + writes => &RENAME,
            share if share % 2 == 0 => &POINT,
            _ => &ACCOUNT,
        };
        Request { operation, user }
    };
    (0..DRAWS).map(one).collect()
}

impl Request {
    pub fn writes(self) -> bool {
        self.operation.document.starts_with("mutation")
    }

    /// The body in which it is sent.
    pub fn body(self) -> Value {
        let id = URL_SAFE_NO_PAD.encode(format!("User:{}", self.user));
        let Operation { name, document, .. } = self.operation;
        if document.contains("$id") {
            json!({ "query": document, "operationName": name, "variables": { "id": id } })
        } else {
            json!({ "query": document, "operationName": name })
        }
    }
}
