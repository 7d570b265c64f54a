//! Orders placed by users. What was ordered stands in the items.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// `users.id`
    pub user_id: i64,
    pub status: Status,
    /// Sum over the items, in minor units of `currency`.
    pub total_cents: i64,
    /// ISO 4217 code, three upper-case letters; one for all items.
    pub currency: String,
    /// When it was placed.
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub updated_at: DateTimeUtc,

    #[sea_orm(belongs_to, from = "user_id", to = "id")]
    pub user: BelongsTo<super::user::Entity>,
    #[sea_orm(has_many)]
    pub items: HasMany<super::order_item::Entity>,
}

/// The way of an order: each state follows the one before it, and `Cancelled` ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[serde(alias = "Pending")]
    Pending,
    #[serde(alias = "Paid")]
    Paid,
    #[serde(alias = "Shipped")]
    Shipped,
    #[serde(alias = "Delivered")]
    Delivered,
    #[serde(alias = "Cancelled")]
    Cancelled,
}

impl ActiveModelBehavior for ActiveModel {}
