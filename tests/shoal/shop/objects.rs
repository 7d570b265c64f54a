//! Everything in the model, as the graph should show it.

use serde_json::{Value, json};

use super::model::{Comment, Model, Order, Post, Product, User};

/// Asked of the primary.
pub const FRESH: &[(&str, &str)] = &[("cache-control", "no-cache")];

pub const QUERY: &str = "query($id: ID!) { node(id: $id) { __typename
    ... on User { email name role active orderSummary { count }
        posts(first: 100, filter: { status: DRAFT }) { totalCount } comments { totalCount } orders { totalCount } }
    ... on Post { title body status commentCount author { id } tags { nodes { name } }
        comments(first: 100) { nodes { id } } publishedAt }
    ... on Comment { body author { id } post { id } }
    ... on Product { sku name price { amount currencyCode } stock active unitsSold buyers { totalCount } }
    ... on Order { status total { amount currencyCode } user { id }
        items { nodes { quantity product { id } unitPrice { amount } } } } } }";

pub fn money(cents: i64, currency: &str) -> Value {
    json!({ "amount": format!("{}.{:02}", cents / 100, cents % 100), "currencyCode": currency })
}

pub fn user(user: &User) -> Value {
    json!({ "email": user.email, "name": user.name, "role": user.role, "active": user.active })
}

pub fn post(post: &Post) -> Value {
    json!({ "title": post.title, "status": post.status })
}

pub fn product(product: &Product) -> Value {
    json!({ "sku": product.sku, "name": product.name, "stock": product.stock, "active": product.active,
            "price": money(product.cents, product.currency) })
}

pub fn order(order: &Order) -> Value {
    let total = order.items.iter().map(|(_, pieces, price)| pieces * price).sum();
    json!({ "status": order.status, "total": money(total, order.currency) })
}

/// `more` in `value`.
fn with(mut value: Value, more: Value) -> Value {
    let (Value::Object(fields), Value::Object(more)) = (&mut value, more) else { panic!("not two objects") };
    fields.extend(more);
    value
}

impl Model {
    /// The id of each object that ever was, and what there is now; null if it was deleted.
    pub fn objects(&self) -> Vec<(String, Value)> {
        let mut objects = Vec::new();
        for (index, user) in self.users.iter().enumerate() {
            let drafts = self
                .posts
                .iter()
                .filter(|post| !post.deleted && post.author == index && post.status == "DRAFT")
                .count();
            let comments = self.comments().filter(|(_, comment)| comment.author == index).count();
            let orders: Vec<_> = self.orders.iter().filter(|order| order.user == index).collect();
            let kept = orders.iter().filter(|order| order.status != "CANCELLED").count();
            let more = json!({ "posts": { "totalCount": drafts }, "comments": { "totalCount": comments },
                "orders": { "totalCount": orders.len() }, "orderSummary": { "count": kept } });
            objects.push((user.id.clone(), with(self::user(user), more)));
        }
        for (index, post) in self.posts.iter().enumerate() {
            objects.push((post.id.clone(), if post.deleted { Value::Null } else { self.post(index, post) }));
        }
        for comment in &self.comments {
            let shown = json!({ "body": comment.body, "author": { "id": self.users[comment.author].id },
                "post": { "id": self.posts[comment.post].id } });
            objects.push((comment.id.clone(), if comment.deleted { Value::Null } else { shown }));
        }
        for (index, product) in self.products.iter().enumerate() {
            objects.push((product.id.clone(), with(self::product(product), self.sales(index))));
        }
        for order in &self.orders {
            let item = |(product, pieces, price): &(usize, i64, i64)| {
                json!({ "quantity": pieces, "product": { "id": self.products[*product].id },
                    "unitPrice": { "amount": money(*price, order.currency)["amount"] } })
            };
            let items: Vec<_> = order.items.iter().map(item).collect();
            let more = json!({ "user": { "id": self.users[order.user].id }, "items": { "nodes": items } });
            objects.push((order.id.clone(), with(self::order(order), more)));
        }
        objects
    }

    fn post(&self, index: usize, post: &Post) -> Value {
        let mut comments: Vec<_> = self.comments().filter(|(_, comment)| comment.post == index).collect();
        // Newest first.
        comments.reverse();
        let comments: Vec<_> = comments.iter().map(|(_, comment)| json!({ "id": comment.id })).collect();
        let mut shown = with(
            self::post(post),
            json!({ "body": post.body, "commentCount": comments.len(), "comments": { "nodes": comments },
                    "author": { "id": self.users[post.author].id } }),
        );
        if !post.was_published {
            shown["publishedAt"] = Value::Null;
        }
        if post.tags.len() < 2 {
            // Tags come in the order of their ids, which the model does not know.
            let tags: Vec<_> = post.tags.iter().map(|tag| json!({ "name": tag })).collect();
            shown["tags"] = json!({ "nodes": tags });
        }
        shown
    }

    fn sales(&self, product: usize) -> Value {
        let kept = self.orders.iter().filter(|order| order.status != "CANCELLED");
        let mut buyers: Vec<_> = Vec::new();
        let mut sold = 0;
        for order in kept {
            let pieces: i64 = order.items.iter().filter(|item| item.0 == product).map(|item| item.1).sum();
            sold += pieces;
            if pieces > 0 && !buyers.contains(&order.user) {
                buyers.push(order.user);
            }
        }
        json!({ "unitsSold": sold, "buyers": { "totalCount": buyers.len() } })
    }

    /// Those that were not deleted.
    fn comments(&self) -> impl Iterator<Item = (usize, &Comment)> {
        self.comments.iter().enumerate().filter(|(_, comment)| !comment.deleted)
    }
}
