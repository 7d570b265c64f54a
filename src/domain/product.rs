//! Products: what is sold, for how much, and how much of it there is.

use entity::product;
use serde::Serialize;

use super::refusal::{Code, Problem, Refusal, Taken};
use super::text::{Currency, Description, ProductName, Sku};
use super::{BasedOn, unchanged};
use crate::data::write::{Refused, Set, Transaction, Work};

/// The highest price, in minor units of its currency. With this, [`MAX_LINES`](super::order::MAX_LINES) and
/// [`MAX_QUANTITY`](super::order::MAX_QUANTITY) no total overflows.
pub const MAX_PRICE: i64 = 100_000_000_000;

/// What one piece costs.
#[derive(Clone, Debug, Serialize)]
pub struct Price {
    /// In minor units of the currency, 0 to [`MAX_PRICE`].
    pub cents: i64,
    pub currency: Currency,
}

/// Adds a product.
#[derive(Debug, Serialize)]
pub struct CreateProduct {
    pub sku: Sku,
    pub name: ProductName,
    pub description: Description,
    pub price: Price,
    /// Not negative.
    pub stock: i32,
    pub active: bool,
}

impl Work for CreateProduct {
    type Output = product::Row;
    type Refusal = Refusal<product::Row>;
    const NAME: &'static str = "createProduct";

    async fn run(&self, transaction: &mut Transaction) -> Result<product::Row, Refused<Self::Refusal>> {
        let row = product::ActiveModel {
            sku: Set(self.sku.clone().into()),
            name: Set(self.name.clone().into()),
            description: Set(self.description.clone().into()),
            price_cents: Set(self.price.cents),
            currency: Set(self.price.currency.clone().into()),
            stock: Set(self.stock),
            active: Set(self.active),
            ..Default::default()
        };
        transaction.insert::<product::Row>(row).await.map_err(Refused::from).taken("products_sku", "sku")
    }
}

/// Changes a product, but not its stock. What is none stays as it is.
#[derive(Debug, Serialize)]
pub struct UpdateProduct {
    pub id: i64,
    pub based_on: BasedOn,
    pub sku: Option<Sku>,
    pub name: Option<ProductName>,
    pub description: Option<Description>,
    pub price: Option<Price>,
    pub active: Option<bool>,
}

impl Work for UpdateProduct {
    type Output = product::Row;
    type Refusal = Refusal<product::Row>;
    const NAME: &'static str = "updateProduct";

    async fn run(&self, transaction: &mut Transaction) -> Result<product::Row, Refused<Self::Refusal>> {
        let product = transaction.lock::<product::Row>(self.id).await?.ok_or_else(|| Refusal::missing("Product"))?;
        unchanged(&product, product.updated_at, self.based_on)?;
        let price = self.price.as_ref();
        let columns = product::ActiveModel {
            sku: self.sku.clone().map(String::from).map(Set).unwrap_or_default(),
            name: self.name.clone().map(String::from).map(Set).unwrap_or_default(),
            description: self.description.clone().map(String::from).map(Set).unwrap_or_default(),
            price_cents: price.map(|price| Set(price.cents)).unwrap_or_default(),
            currency: price.map(|price| Set(price.currency.clone().into())).unwrap_or_default(),
            active: self.active.map(Set).unwrap_or_default(),
            ..Default::default()
        };
        let product = transaction.update(product, columns).await.map_err(Refused::from).taken("products_sku", "sku")?;
        Ok(product.into_row())
    }
}

/// Adds pieces to the stock, or takes them.
#[derive(Debug, Serialize)]
pub struct AdjustStock {
    pub id: i64,
    pub delta: i32,
}

impl Work for AdjustStock {
    type Output = product::Row;
    type Refusal = Refusal<product::Row>;
    const NAME: &'static str = "adjustStock";

    async fn run(&self, transaction: &mut Transaction) -> Result<product::Row, Refused<Self::Refusal>> {
        let product = transaction.lock::<product::Row>(self.id).await?.ok_or_else(|| Refusal::missing("Product"))?;
        let stock = match product.stock.checked_add(self.delta) {
            Some(stock) if stock >= 0 => stock,
            Some(_) => {
                let text = format!("there are only {} pieces", product.stock);
                return Err(Refusal::of(product.into_row(), Problem::new(&["delta"], Code::OutOfStock, text)));
            }
            None => {
                let text = format!("the stock cannot exceed {}", i32::MAX);
                return Err(Refusal::of(product.into_row(), Problem::new(&["delta"], Code::OutOfRange, text)));
            }
        };
        let columns = product::ActiveModel { stock: Set(stock), ..Default::default() };
        Ok(transaction.update(product, columns).await?.into_row())
    }
}
