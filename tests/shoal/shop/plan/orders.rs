//! Steps of orders.

use serde_json::{Value, json};

use super::super::Step;
use super::super::model::{Effect, Expect, Model, Order};
use super::super::objects;
use super::{Draft, done, nothing, pick, refused, refused_showing, selection, stale};

impl Model {
    pub fn place_order(&self, step: Step) -> Option<Draft> {
        let user = pick(&self.users, step.of)?;
        pick(&self.products, 0)?;
        // One to three lines, perhaps of the same product.
        let places = (0..1 + step.with % 3).map(|line| step.value.wrapping_add(line.wrapping_mul(step.with / 3)));
        let lines: Vec<_> =
            places.map(|place| (usize::from(place) % self.products.len(), i64::from(place % 4) + 1)).collect();
        let mut items: Vec<Value> = lines
            .iter()
            .map(|(product, pieces)| json!({ "productId": self.products[*product].id, "quantity": pieces }))
            .collect();
        let currency = self.products[lines[0].0].currency;
        let mut found = Vec::new();
        for (index, (product, _)) in lines.iter().enumerate() {
            let of = &self.products[*product];
            if !of.active {
                found.push(format!("items.{index}.productId INACTIVE"));
            }
            if of.currency != currency {
                found.push(format!("items.{index}.productId MIXED_CURRENCIES"));
            }
            let pieces: i64 = lines.iter().filter(|line| line.0 == *product).map(|line| line.1).sum();
            if pieces > of.stock {
                found.push(format!("items.{index}.quantity OUT_OF_STOCK"));
            }
        }
        let mut wrong = Vec::new();
        match step.twist {
            1 => {
                items[0]["quantity"] = json!(0);
                wrong.push("items.0.quantity OUT_OF_RANGE".to_owned());
            }
            3 => {
                items.push(json!({ "productId": nothing("Product", step), "quantity": 1 }));
                found.push(format!("items.{}.productId NOT_FOUND", items.len() - 1));
            }
            _ => {}
        }
        let bought = lines.iter().map(|(product, pieces)| (*product, *pieces, self.products[*product].cents)).collect();
        let order = Order { user, status: "PENDING", currency, items: bought, ..Order::default() };
        let (expect, effect) = if !self.users[user].active {
            (refused(&["userId INACTIVE"]), Effect::Nothing)
        } else if !found.is_empty() {
            (refused(&found), Effect::Nothing)
        } else {
            (done("order", objects::order(&order)), Effect::AddOrder(order))
        };
        let input = json!({ "userId": self.users[user].id, "items": items });
        Some(Draft { name: "placeOrder", input, selection: selection("placeOrder"), wrong, expect, effect })
    }

    pub fn move_order(&self, step: Step) -> Option<Draft> {
        let index = pick(&self.orders, step.of)?;
        let before = &self.orders[index];
        let (name, from, to): (_, &[&str], _) = match step.mutation {
            16 | 17 => ("payOrder", &["PENDING"], "PAID"),
            18 => ("shipOrder", &["PAID"], "SHIPPED"),
            19 => ("deliverOrder", &["SHIPPED"], "DELIVERED"),
            _ => ("cancelOrder", &["PENDING", "PAID"], "CANCELLED"),
        };
        let mut input = json!({ "id": before.id });
        let (expect, effect) = match step.twist {
            3 => {
                input["id"] = json!(nothing("Order", step));
                (Expect::Error("NOT_FOUND"), Effect::Nothing)
            }
            4 => {
                input["updatedAt"] = stale();
                (refused_showing("updatedAt CONFLICT", "order", objects::order(before)), Effect::Nothing)
            }
            _ if !from.contains(&before.status) => {
                (refused_showing("id INVALID_STATE", "order", objects::order(before)), Effect::Nothing)
            }
            _ => {
                let order = Order { status: to, ..before.clone() };
                (done("order", objects::order(&order)), Effect::MoveOrder(index, to))
            }
        };
        Some(Draft { name, input, selection: selection(name), wrong: Vec::new(), expect, effect })
    }
}
