//! What clients ask, and which registers they see by it.

use serde_json::{Value as Json, json};

use super::world::{Register, Value};
use crate::support::id::{global, parts};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    User(i64),
    UserName(i64),
    Post(i64),
    Tag(i64),
    Stock(i64),
    Sku(String),
    TagNamed(String),
    Products,
}

/// How many there are of each at the beginning.
pub const USERS: i64 = 24;
/// A user whom only the courier renames.
pub const COURIER: i64 = USERS + 1;
pub const POSTS: i64 = 60;
pub const TAGS: i64 = 12;
pub const PRODUCTS: i64 = 40;
/// Names that look-ups ask for; some of them are nobody's.
pub const SKUS: i64 = 56;
pub const NAMES: i64 = 18;
/// Sizes of pages: lists of fewer rows are there as a whole.
pub const WHOLE: std::ops::RangeInclusive<usize> = 90..=100;

/// The rows at the beginning. The last tags are there to be renamed.
pub fn seed() -> String {
    format!(
        "insert into users (email, name, role, active) select 'u' || i || '@example.org', 'user ' || i, 'customer', true from generate_series(1, {COURIER}) i;
        insert into posts (author_id, title, body, status, published_at)
            select 1 + i % {USERS}, 'post ' || i, 'A body.', s, case s when 'published' then now() end
            from generate_series(1, {POSTS}) i, lateral (select case when i % 4 = 0 then 'draft' else 'published' end s) t;
        insert into tags (name) select 'tag ' || i from generate_series(1, {TAGS}) i;
        insert into tags (name) select 'name ' || i from generate_series(1, {NAMES} * 2 / 3) i;
        insert into post_tags select i, 1 + (i * n) % {TAGS} from generate_series(1, {POSTS}) i, (values (1), (5)) v (n)
            on conflict do nothing;
        insert into products (sku, name, description, price_cents, currency, stock, active)
            select 'sku ' || i, 'product ' || i, '', 100, 'USD', 1000, true from generate_series(1, {PRODUCTS}) i;"
    )
}

impl Shape {
    /// Any of them: a few rows and lists far more often than the others.
    pub fn any(rng: &mut fastrand::Rng) -> Self {
        let kind = rng.u8(0..32);
        let mut of = |count: i64| 1 + (rng.f64().powi(2) * count as f64) as i64;
        match kind {
            0..7 => Self::User(of(USERS)),
            7..12 => Self::UserName(of(USERS)),
            12..18 => Self::Post(of(POSTS)),
            18..22 => Self::Tag(of(TAGS)),
            22..25 => Self::Stock(of(PRODUCTS)),
            25..28 => Self::Sku(format!("sku {}", of(SKUS))),
            28..31 => Self::TagNamed(format!("name {}", of(NAMES))),
            _ => Self::Products,
        }
    }

    /// Every one that is asked.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Products];
        all.extend((1..=USERS).flat_map(|id| [Self::User(id), Self::UserName(id)]));
        all.extend((1..=POSTS).map(Self::Post));
        all.extend((1..=TAGS).map(Self::Tag));
        all.extend((1..=PRODUCTS).map(Self::Stock));
        all.extend((1..=SKUS).map(|number| Self::Sku(format!("sku {number}"))));
        all.extend((1..=NAMES).map(|number| Self::TagNamed(format!("name {number}"))));
        all
    }

    /// The one by which a register is seen.
    pub fn of(register: &Register) -> Self {
        match register {
            Register::UserName(id) => Self::UserName(*id),
            Register::UserPosts(id) | Register::UserPostCount(id) => Self::User(*id),
            Register::PostTitle(id) | Register::PostTags(id) | Register::PostTagCount(id) => Self::Post(*id),
            Register::TagPosts(id) | Register::TagPostCount(id) => Self::Tag(*id),
            Register::Stock(id) => Self::Stock(*id),
            Register::Sku(sku) => Self::Sku(sku.clone()),
            Register::TagNamed(name) => Self::TagNamed(name.clone()),
            Register::Products | Register::ProductCount => Self::Products,
        }
    }

    /// The body of the request, with pages of so many: all of any list.
    pub fn body(&self, first: usize) -> Json {
        let (query, id) = match self {
            Self::User(id) => (
                "query User($id: ID!, $first: Int!) {
                    user(id: $id) { name posts(first: $first) { totalCount nodes { id title } } } }",
                global("User", id),
            ),
            Self::UserName(id) => ("query Name($id: ID!) { user(id: $id) { name } }", global("User", id)),
            Self::Post(id) => (
                "query Post($id: ID!, $first: Int!) {
                    post(id: $id) { title tags(first: $first) { totalCount nodes { id } } } }",
                global("Post", id),
            ),
            Self::Tag(id) => (
                "query Tag($id: ID!, $first: Int!) { tag(id: $id) { posts(first: $first) { totalCount nodes { id } } } }",
                global("Tag", id),
            ),
            Self::Stock(id) => ("query Stock($id: ID!) { product(id: $id) { stock } }", global("Product", id)),
            Self::Sku(sku) => ("query Sku($id: String!) { productBySku(sku: $id) { id stock } }", sku.clone()),
            Self::TagNamed(name) => ("query Named($id: String!) { tag(name: $id) { id } }", name.clone()),
            Self::Products => (
                "query Products($first: Int!) { products(first: $first) { totalCount nodes { id stock } } }",
                String::new(),
            ),
        };
        json!({ "query": query, "variables": { "id": id, "first": first } })
    }

    /// What an answer shows.
    pub fn seen(&self, data: &Json) -> Vec<(Register, Value)> {
        let mut seen = Vec::new();
        match self {
            Self::User(user) => {
                seen.push((Register::UserName(*user), text(&data["user"]["name"])));
                let posts = &data["user"]["posts"];
                list(posts, (Register::UserPosts(*user), Register::UserPostCount(*user)), &mut seen);
                let nodes = posts["nodes"].as_array().into_iter().flatten();
                seen.extend(nodes.map(|node| (Register::PostTitle(key(node)), text(&node["title"]))));
            }
            Self::UserName(user) => seen.push((Register::UserName(*user), text(&data["user"]["name"]))),
            Self::Post(post) => {
                seen.push((Register::PostTitle(*post), text(&data["post"]["title"])));
                let tags = &data["post"]["tags"];
                list(tags, (Register::PostTags(*post), Register::PostTagCount(*post)), &mut seen);
            }
            Self::Tag(tag) => {
                list(&data["tag"]["posts"], (Register::TagPosts(*tag), Register::TagPostCount(*tag)), &mut seen);
            }
            Self::Stock(product) => seen.push((Register::Stock(*product), text(&data["product"]["stock"]))),
            Self::Sku(sku) => {
                let product = &data["productBySku"];
                seen.push((Register::Sku(sku.clone()), found(product)));
                if !product.is_null() {
                    seen.push((Register::Stock(key(product)), text(&product["stock"])));
                }
            }
            Self::TagNamed(name) => seen.push((Register::TagNamed(name.clone()), found(&data["tag"]))),
            Self::Products => {
                let products = &data["products"];
                list(products, (Register::Products, Register::ProductCount), &mut seen);
                let nodes = products["nodes"].as_array().into_iter().flatten();
                seen.extend(nodes.map(|node| (Register::Stock(key(node)), text(&node["stock"]))));
            }
        }
        seen
    }
}

fn key(node: &Json) -> i64 {
    parts(node["id"].as_str().unwrap()).1
}

fn found(node: &Json) -> Value {
    Value::Text((!node.is_null()).then(|| key(node).to_string()))
}

fn text(value: &Json) -> Value {
    Value::Text(match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    })
}

/// A list and its count, unless there is no row that has it. Of one that has grown too long it is not known whether it is all
/// there.
fn list(list: &Json, (members, count): (Register, Register), seen: &mut Vec<(Register, Value)>) {
    if let Some(nodes) = list["nodes"].as_array() {
        if nodes.len() < *WHOLE.start() {
            seen.push((members, Value::Members(nodes.iter().map(key).collect())));
        }
        seen.push((count, Value::Count(list["totalCount"].as_u64().unwrap() as usize)));
    }
}
