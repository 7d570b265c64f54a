//! Mutations of orders.

use async_graphql::{Context, ID, InputObject, Object, Result};

use super::check::{Check, key};
use super::{payloads, run};
use crate::domain::order::{CancelOrder, DeliverOrder, Line, MAX_LINES, MAX_QUANTITY, PayOrder, PlaceOrder, ShipOrder};
use crate::graphql::order::Order;
use crate::graphql::product::Product;
use crate::graphql::scalars::DateTime;

#[derive(Default)]
pub struct OrderMutations;

#[Object]
impl OrderMutations {
    /// Places an order: takes the products from the stock, and computes what they cost.
    async fn place_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who buys what.")] input: PlaceOrderInput,
    ) -> Result<Option<PlaceOrderPayload>> {
        let mut check = Check::once(Some(&input.idempotency_key));
        let user = check.user_or_viewer(ctx, "userId", input.user_id.as_ref())?;
        check.length("items", input.items.len(), 1..=MAX_LINES);
        let mut lines = Vec::new();
        for (index, item) in input.items.iter().take(MAX_LINES).enumerate() {
            let product = key::<Product>(ctx, &item.product_id)?;
            let quantity = check.within(&format!("items.{index}.quantity"), item.quantity, 1..=MAX_QUANTITY);
            lines.extend(quantity.map(|quantity| Line { product, quantity }));
        }
        Ok(Some(run(ctx, check, || Some(PlaceOrder { user: user?, lines })).await?.into()))
    }

    /// Notes that a pending order is paid.
    async fn pay_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] input: PayOrderInput,
    ) -> Result<Option<PayOrderPayload>> {
        let check = Check::once(Some(&input.idempotency_key));
        let (id, based_on) = (key::<Order>(ctx, &input.id)?, input.updated_at.map(Into::into));
        Ok(Some(run(ctx, check, || Some(PayOrder { id, based_on })).await?.into()))
    }

    /// Notes that a paid order is on its way.
    async fn ship_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] input: ShipOrderInput,
    ) -> Result<Option<ShipOrderPayload>> {
        let check = Check::once(input.idempotency_key.as_deref());
        let (id, based_on) = (key::<Order>(ctx, &input.id)?, input.updated_at.map(Into::into));
        Ok(Some(run(ctx, check, || Some(ShipOrder { id, based_on })).await?.into()))
    }

    /// Notes that a shipped order has arrived.
    async fn deliver_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] input: DeliverOrderInput,
    ) -> Result<Option<DeliverOrderPayload>> {
        let check = Check::once(input.idempotency_key.as_deref());
        let (id, based_on) = (key::<Order>(ctx, &input.id)?, input.updated_at.map(Into::into));
        Ok(Some(run(ctx, check, || Some(DeliverOrder { id, based_on })).await?.into()))
    }

    /// Calls an order off that is not on its way yet, and puts its products back in stock.
    async fn cancel_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] input: CancelOrderInput,
    ) -> Result<Option<CancelOrderPayload>> {
        let check = Check::once(Some(&input.idempotency_key));
        let (id, based_on) = (key::<Order>(ctx, &input.id)?, input.updated_at.map(Into::into));
        Ok(Some(run(ctx, check, || Some(CancelOrder { id, based_on })).await?.into()))
    }
}

/// An order to be placed.
#[derive(InputObject)]
struct PlaceOrderInput {
    /// Who buys; the viewer, if not given.
    user_id: Option<ID>,
    /// What they buy, 1 to 100 lines, all in one currency.
    items: Vec<PlaceOrderItemInput>,
    /// A key of your own: sending this twice does it once.
    idempotency_key: String,
}

/// A line of an order to be placed.
#[derive(InputObject)]
struct PlaceOrderItemInput {
    /// The global id of the product.
    product_id: ID,
    /// How many pieces, 1 to 100,000.
    quantity: i32,
}

/// Declares the inputs of mutations that need to know no more than which order.
macro_rules! which_order {
    ($($(#[$doc:meta])* $input:ident { $(#[$key_doc:meta])* key: $key:ty })+) => {
        $(
            $(#[$doc])*
            #[derive(InputObject)]
            struct $input {
                /// The global id.
                id: ID,
                /// When the order last changed, as you know it: if it changed since, nothing is done.
                updated_at: Option<DateTime>,
                $(#[$key_doc])*
                idempotency_key: $key,
            }
        )+
    };
}

which_order! {
    /// An order that is paid.
    PayOrderInput {
        /// A key of your own: sending this twice does it once.
        key: String
    }
    /// An order that is on its way.
    ShipOrderInput {
        /// A key of your own, so that sending this twice does it once.
        key: Option<String>
    }
    /// An order that has arrived.
    DeliverOrderInput {
        /// A key of your own, so that sending this twice does it once.
        key: Option<String>
    }
    /// An order to be called off.
    CancelOrderInput {
        /// A key of your own: sending this twice does it once.
        key: String
    }
}

payloads! {
    /// What placeOrder did.
    PlaceOrderPayload {
        /// The order; null if it could not be placed.
        order: Order
    }
    /// What payOrder did.
    PayOrderPayload {
        /// The order, paid; or as it is, if it could not be.
        order: Order
    }
    /// What shipOrder did.
    ShipOrderPayload {
        /// The order, shipped; or as it is, if it could not be.
        order: Order
    }
    /// What deliverOrder did.
    DeliverOrderPayload {
        /// The order, delivered; or as it is, if it could not be.
        order: Order
    }
    /// What cancelOrder did.
    CancelOrderPayload {
        /// The order, cancelled; or as it is, if it could not be.
        order: Order
    }
}
