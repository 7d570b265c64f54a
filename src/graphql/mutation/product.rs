//! Mutations of products.

use async_graphql::{Context, ID, InputObject, Object, Result};

use super::check::{Check, key};
use super::{payloads, run};
use crate::domain::product::{AdjustStock, CreateProduct, UpdateProduct};
use crate::graphql::product::Product;
use crate::graphql::scalars::{DateTime, MoneyInput};

#[derive(Default)]
pub struct ProductMutations;

#[Object]
impl ProductMutations {
    /// Adds a product.
    async fn create_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product.")] input: CreateProductInput,
    ) -> Result<Option<CreateProductPayload>> {
        let mut check = Check::once(input.idempotency_key.as_deref());
        let sku = check.text("sku", &input.sku);
        let name = check.text("name", &input.name);
        let description = check.text("description", &input.description);
        let price = check.price("price", &input.price);
        let stock = check.within("stock", input.stock, 0..=i32::MAX);
        let work = || {
            Some(CreateProduct {
                sku: sku?,
                name: name?,
                description: description?,
                price: price?,
                stock: stock?,
                active: input.active,
            })
        };
        Ok(Some(run(ctx, check, work).await?.into()))
    }

    /// Changes a product. Its stock is changed by adjustStock.
    async fn update_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product, and what is to change.")] input: UpdateProductInput,
    ) -> Result<Option<UpdateProductPayload>> {
        let mut check = Check::once(input.idempotency_key.as_deref());
        let id = key::<Product>(ctx, &input.id)?;
        let sku = check.optional("sku", input.sku.as_deref());
        let name = check.optional("name", input.name.as_deref());
        let description = check.optional("description", input.description.as_deref());
        let price = match &input.price {
            Some(price) => check.price("price", price).map(Some),
            None => Some(None),
        };
        let work = || {
            Some(UpdateProduct {
                id,
                based_on: input.updated_at.map(Into::into),
                sku: sku?,
                name: name?,
                description: description?,
                price: price?,
                active: input.active,
            })
        };
        Ok(Some(run(ctx, check, work).await?.into()))
    }

    /// Adds pieces to the stock of a product, or takes them. The stock is never negative.
    async fn adjust_stock(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product, and by how much its stock changes.")] input: AdjustStockInput,
    ) -> Result<Option<AdjustStockPayload>> {
        let check = Check::once(Some(&input.idempotency_key));
        let id = key::<Product>(ctx, &input.id)?;
        Ok(Some(run(ctx, check, || Some(AdjustStock { id, delta: input.delta })).await?.into()))
    }
}

/// A product to be added.
#[derive(InputObject)]
struct CreateProductInput {
    /// The merchant's own number: 1 to 64 letters and digits, with - . _ / between them. No other product may have it.
    sku: String,
    /// The name, 1 to 200 characters.
    name: String,
    /// The description, at most 20,000 characters.
    #[graphql(default)]
    description: String,
    /// What one piece costs: at most 100,000,000,000 of the currency's smallest unit.
    price: MoneyInput,
    /// How many pieces there are.
    #[graphql(default)]
    stock: i32,
    /// Whether it is for sale.
    #[graphql(default = true)]
    active: bool,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

/// What is to be changed in a product. What is not given, or null, stays as it is.
#[derive(InputObject)]
struct UpdateProductInput {
    /// The global id.
    id: ID,
    /// The merchant's own number: 1 to 64 letters and digits, with - . _ / between them. No other product may have it.
    sku: Option<String>,
    /// The name, 1 to 200 characters.
    name: Option<String>,
    /// The description, at most 20,000 characters.
    description: Option<String>,
    /// What one piece costs: at most 100,000,000,000 of the currency's smallest unit.
    price: Option<MoneyInput>,
    /// Whether it is for sale.
    active: Option<bool>,
    /// When the product last changed, as you know it: if it changed since, nothing is done.
    updated_at: Option<DateTime>,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

/// A change of a product's stock.
#[derive(InputObject)]
struct AdjustStockInput {
    /// The global id of the product.
    id: ID,
    /// How many pieces come in; negative if they go out.
    delta: i32,
    /// A key of your own: sending this twice does it once.
    idempotency_key: String,
}

payloads! {
    /// What createProduct did.
    CreateProductPayload {
        /// The new product; null if there is none.
        product: Product
    }
    /// What updateProduct did.
    UpdateProductPayload {
        /// The product, changed; or as it is, if it changed since the state that updatedAt names.
        product: Product
    }
    /// What adjustStock did.
    AdjustStockPayload {
        /// The product with its stock; as it is, if that could not be changed.
        product: Product
    }
}
