//! What each step does, and what should come of it.
//!
//! An input is judged in this order: by itself, all that is wrong at once; by its key; whether what it changes exists; by
//! the state that it is based on; by the rules.

mod orders;
mod posts;
mod products;
mod users;

use serde_json::{Value, json};

use super::Step;
use super::model::{Effect, Expect, Model, Plan};
use crate::model::global;

/// A plan before its key is looked at.
pub struct Draft {
    pub name: &'static str,
    pub input: Value,
    pub selection: &'static str,
    /// What is wrong with the input by itself: `name BLANK`.
    pub wrong: Vec<String>,
    pub expect: Expect,
    pub effect: Effect,
}

impl Model {
    /// None if there is nothing yet that the step could be about.
    pub fn plan(&mut self, step: Step) -> Option<Plan> {
        let draft = match step.mutation {
            0 => self.create_user(step),
            1 => self.update_user(step)?,
            2 => self.create_post(step)?,
            3 => self.update_post(step)?,
            4 | 5 => self.move_post(step)?,
            6 => self.delete_post(step)?,
            7 => self.set_post_tags(step)?,
            8 => self.add_comment(step)?,
            9 => self.delete_comment(step)?,
            10 => self.create_product(step),
            11 => self.update_product(step)?,
            12 => self.adjust_stock(step)?,
            13..=15 => self.place_order(step)?,
            16..=21 => self.move_order(step)?,
            _ => return self.repeat(step),
        };
        Some(self.keyed(draft, step))
    }

    /// Looks at the key: whether its input is wrong, or the same was done before.
    fn keyed(&mut self, draft: Draft, step: Step) -> Plan {
        let Draft { name, mut input, selection, wrong, mut expect, mut effect } = draft;
        let must = ["adjustStock", "placeOrder", "payOrder", "cancelOrder"].contains(&name);
        let key = match step.key {
            key @ 0..2 => Some(format!("{} {key}", self.case)),
            _ if must => {
                self.fresh += 1;
                Some(format!("{} once {}", self.case, self.fresh))
            }
            _ => None,
        };
        if let Some(key) = &key {
            input["idempotencyKey"] = json!(key);
        }
        if !wrong.is_empty() {
            (expect, effect) = (refused(&wrong), Effect::Nothing);
        } else if let Some((before, answer)) = key.and_then(|key| self.keys.get(&(name, key))) {
            expect = if *before == input { Expect::Again(answer.clone()) } else { Expect::Error("CONFLICT") };
            effect = Effect::Nothing;
        }
        Plan { name, input, selection, expect, effect }
    }

    /// Something that was done under a key, once more.
    fn repeat(&self, step: Step) -> Option<Plan> {
        let mut done: Vec<_> = self.keys.iter().collect();
        done.sort_by_key(|(key, _)| (*key).clone());
        let ((name, _), (input, answer)) = done.get(usize::from(step.of) % done.len().max(1))?;
        let (name, input, expect) = (*name, input.clone(), Expect::Again(answer.clone()));
        Some(Plan { name, input, selection: selection(name), expect, effect: Effect::Nothing })
    }
}

/// What is shown of each payload.
pub fn selection(name: &str) -> &'static str {
    match name {
        "createUser" | "updateUser" => "user { id email name role active updatedAt }",
        "deletePost" => "deletedPostId deletedCommentCount",
        "addComment" => "comment { id body }",
        "deleteComment" => "deletedCommentId",
        "createProduct" | "updateProduct" | "adjustStock" => {
            "product { id sku name stock active price { amount currencyCode } }"
        }
        name if name.ends_with("Order") => "order { id status total { amount currencyCode } }",
        _ => "post { id title status updatedAt }",
    }
}

/// A payload with an object.
pub fn done(object: &str, shown: Value) -> Expect {
    Expect::Payload(json!({ object: shown, "userErrors": [] }))
}

/// A payload with errors: `items.0.quantity OUT_OF_STOCK`.
pub fn refused(wrong: &[impl AsRef<str>]) -> Expect {
    let errors = wrong.iter().map(|error| {
        let (field, code) = error.as_ref().split_once(' ').unwrap();
        json!({ "field": field.split('.').collect::<Vec<_>>(), "code": code })
    });
    Expect::Payload(json!({ "userErrors": errors.collect::<Vec<_>>() }))
}

/// The same, with an object as it is.
pub fn refused_showing(wrong: &str, object: &str, shown: Value) -> Expect {
    let Expect::Payload(mut payload) = refused(&[wrong]) else { unreachable!("it is a payload") };
    payload[object] = shown;
    Expect::Payload(payload)
}

/// The id of nothing.
pub fn nothing(kind: &str, step: Step) -> String {
    global(kind, 900_000_000 + i64::from(step.value))
}

/// Long before anything was changed.
pub fn stale() -> Value {
    json!("2001-01-01T00:00:00Z")
}

/// One of some things.
pub fn pick<T>(of: &[T], by: u8) -> Option<usize> {
    (!of.is_empty()).then(|| usize::from(by) % of.len())
}
