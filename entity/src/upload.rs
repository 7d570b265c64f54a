//! A file that somebody sent, until something is made of it.

use sea_orm::{FromQueryResult, entity::prelude::*};
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "uploads")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Whose it is, as idempotency keys have it.
    pub owner: String,
    pub content_type: String,
    /// In bytes.
    pub size: i64,
    /// Of the content, in hexadecimal.
    pub sha256: String,
    /// How many rows the file has, without its header.
    pub rows: i64,
    pub content: Vec<u8>,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,
}

/// An upload without its `content`.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult, Serialize, Deserialize)]
pub struct Row {
    pub id: i64,
    pub owner: String,
    pub content_type: String,
    pub size: i64,
    pub sha256: String,
    pub rows: i64,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
