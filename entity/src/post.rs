//! Articles of the community.

use sea_orm::{FromQueryResult, entity::prelude::*};
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "posts")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// `users.id`
    pub author_id: i64,
    pub title: String,
    /// The whole text, of any length.
    #[sea_orm(column_type = "Text")]
    pub body: String,
    pub status: Status,
    /// When it was first published; always set while `status` is published.
    #[serde(with = "chrono::serde::ts_microseconds_option")]
    pub published_at: Option<DateTimeUtc>,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub updated_at: DateTimeUtc,

    #[sea_orm(belongs_to, from = "author_id", to = "id", relation_enum = "Author")]
    pub author: BelongsTo<super::user::Entity>,
    #[sea_orm(has_many)]
    pub comments: HasMany<super::comment::Entity>,
    #[sea_orm(has_many)]
    pub post_tags: HasMany<super::post_tag::Entity>,
    #[sea_orm(has_many, via = "post_tag")]
    pub tags: HasMany<super::tag::Entity>,
}

/// A post without its `body`: what lists read.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult, Serialize, Deserialize)]
pub struct Row {
    pub id: i64,
    pub author_id: i64,
    pub title: String,
    pub status: Status,
    #[serde(with = "chrono::serde::ts_microseconds_option")]
    pub published_at: Option<DateTimeUtc>,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub updated_at: DateTimeUtc,
}

/// Only published posts are for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[serde(alias = "Draft")]
    Draft,
    #[serde(alias = "Published")]
    Published,
    #[serde(alias = "Archived")]
    Archived,
}

impl ActiveModelBehavior for ActiveModel {}
