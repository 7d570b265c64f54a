//! The shop in memory.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

/// What a mutation is expected to answer.
#[derive(Clone, Debug)]
pub enum Expect {
    /// An error with this code.
    Error(&'static str),
    /// A payload with at least this in it.
    Payload(Value),
    /// What was answered before, to the letter.
    Again(Value),
}

/// A mutation and what should come of it.
pub struct Plan {
    pub name: &'static str,
    pub input: Value,
    pub selection: &'static str,
    pub expect: Expect,
    /// What it does to the model, if it is done.
    pub effect: Effect,
}

/// What a mutation does; numbers are places in the model's vectors.
#[derive(Clone, Debug)]
pub enum Effect {
    Nothing,
    AddUser(User),
    SetUser(usize, User),
    AddPost(Post),
    SetPost(usize, Post),
    DeletePost(usize),
    AddComment(Comment),
    DeleteComment(usize),
    AddProduct(Product),
    SetProduct(usize, Product),
    AddOrder(Order),
    MoveOrder(usize, &'static str),
}

#[derive(Clone, Debug, Default)]
pub struct User {
    pub id: String,
    pub email: String,
    pub name: String,
    pub role: String,
    pub active: bool,
    pub updated_at: Value,
}

#[derive(Clone, Debug, Default)]
pub struct Post {
    pub id: String,
    pub author: usize,
    pub title: String,
    pub body: String,
    pub status: &'static str,
    pub was_published: bool,
    pub tags: BTreeSet<String>,
    pub deleted: bool,
    pub updated_at: Value,
}

#[derive(Clone, Debug, Default)]
pub struct Comment {
    pub id: String,
    pub post: usize,
    pub author: usize,
    pub body: String,
    pub deleted: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Product {
    pub id: String,
    pub sku: String,
    pub name: String,
    pub cents: i64,
    pub currency: &'static str,
    pub stock: i64,
    pub active: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Order {
    pub id: String,
    pub user: usize,
    pub status: &'static str,
    pub currency: &'static str,
    /// Product, pieces, price of one.
    pub items: Vec<(usize, i64, i64)>,
}

pub struct Model {
    /// Which sequence this is, part of all names that must be unique.
    pub case: u32,
    pub users: Vec<User>,
    pub posts: Vec<Post>,
    pub comments: Vec<Comment>,
    pub products: Vec<Product>,
    pub orders: Vec<Order>,
    /// What was done under a key: input and answer.
    pub keys: HashMap<(&'static str, String), (Value, Value)>,
    /// Keys that are used once.
    pub fresh: u32,
}

impl Model {
    pub fn new(case: u32) -> Self {
        Self {
            case,
            users: Vec::new(),
            posts: Vec::new(),
            comments: Vec::new(),
            products: Vec::new(),
            orders: Vec::new(),
            keys: HashMap::new(),
            fresh: 0,
        }
    }

    /// Does what was planned, if it was done, and remembers what only the answer can tell.
    pub fn learn(&mut self, plan: Plan, payload: &Value) {
        let Expect::Payload(_) = plan.expect else { return };
        if payload["userErrors"] != json!([]) {
            return;
        }
        if let Some(key) = plan.input["idempotencyKey"].as_str() {
            self.keys.insert((plan.name, key.to_owned()), (plan.input.clone(), payload.clone()));
        }
        let id = |object: &str| payload[object]["id"].as_str().unwrap_or_default().to_owned();
        let time = |object: &str| payload[object]["updatedAt"].clone();
        match plan.effect {
            Effect::Nothing => {}
            Effect::AddUser(user) => self.users.push(User { id: id("user"), updated_at: time("user"), ..user }),
            Effect::SetUser(index, user) => self.users[index] = User { updated_at: time("user"), ..user },
            Effect::AddPost(post) => self.posts.push(Post { id: id("post"), updated_at: time("post"), ..post }),
            Effect::SetPost(index, post) => self.posts[index] = Post { updated_at: time("post"), ..post },
            Effect::DeletePost(index) => {
                self.posts[index].deleted = true;
                let gone = self.comments.iter_mut().filter(|comment| comment.post == index);
                gone.for_each(|comment| comment.deleted = true);
            }
            Effect::AddComment(comment) => self.comments.push(Comment { id: id("comment"), ..comment }),
            Effect::DeleteComment(index) => self.comments[index].deleted = true,
            Effect::AddProduct(product) => self.products.push(Product { id: id("product"), ..product }),
            Effect::SetProduct(index, product) => self.products[index] = product,
            Effect::AddOrder(order) => {
                order.items.iter().for_each(|(product, pieces, _)| self.products[*product].stock -= pieces);
                self.orders.push(Order { id: id("order"), ..order });
            }
            Effect::MoveOrder(index, status) => {
                self.orders[index].status = status;
                if status == "CANCELLED" {
                    for (product, pieces, _) in self.orders[index].items.clone() {
                        self.products[product].stock += pieces;
                    }
                }
            }
        }
    }
}
