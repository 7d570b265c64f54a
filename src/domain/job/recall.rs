//! What mails tell of, as it is when they are written.

use std::collections::HashMap;
use std::convert::Infallible;

use entity::{order, order_item, product, user};
use serde::{Deserialize, Serialize};

use crate::data::write::{Refused, Transaction, Work};

/// Who a mail is for.
#[derive(Debug, Serialize)]
pub struct RecallUser {
    pub user: i64,
}

impl Work for RecallUser {
    /// None if there is none any more.
    type Output = Option<user::Model>;
    type Refusal = Infallible;
    const NAME: &'static str = "recallUser";

    async fn run(&self, transaction: &mut Transaction) -> Result<Self::Output, Refused<Infallible>> {
        Ok(transaction.find::<user::Model>(vec![self.user]).await?.remove(&self.user))
    }
}

/// What a mail tells of an order.
#[derive(Debug, Serialize)]
pub struct RecallOrder {
    pub order: i64,
}

/// An order, whose it is, and what was ordered.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recalled {
    pub order: order::Model,
    pub user: user::Model,
    /// With the names that the products have now.
    pub items: Vec<(order_item::Model, String)>,
}

impl Work for RecallOrder {
    /// None if there is none any more.
    type Output = Option<Recalled>;
    type Refusal = Infallible;
    const NAME: &'static str = "recallOrder";

    async fn run(&self, transaction: &mut Transaction) -> Result<Self::Output, Refused<Infallible>> {
        let Some(order) = transaction.find::<order::Model>(vec![self.order]).await?.remove(&self.order) else {
            return Ok(None);
        };
        let Some(user) = transaction.find::<user::Model>(vec![order.user_id]).await?.remove(&order.user_id) else {
            return Ok(None);
        };
        let items = transaction.children::<order_item::Model>(order_item::Column::OrderId, order.id).await?;
        let products = items.iter().map(|item| item.product_id).collect();
        let products: HashMap<i64, product::Row> = transaction.find::<product::Row>(products).await?;
        let named = |item: order_item::Model| {
            let name = products.get(&item.product_id).map(|product| product.name.clone()).unwrap_or_default();
            (item, name)
        };
        Ok(Some(Recalled { order, user, items: items.into_iter().map(named).collect() }))
    }
}
