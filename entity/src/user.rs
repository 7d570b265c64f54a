//! People: customers, authors and staff.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// As its owner writes it; no two users have the same one in another case.
    pub email: String,
    /// Display name; several users may share one.
    pub name: String,
    pub role: Role,
    /// False once the account is closed; its posts and orders stay.
    pub active: bool,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub updated_at: DateTimeUtc,

    #[sea_orm(has_many)]
    pub posts: HasMany<super::post::Entity>,
    #[sea_orm(has_many)]
    pub comments: HasMany<super::comment::Entity>,
    #[sea_orm(has_many)]
    pub orders: HasMany<super::order::Entity>,
    #[sea_orm(has_many)]
    pub product_buyers: HasMany<super::product_buyer::Entity>,
    /// The products the user has bought.
    #[sea_orm(has_many, via = "product_buyer")]
    pub bought_products: HasMany<super::product::Entity>,
}

/// What a user may do, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Role {
    #[serde(alias = "Customer")]
    Customer,
    #[serde(alias = "Author")]
    Author,
    #[serde(alias = "Moderator")]
    Moderator,
    #[serde(alias = "Admin")]
    Admin,
}

impl ActiveModelBehavior for ActiveModel {}
