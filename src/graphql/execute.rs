//! Executes one request: a context for its loads, the drive that batches them, an answer fit for a client.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response, ValidationMode, Value};
use futures_util::FutureExt;

use super::context::{RequestContext, Settings};
use super::documents::{self, Documents};
use super::error::{self, Code};
use super::{Graph, graph, variables};
use crate::data::databases::{Databases, Needs};
use crate::data::ledger::Ledger;
use crate::data::write::Writes;

/// Executes requests. Cheap to clone.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

struct Shared {
    graph: Graph,
    /// The same graph, for documents that are known to be valid.
    trusting: Graph,
    documents: Documents,
    databases: Databases,
    writes: Writes,
    settings: Arc<Settings>,
}

/// What comes with a request besides its document.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// What its reads need.
    pub needs: Needs,
    /// Whether the answer tells what it cost.
    pub trace: bool,
}

impl Executor {
    pub fn new(databases: Databases, writes: Writes, settings: Settings) -> Self {
        let documents = Documents::new(settings.document_cache_bytes);
        let settings = Arc::new(settings);
        Self {
            shared: Arc::new(Shared {
                graph: graph(ValidationMode::Strict),
                trusting: graph(ValidationMode::Fast),
                documents,
                databases,
                writes,
                settings,
            }),
        }
    }

    /// Answers a request. Never fails: what goes wrong is in the answer, which [`error::finish`] makes fit for a client.
    pub async fn execute(&self, mut request: Request, envelope: Envelope) -> Response {
        let Shared { graph, trusting, documents, databases, writes, settings } = &*self.shared;
        let Envelope { mut needs, trace } = envelope;
        let document = match documents.parse(&request.query) {
            Ok(document) => document,
            Err(error) => return Response::from_errors(vec![error]),
        };
        let operation = documents::operation(document.parsed(), request.operation_name.as_deref());
        if let Err(error) = variables::check(operation, &request.variables) {
            return Response::from_errors(vec![error]);
        }
        // What a mutation shows is the state that it made, or a later one.
        needs.primary |= operation.is_some_and(|operation| operation.ty == OperationType::Mutation);
        let graph = if document.is_known_valid(&request.variables) { trusting } else { graph };
        let is_seen_whole = document.is_seen_whole(&request.variables);
        request.set_parsed_query(document.parsed().clone());
        let context = RequestContext::new(databases, needs, writes.clone(), settings.clone());
        let (loaders, ledger) = (context.loaders.clone(), context.ledger.clone());
        // Tokio's cooperative budget would split batches of more than 128 keys.
        let execution = tokio::task::unconstrained(graph.execute(request.data(context)));
        let mut response = AssertUnwindSafe(loaders.drive(execution)).catch_unwind().await.unwrap_or_else(|_| {
            // The panic hook has logged it.
            Response::from_errors(vec![error::request_error(Code::Internal, "internal error")])
        });
        if response.is_ok() && is_seen_whole {
            document.passed();
        }
        if trace {
            response.extensions.insert("shoal".to_owned(), account(&ledger));
        }
        response
    }
}

/// The ledger as a client sees it: no SQL, no address.
fn account(ledger: &Ledger) -> Value {
    let batches = ledger.batches();
    let statements = batches.iter().map(|batch| batch.statements).sum::<u32>();
    let batches = batches.into_iter().map(|batch| {
        serde_json::json!({
            "source": batch.source,
            "kind": batch.kind,
            "keys": batch.keys,
            "rows": batch.rows,
            "node": batch.node,
            "statements": batch.statements,
            "milliseconds": batch.duration.as_secs_f64() * 1000.0,
        })
    });
    let account = serde_json::json!({ "statements": statements, "batches": batches.collect::<Vec<_>>() });
    Value::from_json(account).unwrap_or_default()
}
