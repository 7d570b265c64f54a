//! Orders: what customers buy.

use std::sync::{Arc, LazyLock};

use async_graphql::{Context, Enum, ID, InputObject, MergedObject, Object, Result};
use entity::order;

use super::connection::{Filter, Selection, list_fields, orders};
use super::resource::{Load, Resource};
use super::rows::Row;
use super::scalars::{DateTime, DateTimeRange, Money};
use super::user::User;
use super::{id, order_item};
use crate::data::condition::Condition;
use crate::data::events::Topic;
use crate::data::list::{List, Path};
use crate::data::{Declarations, Error, Record};

impl Record for order::Model {
    type Entity = order::Entity;
    type Key = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

/// All orders.
static ALL: LazyLock<List<order::Model>> = LazyLock::new(|| {
    List::root("orders")
        .path(Path::by(order::Column::CreatedAt).also(order::Column::CreatedAt))
        .path(Path::by(order::Column::CreatedAt).given(order::Column::Status).also(order::Column::CreatedAt))
});

/// The orders of a customer.
pub static BY_USER: LazyLock<List<order::Model>> = LazyLock::new(|| {
    List::children("user.orders", order::Column::UserId)
        .path(Path::by(order::Column::CreatedAt).also(order::Column::Status).also(order::Column::CreatedAt))
});

/// An order got another status.
pub static STATUS_CHANGED: LazyLock<Topic> =
    LazyLock::new(|| Topic::changed::<order::Model>("order_status_changed", order::Column::Status));

/// What is read of orders.
pub fn declare(to: &mut Declarations) {
    to.rows::<order::Model>().list(&ALL).list(&BY_USER).topic::<order::Model>(&STATUS_CHANGED);
}

/// What a customer bought at once.
#[derive(MergedObject)]
pub struct Order(OrderLists, OrderFields);

/// The fields of an order that are not lists.
struct OrderFields(Arc<order::Model>);

impl From<Arc<order::Model>> for Order {
    fn from(order: Arc<order::Model>) -> Self {
        Self(OrderLists::from(order.id), OrderFields(order))
    }
}

impl Resource for Order {
    type Record = order::Model;
    const TYPE: &'static str = "Order";

    fn key(&self) -> i64 {
        self.1.0.id
    }
}

list_fields!(OrderLists {
    /// Its lines, in the order in which they were added.
    items: order_item::OrderItem = order_item::BY_ORDER, order: order_item::OrderItemOrder;
});

#[Object]
impl OrderFields {
    /// The global id.
    async fn id(&self) -> ID {
        id::encode::<Order>(self.0.id)
    }

    /// How far it has come.
    async fn status(&self) -> OrderStatus {
        self.0.status.into()
    }

    /// What it costs.
    async fn total(&self) -> Money {
        Money::new(self.0.total_cents, self.0.currency.clone())
    }

    /// When it was placed.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// Who placed it.
    async fn user(&self, ctx: &Context<'_>) -> Result<Row<User>> {
        ctx.load_parent(self.0.user_id).await
    }
}

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::order::Status")]
pub enum OrderStatus {
    /// Placed, not paid yet.
    Pending,
    /// Paid, not sent yet.
    Paid,
    /// On its way.
    Shipped,
    /// With the customer.
    Delivered,
    /// Called off; its products are back in stock.
    Cancelled,
}

/// Which orders.
#[derive(Debug, Default, InputObject)]
pub struct OrderFilter {
    /// Only orders of this customer.
    user_id: Option<ID>,
    /// Only orders of this status.
    status: Option<OrderStatus>,
    /// Only orders placed in this span.
    created_at: Option<DateTimeRange>,
}

impl Filter<order::Model> for OrderFilter {
    fn apply(self, selection: &mut Selection<order::Model>) -> Result<(), Error> {
        if let Some(user) = self.user_id {
            selection.narrow(&BY_USER, id::decode::<User>(&user)?);
        }
        RelatedOrderFilter { status: self.status, created_at: self.created_at }.apply(selection)
    }
}

/// Which orders of a list.
#[derive(Debug, Default, InputObject)]
pub struct RelatedOrderFilter {
    /// Only orders of this status.
    status: Option<OrderStatus>,
    /// Only orders placed in this span.
    created_at: Option<DateTimeRange>,
}

impl Filter<order::Model> for RelatedOrderFilter {
    fn apply(self, selection: &mut Selection<order::Model>) -> Result<(), Error> {
        if let Some(status) = self.status {
            selection.only(Condition::is(order::Column::Status, order::Status::from(status)));
        }
        self.created_at.unwrap_or_default().apply(order::Column::CreatedAt, selection);
        Ok(())
    }
}

orders! {
    /// The order of orders.
    OrderOrder {
        /// Newest first.
        CreatedAtDesc = desc(order::Column::CreatedAt),
        /// Oldest first.
        CreatedAtAsc = asc(order::Column::CreatedAt),
    }
}

/// The orders of the root.
#[derive(Default, MergedObject)]
pub struct OrderRoot(OrderRootLists, OrderLookups);

list_fields!(OrderRootLists {
    /// All orders, newest first.
    orders: Order = ALL, filter: OrderFilter, order: OrderOrder;
});

#[derive(Default)]
struct OrderLookups;

#[Object]
impl OrderLookups {
    /// An order by global id.
    async fn order(&self, ctx: &Context<'_>, #[graphql(desc = "The global id.")] id: ID) -> Result<Option<Row<Order>>> {
        ctx.load_id(&id).await
    }
}
