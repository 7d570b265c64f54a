//! Who has bought what, kept by triggers and never written to. Each pair of product and user stands in it once, for as
//! long as the user has an order with the product that is not cancelled.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "product_buyers")]
pub struct Model {
    /// `products.id`
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: i64,
    /// `users.id`
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// `order_items.id` of the user's latest order of the product; pages of buyers are ordered by it.
    pub item_id: i64,

    #[sea_orm(belongs_to, from = "product_id", to = "id", skip_fk)]
    pub product: BelongsTo<super::product::Entity>,
    #[sea_orm(belongs_to, from = "user_id", to = "id", skip_fk)]
    pub user: BelongsTo<super::user::Entity>,
    #[sea_orm(belongs_to, from = "item_id", to = "id", skip_fk)]
    pub item: BelongsTo<super::order_item::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
