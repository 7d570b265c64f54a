//! Placing an order.

use std::collections::HashMap;

use entity::{order, order_item, product, user};
use serde::Serialize;

use super::super::job::{self, OrderEvent, Task};
use super::super::refusal::{Code, Problem, Refusal, wrong};
use crate::data::write::{Locked, Refused, Set, Transaction, Work};

/// Most lines of an order.
pub const MAX_LINES: usize = 100;
/// Most pieces in a line.
pub const MAX_QUANTITY: i32 = 100_000;

/// Places an order: takes the stock, computes the total, and keeps the prices of this moment.
#[derive(Debug, Serialize)]
pub struct PlaceOrder {
    pub user: i64,
    /// 1 to [`MAX_LINES`].
    pub lines: Vec<Line>,
}

/// Some pieces of a product.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Line {
    pub product: i64,
    /// 1 to [`MAX_QUANTITY`].
    pub quantity: i32,
}

impl Work for PlaceOrder {
    type Output = order::Model;
    type Refusal = Refusal<order::Model>;
    const NAME: &'static str = "placeOrder";

    async fn run(&self, transaction: &mut Transaction) -> Result<order::Model, Refused<Self::Refusal>> {
        match transaction.hold::<user::Model>(self.user).await? {
            None => return Err(wrong(&["userId"], Code::NotFound, "there is no such user")),
            Some(user) if !user.active => return Err(wrong(&["userId"], Code::Inactive, "the account is closed")),
            Some(_) => {}
        }
        let wanted = self.lines.iter().map(|line| line.product).collect();
        let products = transaction.lock_all::<product::Row>(wanted).await?;
        let products: HashMap<i64, _> = products.into_iter().map(|product| (product.id, product)).collect();
        let problems = self.problems(&products);
        let Some(currency) = products.values().next().map(|product| product.currency.clone()) else {
            return Err(Refusal::all(problems));
        };
        if !problems.is_empty() {
            return Err(Refusal::all(problems));
        }
        let price = |line: &Line| products[&line.product].price_cents;
        let order = order::ActiveModel {
            user_id: Set(self.user),
            status: Set(order::Status::Pending),
            total_cents: Set(self.lines.iter().map(|line| i64::from(line.quantity) * price(line)).sum()),
            currency: Set(currency),
            ..Default::default()
        };
        let order: order::Model = transaction.insert::<order::Model>(order).await?;
        let item = |line: &Line| order_item::ActiveModel {
            order_id: Set(order.id),
            product_id: Set(line.product),
            quantity: Set(line.quantity),
            unit_price_cents: Set(price(line)),
            ..Default::default()
        };
        transaction.insert_all::<order_item::Model>(self.lines.iter().map(item).collect()).await?;
        let taken = products.into_values().map(|product| {
            let pieces = self.pieces(product.id);
            (product, -pieces)
        });
        transaction.add(product::Column::Stock, taken.collect()).await?;
        job::enqueue(transaction, &Task::TellOfOrder { order: order.id, event: OrderEvent::Placed }).await?;
        Ok(order)
    }
}

impl PlaceOrder {
    /// All that is wrong with the lines.
    fn problems(&self, products: &HashMap<i64, Locked<product::Row>>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut currency = None;
        for (index, line) in self.lines.iter().enumerate() {
            let mut wrong = |field: &str, code, text: String| {
                problems.push(Problem::new(&["items", &index.to_string(), field], code, text));
            };
            let Some(product) = products.get(&line.product) else {
                wrong("productId", Code::NotFound, "there is no such product".to_owned());
                continue;
            };
            if !product.active {
                wrong("productId", Code::Inactive, "the product is no longer sold".to_owned());
            }
            if *currency.get_or_insert(&product.currency) != &product.currency {
                wrong("productId", Code::MixedCurrencies, "an order has one currency".to_owned());
            }
            if self.pieces(line.product) > i64::from(product.stock) {
                wrong("quantity", Code::OutOfStock, format!("there are only {} pieces", product.stock));
            }
        }
        problems
    }

    /// How many pieces of a product all lines have together.
    fn pieces(&self, product: i64) -> i64 {
        self.lines.iter().filter(|line| line.product == product).map(|line| i64::from(line.quantity)).sum()
    }
}
