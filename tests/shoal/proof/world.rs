//! What the database holds of what the checker looks at, after each commit; and so every value that a reader may have seen.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::log::{Change, Commit, Row};

/// Something that can be read, and has a value at any time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Register {
    /// A row.
    UserName(i64),
    Stock(i64),
    /// A row that may be gone.
    PostTitle(i64),
    /// Look-ups by unique columns, which may find nothing.
    Sku(String),
    TagNamed(String),
    /// The published posts of a user: a list, and how long it is.
    UserPosts(i64),
    UserPostCount(i64),
    /// A list through a link.
    PostTags(i64),
    PostTagCount(i64),
    /// The published posts of a tag: through a link, and by a column of the rows.
    TagPosts(i64),
    TagPostCount(i64),
    /// A list of a whole table.
    Products,
    ProductCount,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Of a column, or the key that a look-up finds; none where there is no row.
    Text(Option<String>),
    Members(BTreeSet<i64>),
    Count(usize),
}

/// The rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    users: BTreeMap<i64, String>,
    posts: BTreeMap<i64, Post>,
    tags: BTreeMap<i64, String>,
    post_tags: BTreeSet<(i64, i64)>,
    products: BTreeMap<i64, Product>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Post {
    author: i64,
    title: String,
    is_published: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Product {
    sku: String,
    stock: i64,
}

/// The tables that are looked at, and their columns.
pub const TABLES: [(&str, &[&str]); 5] = [
    ("users", &["id", "name"]),
    ("posts", &["id", "author_id", "title", "status"]),
    ("tags", &["id", "name"]),
    ("post_tags", &["post_id", "tag_id"]),
    ("products", &["id", "sku", "stock"]),
];

impl Register {
    /// The list whose length it is.
    pub fn counted(&self) -> Option<Self> {
        match self {
            Self::UserPostCount(id) => Some(Self::UserPosts(*id)),
            Self::PostTagCount(id) => Some(Self::PostTags(*id)),
            Self::TagPostCount(id) => Some(Self::TagPosts(*id)),
            Self::ProductCount => Some(Self::Products),
            _ => None,
        }
    }

    /// What it holds of rows that there are not.
    pub fn nothing(&self) -> Value {
        match self {
            Self::UserName(_) | Self::Stock(_) | Self::PostTitle(_) | Self::Sku(_) | Self::TagNamed(_) => {
                Value::Text(None)
            }
            Self::UserPosts(_) | Self::PostTags(_) | Self::TagPosts(_) | Self::Products => {
                Value::Members(BTreeSet::new())
            }
            Self::UserPostCount(_) | Self::PostTagCount(_) | Self::TagPostCount(_) | Self::ProductCount => {
                Value::Count(0)
            }
        }
    }
}

impl World {
    pub fn apply(&mut self, commit: &Commit) {
        for change in &commit.changes {
            match change {
                Change::Row { table, old, new } => {
                    old.iter().for_each(|row| self.remove(table, row));
                    new.iter().for_each(|row| self.put(table, row));
                }
                Change::Truncated { table } => self.truncate(table),
                // What the checker says of a statement of its own that leaves no rows in the log.
                Change::Said(text) if text == REWRITTEN => {
                    self.products.values_mut().for_each(|product| product.stock += 1);
                }
                Change::Said(_) => {}
            }
        }
    }

    pub fn put(&mut self, table: &str, row: &Row) {
        match table {
            "users" => drop(self.users.insert(id(row, "id"), text(row, "name"))),
            "posts" => {
                let is_published = text(row, "status") == "published";
                let post = Post { author: id(row, "author_id"), title: text(row, "title"), is_published };
                self.posts.insert(id(row, "id"), post);
            }
            "tags" => drop(self.tags.insert(id(row, "id"), text(row, "name"))),
            "post_tags" => drop(self.post_tags.insert((id(row, "post_id"), id(row, "tag_id")))),
            "products" => {
                let product = Product { sku: text(row, "sku"), stock: id(row, "stock") };
                self.products.insert(id(row, "id"), product);
            }
            other => panic!("nobody looks at {other}"),
        }
    }

    fn remove(&mut self, table: &str, row: &Row) {
        match table {
            "users" => drop(self.users.remove(&id(row, "id"))),
            "posts" => drop(self.posts.remove(&id(row, "id"))),
            "tags" => drop(self.tags.remove(&id(row, "id"))),
            "post_tags" => drop(self.post_tags.remove(&(id(row, "post_id"), id(row, "tag_id")))),
            "products" => drop(self.products.remove(&id(row, "id"))),
            other => panic!("nobody looks at {other}"),
        }
    }

    fn truncate(&mut self, table: &str) {
        assert_eq!(table, "post_tags", "nothing else is truncated");
        self.post_tags.clear();
    }

    /// Every register that holds something.
    pub fn registers(&self) -> BTreeMap<Register, Value> {
        let mut all = BTreeMap::new();
        let mut set = |register, value| drop(all.insert(register, value));
        let some = |text: &String| Value::Text(Some(text.clone()));
        for (id, name) in &self.users {
            set(Register::UserName(*id), some(name));
        }
        let (mut of_users, mut of_tags) = (BTreeMap::new(), BTreeMap::new());
        let mut of_posts = BTreeMap::<i64, BTreeSet<i64>>::new();
        for (id, post) in &self.posts {
            set(Register::PostTitle(*id), some(&post.title));
            if post.is_published {
                of_users.entry(post.author).or_insert_with(BTreeSet::new).insert(*id);
            }
        }
        for (post, tag) in &self.post_tags {
            of_posts.entry(*post).or_default().insert(*tag);
            if self.posts.get(post).is_some_and(|post| post.is_published) {
                of_tags.entry(*tag).or_insert_with(BTreeSet::new).insert(*post);
            }
        }
        for (id, name) in &self.tags {
            set(Register::TagNamed(name.clone()), Value::Text(Some(id.to_string())));
        }
        for (id, product) in &self.products {
            set(Register::Stock(*id), Value::Text(Some(product.stock.to_string())));
            set(Register::Sku(product.sku.clone()), Value::Text(Some(id.to_string())));
        }
        type Of = fn(i64) -> Register;
        let lists: [(_, Of, Of); 3] = [
            (of_users, Register::UserPosts, Register::UserPostCount),
            (of_posts, Register::PostTags, Register::PostTagCount),
            (of_tags, Register::TagPosts, Register::TagPostCount),
        ];
        for (list, members, count) in lists {
            for (id, of) in list {
                set(count(id), Value::Count(of.len()));
                set(members(id), Value::Members(of));
            }
        }
        set(Register::ProductCount, Value::Count(self.products.len()));
        set(Register::Products, Value::Members(self.products.keys().copied().collect()));
        all
    }
}

/// What a transaction says in the log that rewrites the products: it adds one to each stock, and no row of that is told.
pub const REWRITTEN: &str = "every stock is one more";

fn text(row: &Row, column: &str) -> String {
    row.get(column).cloned().flatten().unwrap_or_else(|| panic!("no {column} in {row:?}"))
}

fn id(row: &Row, column: &str) -> i64 {
    text(row, column).parse().unwrap()
}
