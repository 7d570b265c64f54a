//! Products: what the shop sells.

use std::sync::{Arc, LazyLock};

use async_graphql::{Context, ID, InputObject, MergedObject, Object, Result};
use entity::{order, order_item as items, product};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};

use super::connection::{Filter, Selection, list_fields, orders};
use super::policy::{self, Scope};
use super::price::cost;
use super::resource::{Load, Resource};
use super::rows::Row;
use super::scalars::{DateTime, Money};
use super::{id, order as orders, order_item, user};
use crate::data::condition::Condition;
use crate::data::events::Topic;
use crate::data::find::{Aggregate, Bulky, Unique};
use crate::data::list::{List, Path};
use crate::data::{Declarations, Error, Record};

impl Record for product::Row {
    type Entity = product::Entity;
    type Key = i64;

    fn bulky() -> &'static [product::Column] {
        &[product::Column::Description]
    }

    fn key(&self) -> i64 {
        self.id
    }
}

/// All products.
static ALL: LazyLock<List<product::Row>> = LazyLock::new(|| {
    List::root("products")
        .path(Path::by(product::Column::Id).only(active(true)).also(product::Column::Name))
        .path(Path::by(product::Column::Id).only(active(false)).also(product::Column::Name))
        .path(Path::by(product::Column::Id).also(product::Column::Name))
        .path(
            Path::by(product::Column::PriceCents)
                .ascending()
                .only(active(true))
                .also(product::Column::PriceCents)
                .also(product::Column::Name),
        )
});

fn active(active: bool) -> Condition {
    Condition::flag(product::Column::Active, active)
}

static UNITS_SOLD: LazyLock<Aggregate<UnitsSold>> = LazyLock::new(|| {
    Aggregate::over::<items::Entity>("product.units_sold", items::Column::ProductId)
        .joined::<order::Entity>(items::Column::OrderId, order::Column::Id)
        .unless(order::Column::Status, order::Status::Cancelled)
        .sum(items::Column::Quantity, "units")
});

#[derive(Debug, FromQueryResult, Serialize, Deserialize)]
struct UnitsSold {
    units: i64,
}

/// A product changed.
pub static CHANGED: LazyLock<Topic> = LazyLock::new(|| Topic::updated::<product::Row>("product_changed"));

/// What is read of products.
pub fn declare(to: &mut Declarations) {
    to.rows::<product::Row>()
        .unique::<product::Row>(product::Column::Sku)
        .list(&ALL)
        .aggregate(&UNITS_SOLD)
        .topic::<product::Row>(&CHANGED);
}

/// Something the shop sells, or sold.
#[derive(MergedObject)]
#[graphql(directive = policy::cache_control::apply(Some(10), Some(Scope::Public), None))]
pub struct Product(ProductLists, ProductFields);

/// The fields of a product that are not lists.
struct ProductFields(Arc<product::Row>);

impl From<Arc<product::Row>> for Product {
    fn from(product: Arc<product::Row>) -> Self {
        Self(ProductLists::from(product.id), ProductFields(product))
    }
}

impl Resource for Product {
    type Record = product::Row;
    const TYPE: &'static str = "Product";

    fn key(&self) -> i64 {
        self.1.0.id
    }
}

list_fields!(ProductLists {
    /// Where it was ordered, oldest first.
    order_items: order_item::OrderItem = order_item::BY_PRODUCT, order: order_item::OrderItemOrder;
    /// Who bought it, each once, by latest purchase. Cancelled orders do not count.
    buyers: user::User = user::BUYERS;
});

#[Object]
impl ProductFields {
    /// The global id.
    async fn id(&self) -> ID {
        id::encode::<Product>(self.0.id)
    }

    /// The stock keeping unit: the unique code of the product.
    async fn sku(&self) -> &str {
        &self.0.sku
    }

    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The whole description.
    #[graphql(directive = cost::apply(1))]
    async fn description(&self, ctx: &Context<'_>) -> Result<String> {
        let text = ctx.fetch(Bulky::<product::Row>::column(product::Column::Description), self.0.id).await?;
        text.map(|text| text.to_string()).ok_or_else(|| ctx.refuse(Error::Vanished(Product::TYPE)))
    }

    /// What one costs.
    async fn price(&self) -> Money {
        Money::new(self.0.price_cents, self.0.currency.clone())
    }

    /// How many are there to sell.
    async fn stock(&self) -> i32 {
        self.0.stock
    }

    /// Whether it is for sale.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// When it was added.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// How many were sold. Cancelled orders do not count.
    #[graphql(directive = cost::apply(5))]
    async fn units_sold(&self, ctx: &Context<'_>) -> Result<i64> {
        ctx.request().shown.any(orders::Order::TYPE);
        Ok(ctx.aggregate(&UNITS_SOLD, self.0.id).await?.first().map_or(0, |found| found.units))
    }
}

/// Which products. Without a filter: those for sale.
#[derive(Debug, InputObject)]
pub struct ProductFilter {
    /// Only products that are for sale, or that are not; null for both.
    #[graphql(default_with = "Some(true)")]
    active: Option<bool>,
    /// Only prices in this range, ordered by price. For products that are for sale.
    price: Option<PriceRange>,
    /// Only names that contain this, whatever its case. At least three characters.
    search: Option<String>,
}

impl Default for ProductFilter {
    fn default() -> Self {
        Self { active: Some(true), price: None, search: None }
    }
}

impl Filter<product::Row> for ProductFilter {
    fn apply(self, selection: &mut Selection<product::Row>) -> Result<(), Error> {
        if let Some(wanted) = self.active {
            selection.only(active(wanted));
        }
        let price = self.price.unwrap_or_default();
        if let Some(min) = price.min_cents {
            selection.only(Condition::at_least(product::Column::PriceCents, i64::from(min)));
        }
        if let Some(max) = price.max_cents {
            selection.only(Condition::at_most(product::Column::PriceCents, i64::from(max)));
        }
        if let Some(text) = self.search {
            selection.only(Condition::contains(product::Column::Name, &text)?);
        }
        Ok(())
    }
}

/// A range of prices.
#[derive(Clone, Copy, Debug, Default, InputObject)]
struct PriceRange {
    /// Not below this, in minor units of the currency, such as cents.
    min_cents: Option<i32>,
    /// Not above this, in minor units of the currency.
    max_cents: Option<i32>,
}

orders! {
    /// The order of products.
    ProductOrder {
        /// Newest first.
        IdDesc = desc(product::Column::Id),
        /// Oldest first.
        IdAsc = asc(product::Column::Id),
        /// Dearest first. For products that are for sale.
        PriceDesc = desc(product::Column::PriceCents),
        /// Cheapest first. For products that are for sale.
        PriceAsc = asc(product::Column::PriceCents),
    }
}

/// The products of the root.
#[derive(Default, MergedObject)]
pub struct ProductRoot(ProductRootLists, ProductLookups);

list_fields!(ProductRootLists {
    /// The products for sale, newest first; others by filter.
    products: Product = ALL, filter: ProductFilter, order: ProductOrder;
});

#[derive(Default)]
struct ProductLookups;

#[Object]
impl ProductLookups {
    /// A product by global id.
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Result<Option<Row<Product>>> {
        ctx.load_id(&id).await
    }

    /// A product by its stock keeping unit.
    async fn product_by_sku(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The exact stock keeping unit.")] sku: String,
    ) -> Result<Option<Row<Product>>> {
        ctx.load_unique(Unique::by(product::Column::Sku), sku).await
    }
}
