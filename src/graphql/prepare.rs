//! What is found out of a request before it is executed: whether it may be, and what it is.
//!
//! Promises that this takes time that grows with the request alone, and reads nothing but the request.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, ServerError, Value};

use super::context::Settings;
use super::documents::{self, Document, Documents};
use super::price::{Asked, Table};
use super::{guard, price, variables};

/// What requests are held against.
pub struct Preparation {
    documents: Documents,
    prices: Table,
    settings: Arc<Settings>,
}

/// A request that may be executed.
pub struct Prepared {
    pub request: Request,
    pub(super) document: Arc<Document>,
    /// What it asks for.
    pub operation: OperationType,
    /// What it may cost.
    pub price: u64,
}

impl Preparation {
    pub fn new(prices: Table, settings: Arc<Settings>) -> Self {
        Self { documents: Documents::new(&settings), prices, settings }
    }

    /// Prepares a request.
    ///
    /// # Errors
    /// When it is refused; nothing was done then.
    pub fn prepare(&self, request: Request) -> Result<Prepared, ServerError> {
        guard::values(&request.variables, &self.settings.limits)?;
        let document = self.documents.parse(&request.query)?;
        let asked = self.asked(&document, &request)?;
        variables::check(asked.operation, &request.variables)?;
        let price = document.price(|| price::price(&self.prices, asked));
        if price > self.settings.max_price {
            let dearest = price::dearest(&self.prices, asked);
            let limit = self.settings.max_price;
            return Err(price::too_high(price, limit, &dearest));
        }
        let operation = asked.operation.ty;
        Ok(Prepared { request, document, operation, price })
    }

    /// What a client is told of the price of its request.
    pub fn account(&self, prepared: &Prepared) -> Value {
        match self.asked(&prepared.document, &prepared.request) {
            Ok(asked) => {
                let dearest = price::dearest(&self.prices, asked);
                price::account(prepared.price, self.settings.max_price, &dearest)
            }
            Err(_) => Value::Null,
        }
    }

    fn asked<'a>(&self, document: &'a Document, request: &'a Request) -> Result<Asked<'a>, ServerError> {
        let operation = &documents::operation(document.parsed(), request.operation_name.as_deref())?.node;
        let pages = self.settings.page_limits();
        Ok(Asked { document: document.parsed(), operation, variables: &request.variables, pages })
    }
}
