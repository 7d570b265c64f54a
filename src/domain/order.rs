//! Orders: pending → paid → shipped → delivered, or cancelled before they are shipped.
//!
//! An order's products are locked before anything is decided about their stock, always in the order of their ids; what
//! an order costs is computed here, from the prices of that moment.

mod place;

use entity::{order, order_item, product};
use order::Status;
use serde::Serialize;

use super::job::{self, OrderEvent, Task};
use super::refusal::{Code, Problem, Refusal};
use super::{BasedOn, unchanged};
use crate::data::write::{Locked, Refused, Set, Transaction, Work};
pub use place::{Line, MAX_LINES, MAX_QUANTITY, PlaceOrder};

/// Declares the works that move an order on: from which states to which.
macro_rules! moves {
    ($($(#[$doc:meta])* $work:ident = $name:literal: $($from:ident)|+ => $to:ident;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Serialize)]
            pub struct $work {
                pub id: i64,
                pub based_on: BasedOn,
            }

            impl Work for $work {
                type Output = order::Model;
                type Refusal = Refusal<order::Model>;
                const NAME: &'static str = $name;

                async fn run(&self, transaction: &mut Transaction) -> Result<order::Model, Refused<Self::Refusal>> {
                    advance(transaction, self.id, self.based_on, &[$(Status::$from),+], Status::$to).await
                }
            }
        )+
    };
}

moves! {
    /// Notes that an order is paid.
    PayOrder = "payOrder": Pending => Paid;
    /// Notes that an order is on its way.
    ShipOrder = "shipOrder": Paid => Shipped;
    /// Notes that an order has arrived.
    DeliverOrder = "deliverOrder": Shipped => Delivered;
    /// Calls an order off, and puts its products back in stock.
    CancelOrder = "cancelOrder": Pending | Paid => Cancelled;
}

async fn advance(
    transaction: &mut Transaction,
    id: i64,
    based_on: BasedOn,
    from: &[Status],
    to: Status,
) -> Result<order::Model, Refused<Refusal<order::Model>>> {
    let order = transaction.lock::<order::Model>(id).await?.ok_or_else(|| Refusal::missing("Order"))?;
    unchanged(&order, order.updated_at, based_on)?;
    if !from.contains(&order.status) {
        let text = format!("the order is {}, it cannot become {}", word(order.status), word(to));
        return Err(Refusal::of(order.into_row(), Problem::new(&["id"], Code::InvalidState, text)));
    }
    if to == Status::Cancelled && !restock(transaction, id).await? {
        let text = format!("the stock of a product would exceed {}", i32::MAX);
        return Err(Refusal::of(order.into_row(), Problem::new(&["id"], Code::OutOfRange, text)));
    }
    let columns = order::ActiveModel { status: Set(to), ..Default::default() };
    let order = transaction.update(order, columns).await?.into_row();
    if let Some(event) = event(to) {
        job::enqueue(transaction, &Task::TellOfOrder { order: id, event }).await?;
    }
    Ok(order)
}

/// Puts the products of an order back in stock, if there is room for them.
async fn restock(transaction: &mut Transaction, order: i64) -> Result<bool, crate::data::Error> {
    let items = transaction.children::<order_item::Model>(order_item::Column::OrderId, order).await?;
    let pieces = |product: i64| {
        items.iter().filter(|item| item.product_id == product).map(|item| i64::from(item.quantity)).sum::<i64>()
    };
    let products = transaction.lock_all::<product::Row>(items.iter().map(|item| item.product_id).collect()).await?;
    let with_pieces = |product: Locked<product::Row>| {
        let pieces = pieces(product.id);
        (product, pieces)
    };
    let amounts: Vec<_> = products.into_iter().map(with_pieces).collect();
    if amounts.iter().any(|(product, pieces)| i64::from(product.stock) + pieces > i64::from(i32::MAX)) {
        return Ok(false);
    }
    transaction.add(product::Column::Stock, amounts).await?;
    Ok(true)
}

/// What a customer is told when an order comes into a state.
fn event(status: Status) -> Option<OrderEvent> {
    match status {
        Status::Pending => Some(OrderEvent::Placed),
        Status::Paid => Some(OrderEvent::Paid),
        Status::Shipped => Some(OrderEvent::Shipped),
        // They have it in their hands.
        Status::Delivered => None,
        Status::Cancelled => Some(OrderEvent::Cancelled),
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Paid => "paid",
        Status::Shipped => "shipped",
        Status::Delivered => "delivered",
        Status::Cancelled => "cancelled",
    }
}
