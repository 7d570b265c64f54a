//! Executes a query for an operator who wants to see what it asks the databases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Variables};

use super::Executor;
use crate::data::databases::Needs;
use crate::data::ledger::{Origin, Sent};

/// What came of a query.
#[derive(Clone, Debug)]
pub struct Explained {
    pub operation: Option<String>,
    /// The messages of its errors.
    pub errors: Vec<String>,
    /// What it took as a whole.
    pub took: Duration,
    /// What it sent, in that order.
    pub sent: Vec<Sent>,
}

impl Executor {
    /// Executes a query twice, as requests are, and tells of the second time: connections are there by then, and know the
    /// statements.
    ///
    /// # Errors
    /// With why it is not executed: it is none, or changes something.
    pub async fn explain(
        &self,
        query: &str,
        operation: Option<String>,
        variables: serde_json::Value,
    ) -> Result<Explained, String> {
        self.explain_once(query, operation.clone(), variables.clone()).await?;
        self.explain_once(query, operation, variables).await
    }

    async fn explain_once(
        &self,
        query: &str,
        operation: Option<String>,
        variables: serde_json::Value,
    ) -> Result<Explained, String> {
        let mut request = Request::new(query).variables(Variables::from_json(variables));
        request.operation_name = operation;
        let start = Instant::now();
        let prepared = self.prepare(request, false).map_err(|error| error.message)?;
        if prepared.operation != OperationType::Query {
            return Err("only queries are explained: what changes something would have to be done".to_owned());
        }
        let operation = prepared.operation_name().map(str::to_owned);
        let origin = Arc::new(Origin::watched(operation.clone()));
        let performed = self.perform(prepared, Needs::default().of(origin.clone()), false, false).await;
        let (took, mut sent) = (start.elapsed(), origin.sent());
        sent.sort_by_key(|sent| sent.at);
        let errors = performed.response.errors.into_iter().map(|error| error.message).collect();
        Ok(Explained { operation, errors, took, sent })
    }
}
