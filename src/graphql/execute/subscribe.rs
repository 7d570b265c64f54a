//! Subscribes: finds out what an operation listens to, joins those who listen to the same, and resolves each event once.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Request, Response, ServerError, Variables};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::group::{Identity, Seen, Show};
use super::{Answer, Body, Envelope, Executor, Means, Subscribed, run};
use crate::data::databases::Needs;
use crate::data::events::{Event, Topic};
use crate::data::ledger::Origin;
use crate::data::scalar::{Key, Scalar};
use crate::graphql::context::{RequestContext, Viewer};
use crate::graphql::error;
use crate::graphql::policy::Policy;
use crate::graphql::prepare::Prepared;
use crate::graphql::subscription::Stage;
use crate::graphql::subscription::operation::as_query;

/// What comes of an operation.
pub enum Outcome {
    /// The one answer to a query or mutation, or why there is none.
    Answer(Answer),
    /// What is subscribed to.
    Events(Subscribed),
}

/// An operation that shows events.
struct Shown {
    executor: Executor,
    query: ExecutableDocument,
    variables: Variables,
    origin: Arc<Origin>,
}

impl Executor {
    /// Executes an operation of any kind. Never fails, like [`Executor::execute`].
    pub async fn operate(&self, mut request: Request, envelope: Envelope) -> Outcome {
        let is_new = match self.take_up(&mut request, &envelope).await {
            Ok(is_new) => is_new,
            Err(error) => return Outcome::Answer(Answer::refused(error)),
        };
        match self.prepare(request, envelope.only_reads) {
            Ok(prepared) if prepared.operation == OperationType::Subscription => {
                if is_new {
                    self.shared.means.named.keep(&prepared.request.query);
                }
                match self.subscribe(prepared, envelope.client).await {
                    Ok(subscribed) => Outcome::Events(subscribed),
                    Err(response) => {
                        Outcome::Answer(Answer { body: Body::Refused(response), token: None, note: Arc::default() })
                    }
                }
            }
            Ok(prepared) => Outcome::Answer(self.answer(prepared.request, envelope, is_new).await),
            Err(error) => Outcome::Answer(Answer::refused(error)),
        }
    }

    /// A client pays for what it subscribes to once: an event is resolved for all who did.
    async fn subscribe(&self, prepared: Prepared, client: IpAddr) -> Result<Subscribed, Box<Response>> {
        let refused = |error: ServerError| Box::new(Response::from_errors(vec![error]));
        self.charge(client, prepared.price.saturating_sub(1)).await.map_err(refused)?;
        let name = prepared.request.operation_name.as_deref();
        let query = as_query(prepared.document.parsed(), name).map_err(refused)?;
        self.validate(&prepared).await?;
        let origin = Arc::new(Origin::new(prepared.operation_name().map(str::to_owned), None));
        let request = prepared.request;
        let identity = identity(&request);
        let shown = Shown { executor: self.clone(), query, variables: request.variables, origin };
        let stage = Arc::new(Stage::Begins(OnceLock::new()));
        let response = shown.at(stage.clone(), Needs::default()).await;
        let Stage::Begins(heard) = &*stage else { unreachable!("a stage stays what it is") };
        let Some((topic, key)) = heard.get() else { return Err(Box::new(response)) };
        let (events, groups) = (&self.shared.means.events, &self.shared.groups);
        let identity = identity_of(identity, topic, key);
        groups.join(identity, || events.listen(topic, key.clone()), shown).map_err(refused)
    }

    /// Validates an operation against the graph, once for a document where that says everything.
    async fn validate(&self, prepared: &Prepared) -> Result<(), Box<Response>> {
        let Prepared { request, document, .. } = prepared;
        if document.is_known_valid(&request.variables) {
            return Ok(());
        }
        let mut same = Request::new(&request.query).variables(request.variables.clone());
        same.operation_name.clone_from(&request.operation_name);
        same.set_parsed_query(document.parsed().clone());
        // There are no events in it, and so nothing but what is wrong.
        if let Some(mut response) = self.shared.graph.execute_stream(same).next().await {
            error::refuse(&mut response.errors);
            return Err(Box::new(response));
        }
        if document.is_seen_whole(&request.variables) {
            document.passed();
        }
        Ok(())
    }
}

impl Shown {
    /// Executes the operation for a stage.
    async fn at(&self, stage: Arc<Stage>, needs: Needs) -> Response {
        let shared = &*self.executor.shared;
        let Means { sources, writes, .. } = &shared.means;
        let (writes, settings) = (writes.clone(), shared.preparation.get().settings().clone());
        let (timeout, needs) = (settings.timeout(), needs.of(self.origin.clone()));
        let context = RequestContext::new(sources, needs, writes, settings, Policy::NONE);
        // No answer is kept: its subscribers have it.
        context.fetcher.forgets();
        let loaders = context.loaders.clone();
        let mut request = Request::new("").variables(self.variables.clone());
        request.set_parsed_query(self.query.clone());
        run(shared.subscriptions.execute(request.data(context).data(stage)), &loaders, timeout).await
    }
}

impl Show for Shown {
    async fn show(&self, event: &Event) -> Seen {
        let Some(key) = i64::of(&event.key) else { return Seen { response: None, is_end: false } };
        let stage = Arc::new(Stage::shows(key));
        let response = self.at(stage.clone(), Needs::new(0, Some(event.position))).await;
        let Stage::Shows { is_gone, is_end, .. } = &*stage else { unreachable!("a stage stays what it is") };
        let response = (!is_gone.load(Ordering::Relaxed)).then_some(response);
        Seen { response, is_end: is_end.load(Ordering::Relaxed) }
    }
}

/// What the response to an event depends on, besides the event.
fn identity(request: &Request) -> Sha256 {
    let variables = serde_json::to_vec(&request.variables).unwrap_or_default();
    let name = request.operation_name.as_deref().unwrap_or_default();
    let viewer = Viewer::ANYBODY;
    let viewer = format!("{:?} {}", viewer.role, viewer.scope());
    let parts = [request.query.as_bytes(), name.as_bytes(), &variables, viewer.as_bytes()];
    parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part.len().to_be_bytes()).chain_update(part))
}

fn identity_of(hash: Sha256, topic: &Topic, key: &Scalar) -> Identity {
    hash.chain_update(format!("{} {key:?}", topic.name)).finalize().into()
}
