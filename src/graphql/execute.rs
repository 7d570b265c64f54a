//! Executes one request: a context for its loads, the drive that batches them, an answer fit for a client.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::{Request, Response, Value};
use futures_util::FutureExt;

use super::context::{RequestContext, Settings};
use super::documents::Documents;
use super::error::{self, Code};
use super::{Graph, graph, variables};
use crate::data::databases::{Databases, Needs};
use crate::data::ledger::Ledger;

/// Executes requests. Cheap to clone.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

struct Shared {
    graph: Graph,
    documents: Documents,
    databases: Databases,
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
    pub fn new(databases: Databases, settings: Settings) -> Self {
        let documents = Documents::new(settings.document_cache_bytes);
        Self { shared: Arc::new(Shared { graph: graph(), documents, databases, settings: Arc::new(settings) }) }
    }

    /// Answers a request. Never fails: what goes wrong is in the answer, which [`error::finish`] makes fit for a client.
    pub async fn execute(&self, mut request: Request, envelope: Envelope) -> Response {
        let Shared { graph, documents, databases, settings } = &*self.shared;
        let ledger = Arc::new(Ledger::default());
        let document = documents.parse(&request.query).and_then(|document| {
            variables::check(&document, request.operation_name.as_deref(), &request.variables)?;
            Ok(document)
        });
        let mut response = match document {
            Err(error) => Response::from_errors(vec![error]),
            Ok(document) => {
                request.set_parsed_query(document);
                let context = RequestContext::new(databases, envelope.needs, ledger.clone(), settings.clone());
                let loaders = context.loaders.clone();
                // Tokio's cooperative budget would split batches of more than 128 keys.
                let execution = tokio::task::unconstrained(graph.execute(request.data(context)));
                AssertUnwindSafe(loaders.drive(execution)).catch_unwind().await.unwrap_or_else(|_| {
                    // The panic hook has logged it.
                    Response::from_errors(vec![error::request_error(Code::Internal, "internal error")])
                })
            }
        };
        if envelope.trace {
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
