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
    /// By which it was prepared.
    pub(super) by: Arc<Preparation>,
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
    pub fn prepare(self: Arc<Self>, request: Request) -> Result<Prepared, ServerError> {
        guard::values(&request.variables, &self.settings.limits)?;
        let document = self.documents.parse(&request.query)?;
        let asked = self.asked(&document, &request)?;
        variables::check(asked.operation, &request.variables)?;
        let (price, policy) = document
            .judged(&request.variables, || (price::price(&self.table, asked), policy::policy(&self.table, asked)));
        if price > self.settings.max_price {
            let dearest = price::dearest(&self.table, asked);
            let limit = self.settings.max_price;
            return Err(price::too_high(price, limit, &dearest));
        }
        let operation = asked.operation.ty;
        Ok(Prepared { request, by: self, document, operation, price, policy })
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use async_graphql::Variables;
    use serde_json::json;

    use super::*;
    use crate::graphql::guard::Limits;
    use crate::graphql::table;

    #[test]
    fn what_is_remembered_of_a_document_is_what_would_be_found_out() {
        let settings = Arc::new(Settings {
            page_size: 20,
            max_page_size: 100,
            count_cap: 1000,
            max_nodes: 100,
            timeout_ms: 1000,
            document_cache_bytes: 1 << 20,
            introspection: true,
            suggestions: false,
            max_price: 100_000,
            budgets: None,
            limits: Limits::default(),
        });
        let new = || Arc::new(Preparation::new(table(), settings.clone()));
        let remembering = new();
        let documents = [
            "query($a: String, $b: Int, $c: Boolean = false) {
                user(id: $a) { id posts(first: $b) @skip(if: $c) { nodes { id } } } }",
            "query($a: String!) { user(id: $a) { id } }",
            "query($a: [ID!]!) { nodes(ids: $a) { id } }",
            "query($a: String!, $b: String!) { nodes(ids: [$a, $b, $a, $b, $a, $b, $a, $b]) { id } }",
            "{ user(id: 1) { id } }",
        ];
        let texts = ["7", "x", "", &"x".repeat(200), &"x".repeat(2000)].map(|text| json!(text));
        let values: Vec<_> = texts.into_iter().chain([json!(["7", "8"]), json!(null)]).collect();
        let prices = |document: &str, variables: serde_json::Value| {
            let request = || Request::new(document).variables(Variables::from_json(variables.clone()));
            let found = |by: Arc<Preparation>| {
                by.prepare(request()).map(|it| (it.price, it.policy)).map_err(|error| error.message)
            };
            assert_eq!(found(remembering.clone()), found(new()), "{document} {variables}");
            found(remembering.clone())
        };
        let mut seen = HashSet::new();
        for document in documents {
            for a in &values {
                for (b, c) in [
                    (json!(1), json!(false)),
                    (json!(50), json!(true)),
                    (json!(50), json!(false)),
                    (json!("x"), a.clone()),
                ] {
                    seen.insert(prices(document, json!({ "a": a, "b": b, "c": c })).map(|found| found.0).ok());
                }
                prices(document, json!({ "a": a })).ok();
            }
        }
        assert!(seen.len() > 5, "they differ: {seen:?}");
    }
}
