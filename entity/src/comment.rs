//! Comments under posts. A comment never changes, so it has no `updated_at`.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "comments")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// `posts.id`
    pub post_id: i64,
    /// `users.id`
    pub author_id: i64,
    #[sea_orm(column_type = "Text")]
    pub body: String,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,

    #[sea_orm(belongs_to, from = "post_id", to = "id")]
    pub post: BelongsTo<super::post::Entity>,
    #[sea_orm(belongs_to, from = "author_id", to = "id", relation_enum = "Author")]
    pub author: BelongsTo<super::user::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
