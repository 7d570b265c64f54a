//! What is found out of a request before it is executed: whether it may be, and what it is.
//!
//! Promises that this takes time that grows with the request alone, and reads nothing but the request.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, ServerError, Value};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::asked::Asked;
use super::context::Settings;
use super::documents::{self, Document, Documents};
use super::note::Keeping;
use super::policy::{self, Policy};
use super::shown::Shown;
use super::table::Table;
use super::{guard, price, variables};
use crate::data::trace;

/// What requests are held against.
pub struct Preparation {
    documents: Documents,
    table: Table,
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
    /// For how long and for whom its answer may be kept, as far as the document says.
    pub policy: Policy,
}

impl Prepared {
    /// What the client calls the operation.
    pub fn operation_name(&self) -> Option<&str> {
        let given = self.request.operation_name.as_deref();
        given.or_else(|| documents::only_name(self.document.parsed()))
    }

    /// What a trace tells of it, by the conventions for GraphQL. Its document is not told: it may hold values.
    pub fn described(&self) -> trace::About {
        let kind = self.operation.to_string();
        let name = self.operation_name().map(str::to_owned);
        let mut attributes = vec![KeyValue::new("graphql.operation.type", kind.clone())];
        attributes.push(KeyValue::new("shoal.price", i64::try_from(self.price).unwrap_or(i64::MAX)));
        attributes.extend(name.map(|name| KeyValue::new("graphql.operation.name", name)));
        trace::About { name: kind.into(), kind: SpanKind::Internal, attributes }
    }
}

impl Preparation {
    pub fn new(table: Table, settings: Arc<Settings>) -> Self {
        Self { documents: Documents::new(&settings), table, settings }
    }

    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
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
        let price = document.price(|| price::price(&self.table, asked));
        if price > self.settings.max_price {
            let dearest = price::dearest(&self.table, asked);
            let limit = self.settings.max_price;
            return Err(price::too_high(price, limit, &dearest));
        }
        let policy = document.policy(|| policy::policy(&self.table, asked));
        let operation = asked.operation.ty;
        Ok(Prepared { request, document, operation, price, policy })
    }

    /// What a client is told of the price of its request.
    pub fn account(&self, prepared: &Prepared) -> Value {
        match self.asked(&prepared.document, &prepared.request) {
            Ok(asked) => {
                let dearest = price::dearest(&self.table, asked);
                price::account(prepared.price, self.settings.max_price, &dearest)
            }
            Err(_) => Value::Null,
        }
    }

    /// What caches may do with the answer to a document of this policy that has shown this.
    pub(super) fn judge(&self, shown: &Shown, policy: Policy) -> Keeping {
        let (policy, tags) = shown.judge(policy, &self.table);
        Keeping::Within { policy, tags: tags.into() }
    }

    fn asked<'a>(&self, document: &'a Document, request: &'a Request) -> Result<Asked<'a>, ServerError> {
        let operation = &documents::operation(document.parsed(), request.operation_name.as_deref())?.node;
        let pages = self.settings.page_limits();
        Ok(Asked { document: document.parsed(), operation, variables: &request.variables, pages })
    }
}
