//! What the shop writes of, as values.

use serde::{Deserialize, Serialize};

/// What a mail says. Texts that people wrote may be any: what would break a line is taken out when it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Letter {
    /// To somebody who is new.
    Welcome { name: String },
    /// To the customer, of what became of an order.
    Order {
        event: OrderEvent,
        /// The customer's.
        name: String,
        /// By which the customer knows it.
        order_id: String,
        lines: Vec<Line>,
        /// In minor units of `currency`.
        total_cents: i64,
        /// ISO 4217 code, three upper-case letters.
        currency: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderEvent {
    Placed,
    Paid,
    Shipped,
    Cancelled,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The product's.
    pub name: String,
    pub quantity: i32,
    /// Price of one, in minor units of the order's currency.
    pub unit_price_cents: i64,
}

impl Letter {
    /// The name of its template.
    pub fn template(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::Order { event: OrderEvent::Placed, .. } => "order_placed",
            Self::Order { event: OrderEvent::Paid, .. } => "order_paid",
            Self::Order { event: OrderEvent::Shipped, .. } => "order_shipped",
            Self::Order { event: OrderEvent::Cancelled, .. } => "order_cancelled",
        }
    }
}

impl Line {
    pub fn total_cents(&self) -> i64 {
        self.unit_price_cents.saturating_mul(self.quantity.into())
    }
}

/// A letter of each template.
pub fn samples() -> [Letter; 5] {
    let name = || "Ada Lovelace".to_owned();
    let order = |event| Letter::Order {
        event,
        name: name(),
        order_id: "1815".to_owned(),
        lines: vec![
            Line { name: "Punched cards, a box of 100".to_owned(), quantity: 3, unit_price_cents: 1_250 },
            Line { name: "Brass gear <24 teeth>".to_owned(), quantity: 1, unit_price_cents: 119_900 },
        ],
        total_cents: 123_650,
        currency: "EUR".to_owned(),
    };
    let welcome = Letter::Welcome { name: name() };
    let [placed, paid, shipped, cancelled] =
        [OrderEvent::Placed, OrderEvent::Paid, OrderEvent::Shipped, OrderEvent::Cancelled].map(order);
    [welcome, placed, paid, shipped, cancelled]
}
