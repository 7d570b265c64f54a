//! What the storefront sells.

use sea_orm::{FromQueryResult, entity::prelude::*};
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "products")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The merchant's own number; unique.
    pub sku: String,
    pub name: String,
    /// The whole text, of any length.
    #[sea_orm(column_type = "Text")]
    pub description: String,
    /// Price of one, in minor units of `currency`.
    pub price_cents: i64,
    /// ISO 4217 code, three upper-case letters.
    pub currency: String,
    /// Pieces that can still be ordered; never negative.
    pub stock: i32,
    /// False once it is no longer sold; orders keep pointing to it.
    pub active: bool,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub updated_at: DateTimeUtc,

    #[sea_orm(has_many)]
    pub order_items: HasMany<super::order_item::Entity>,
    #[sea_orm(has_many)]
    pub product_buyers: HasMany<super::product_buyer::Entity>,
    /// The users who have bought the product.
    #[sea_orm(has_many, via = "product_buyer")]
    pub buyers: HasMany<super::user::Entity>,
}

/// A product without its `description`: what lists read.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult, Serialize, Deserialize)]
pub struct Row {
    pub id: i64,
    pub sku: String,
    pub name: String,
    pub price_cents: i64,
    pub currency: String,
    pub stock: i32,
    pub active: bool,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
