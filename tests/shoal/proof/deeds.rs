//! What is written: by clients through the API, and by somebody with psql.

use serde_json::{Value as Json, json};

use super::shapes::{NAMES, POSTS, PRODUCTS, SKUS, TAGS, USERS};
use super::world::{Register, Value};
use crate::support::id::{global, parts};

/// What a client does.
#[derive(Clone, Debug)]
pub enum Deed {
    Rename { user: i64, name: String },
    Retitle { post: i64, title: String },
    Write { author: i64, title: String },
    Publish { post: i64 },
    Archive { post: i64 },
    Tag { post: i64, tags: Vec<i64> },
    Delete { post: i64 },
    Restock { product: i64, key: String },
    Offer { sku: String },
}

impl Deed {
    /// Any of them. `unique` was never said before; `own` are posts that only this client knows.
    pub fn any(rng: &mut fastrand::Rng, unique: &str, own: &[i64]) -> Self {
        let user = rng.i64(1..=USERS);
        let post = rng.choice(own).copied().filter(|_| rng.bool()).unwrap_or_else(|| rng.i64(1..=POSTS));
        match rng.u8(0..20) {
            0..6 => Self::Rename { user, name: format!("name {unique}") },
            6..9 => Self::Retitle { post, title: format!("title {unique}") },
            9 | 10 => Self::Publish { post },
            11 => Self::Archive { post },
            12..15 => Self::Tag { post, tags: (0..rng.u8(0..4)).map(|_| rng.i64(1..=TAGS)).collect() },
            15 | 16 => Self::Restock { product: rng.i64(1..=PRODUCTS), key: unique.to_owned() },
            17 => Self::Offer { sku: format!("offer {unique}") },
            _ => match own {
                [.., last] if own.len() > 1 => Self::Delete { post: *last },
                _ => Self::Write { author: user, title: format!("title {unique}") },
            },
        }
    }

    pub fn body(&self) -> Json {
        let (mutation, kind, input) = match self {
            Self::Rename { user, name } => ("updateUser", "user", json!({ "id": global("User", user), "name": name })),
            Self::Retitle { post, title } => {
                ("updatePost", "post", json!({ "id": global("Post", post), "title": title }))
            }
            Self::Write { author, title } => {
                ("createPost", "post", json!({ "authorId": global("User", author), "title": title, "body": "." }))
            }
            Self::Publish { post } => ("publishPost", "post", json!({ "id": global("Post", post) })),
            Self::Archive { post } => ("archivePost", "post", json!({ "id": global("Post", post) })),
            Self::Tag { post, tags } => {
                let names: Vec<_> = tags.iter().map(|tag| format!("tag {tag}")).collect();
                ("setPostTags", "post", json!({ "id": global("Post", post), "tags": names }))
            }
            Self::Delete { post } => ("deletePost", "", json!({ "id": global("Post", post) })),
            Self::Restock { product, key } => {
                let input = json!({ "id": global("Product", product), "delta": 1, "idempotencyKey": key });
                ("adjustStock", "product", input)
            }
            Self::Offer { sku } => {
                let price = json!({ "amount": "1.00", "currencyCode": "USD" });
                ("createProduct", "product", json!({ "name": sku, "sku": sku, "price": price }))
            }
        };
        let (first, rest) = mutation.split_at(1);
        let input_type = format!("{}{rest}Input", first.to_uppercase());
        let selection = if kind.is_empty() { String::new() } else { format!("{kind} {{ id }} ") };
        let query = format!(
            "mutation Write($input: {input_type}!) {{ {mutation}(input: $input) {{ {selection}userErrors {{ code }} }} }}"
        );
        json!({ "query": query, "variables": { "input": input } })
    }

    /// What it is that only this deed has written, once it has succeeded.
    pub fn marker(&self, data: &Json) -> Option<(Register, Value)> {
        let payload = data.as_object()?.values().next()?;
        let id = |kind: &str| Some(parts(payload[kind]["id"].as_str()?).1);
        let some = |text: String| Value::Text(Some(text));
        match self {
            Self::Rename { user, name } => Some((Register::UserName(*user), some(name.clone()))),
            Self::Retitle { post, title } => Some((Register::PostTitle(*post), some(title.clone()))),
            Self::Write { title, .. } => Some((Register::PostTitle(id("post")?), some(title.clone()))),
            Self::Delete { post } => Some((Register::PostTitle(*post), Value::Text(None))),
            Self::Offer { sku } => Some((Register::Sku(sku.clone()), some(id("product")?.to_string()))),
            Self::Publish { .. } | Self::Archive { .. } | Self::Tag { .. } | Self::Restock { .. } => None,
        }
    }
}

/// What somebody does with psql. Some of it does nothing, or is refused because others were quicker.
pub fn statement(rng: &mut fastrand::Rng, unique: &str) -> String {
    let (user, post, tag) = (rng.i64(1..=USERS), rng.i64(1..=POSTS), rng.i64(1..=TAGS));
    let product = rng.i64(1..=PRODUCTS);
    match rng.u8(0..16) {
        0 | 1 => format!("update users set name = 'psql {unique}' where id = {user}"),
        2 => format!("update posts set title = 'psql {unique}' where id = {post}"),
        3..6 => format!("update posts set author_id = {user} where id = {post}"),
        6 | 7 => format!("update posts set status = 'published', published_at = now() where id = {post}"),
        8 | 9 => format!("update posts set status = 'archived' where id = {post}"),
        10 => format!("insert into post_tags values ({post}, {tag}) on conflict do nothing"),
        11 => format!("delete from post_tags where post_id = {post} and tag_id = {tag}"),
        12 | 13 => format!("update products set sku = 'sku {}' where id = {product}", rng.i64(1..=SKUS)),
        14 => format!(
            "update tags set name = 'name {}' where id = {}",
            rng.i64(1..=NAMES),
            rng.i64(TAGS + 1..=TAGS + NAMES * 2 / 3)
        ),
        // So that there are not ever more.
        _ => format!(
            "delete from products where id in (select id from products where id > {PRODUCTS} order by id desc limit 2)"
        ),
    }
}
