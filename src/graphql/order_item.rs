//! The lines of an order.

use std::sync::{Arc, LazyLock};

use async_graphql::{Context, ID, Object, Result};
use entity::order_item;

use super::connection::orders;
use super::id;
use super::order::Order;
use super::product::Product;
use super::resource::{Load, Resource};
use super::rows::Row;
use super::scalars::Money;
use crate::data::list::{List, Path};
use crate::data::{Declarations, Error, Record};

impl Record for order_item::Model {
    type Entity = order_item::Entity;
    type Key = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

/// The lines of an order.
pub static BY_ORDER: LazyLock<List<order_item::Model>> = LazyLock::new(|| {
    List::children("order.items", order_item::Column::OrderId).path(Path::by(order_item::Column::Id).ascending())
});

/// The lines that order a product.
pub static BY_PRODUCT: LazyLock<List<order_item::Model>> = LazyLock::new(|| {
    List::children("product.order_items", order_item::Column::ProductId)
        .path(Path::by(order_item::Column::Id).ascending())
});

/// What is read of order items.
pub fn declare(to: &mut Declarations) {
    to.rows::<order_item::Model>().list(&BY_ORDER).list(&BY_PRODUCT);
}

/// A line of an order: some pieces of one product.
pub struct OrderItem(Arc<order_item::Model>);

impl From<Arc<order_item::Model>> for OrderItem {
    fn from(item: Arc<order_item::Model>) -> Self {
        Self(item)
    }
}

impl Resource for OrderItem {
    type Record = order_item::Model;
    const TYPE: &'static str = "OrderItem";

    fn key(&self) -> i64 {
        self.0.id
    }
}

/// A line of an order: some pieces of one product.
#[Object]
impl OrderItem {
    /// The global id.
    async fn id(&self) -> ID {
        id::encode::<Self>(self.0.id)
    }

    /// How many pieces.
    async fn quantity(&self) -> i32 {
        self.0.quantity
    }

    /// What one piece cost when it was ordered.
    async fn unit_price(&self, ctx: &Context<'_>) -> Result<Money> {
        // The order knows the currency.
        let order = ctx.fetch(crate::data::find::Rows::<entity::order::Model>::new(), self.0.order_id).await?;
        let order = order.ok_or_else(|| ctx.refuse(Error::Vanished(Order::TYPE)))?;
        Ok(Money::new(self.0.unit_price_cents, order.row.currency.clone()))
    }

    /// The order it belongs to.
    async fn order(&self, ctx: &Context<'_>) -> Result<Row<Order>> {
        ctx.load_parent(self.0.order_id).await
    }

    /// What was ordered.
    async fn product(&self, ctx: &Context<'_>) -> Result<Row<Product>> {
        ctx.load_parent(self.0.product_id).await
    }
}

orders! {
    /// The order of order items.
    OrderItemOrder {
        /// Oldest first.
        IdAsc = asc(order_item::Column::Id),
        /// Newest first.
        IdDesc = desc(order_item::Column::Id),
    }
}
