//! Executes one request: a context for its loads, the drive that batches them, an answer fit for a client.

pub mod admission;
mod explain;
mod group;
mod subscribe;
mod upload;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response, ServerError, ValidationMode, Value};
use bytes::Bytes;
use futures_util::FutureExt;
use metrics::counter;
use opentelemetry::KeyValue;

use super::budget::Budgets;
use super::context::{RequestContext, Settings, Viewer};
use super::error::{self, Code};
use super::note::{Keeping, Note};
use super::persisted::Named;
use super::prepare::{Preparation, Prepared};
use super::{Graph, Subscriptions, graph, subscription, subscriptions, table};
use crate::data::current::Current;
use crate::data::databases::Needs;
use crate::data::events::Events;
use crate::data::fetch::{Fetcher, Keep, Question, Sources};
use crate::data::ledger::{Batch, Ledger, Origin};
use crate::data::loader::Loaders;
use crate::data::position::Token;
use crate::data::quota::Quota;
use crate::data::trace::Trace;
use crate::data::write::Writes;
use admission::Admission;
pub use explain::Explained;
use group::Groups;
pub use group::{Message, Subscribed};
pub use subscribe::Outcome;

/// Executes requests. Cheap to clone.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

struct Shared {
    graph: Graph,
    /// The same graph, for documents that are known to be valid.
    trusting: Graph,
    /// What requests are held against, by the settings that it has.
    preparation: Current<Preparation>,
    means: Means,
    /// What resolves events, and who gets them.
    subscriptions: Subscriptions,
    groups: Groups,
}

/// What requests are executed with.
pub struct Means {
    pub sources: Sources,
    pub writes: Writes,
    pub events: Events,
    /// Documents that are known by name.
    pub named: Named,
    pub quota: Quota,
    pub admission: Admission,
    /// How many statements operations may cost.
    pub budgets: Budgets,
}

/// What a client gets.
pub struct Answer {
    pub body: Body,
    /// What it is to bring with its next request, if that is another than it has.
    pub token: Option<String>,
    /// What caches may do with it.
    pub note: Arc<Note>,
}

/// An answer, as it is sent.
pub enum Body {
    /// Why the request was not executed. It has no data, which is not the same as data that is null.
    Refused(Box<Response>),
    /// One that was made, and what is to have its bytes once it is written.
    Made(Box<Response>, Option<Keep>),
    /// One that was kept.
    Written(Bytes),
}

/// What comes with a request besides its document.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Whether the client wants the latest state.
    pub latest: bool,
    /// The tokens that it brought.
    pub tokens: Vec<String>,
    /// Where it comes from.
    pub client: IpAddr,
    /// Whether the answer tells what it cost.
    pub trace: bool,
    /// Whether it came in a way that must not change anything.
    pub only_reads: bool,
    /// Whether the answer tells its price.
    pub cost: bool,
    /// The id under which the log knows it.
    pub request_id: Arc<str>,
    /// What it is a part of.
    pub within: Trace,
}

/// What came of an execution.
struct Performed {
    response: Response,
    /// The token of what it has done.
    done: Option<Token>,
    /// What it was read with.
    fetcher: Arc<Fetcher>,
    keeping: Keeping,
}

impl Executor {
    pub fn new(means: Means, settings: Settings, bounds: &subscription::Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                graph: graph(ValidationMode::Strict, settings.suggestions),
                trusting: graph(ValidationMode::Fast, settings.suggestions),
                preparation: Current::new(Preparation::new(table(), Arc::new(settings))),
                means,
                subscriptions: subscriptions(),
                groups: Groups::new(bounds.max, bounds.queue),
            }),
        }
    }

    /// Goes by other settings from now on, but for suggestions. What was found out of documents by the old ones is forgotten.
    pub fn change(&self, settings: Settings) {
        self.shared.preparation.set(Preparation::new(table(), Arc::new(settings)));
    }

    /// Answers a request, from what was kept of an equal one if that may be served. Never fails: what goes wrong is in the
    /// answer, which [`error::finish`] makes fit for a client.
    pub async fn execute(&self, mut request: Request, envelope: Envelope) -> Answer {
        match self.take_up(&mut request, &envelope).await {
            Ok(is_new) => self.answer(request, envelope, is_new).await,
            Err(error) => Answer::refused(error),
        }
    }

    /// Whether a request that finds no room may be answered all the same, by what was kept of an equal one.
    pub fn may_keep_answers(&self) -> bool {
        self.shared.means.sources.may_keep_answers()
    }

    /// What a request is answered that finds no room, whatever it asks.
    pub fn turns_away(&self) -> Option<Answer> {
        self.shared.means.admission.check().err().map(Answer::refused)
    }

    /// Gives a request the document that it names; whether that is to be kept for others to name.
    async fn take_up(&self, request: &mut Request, envelope: &Envelope) -> Result<bool, ServerError> {
        self.charge(envelope.client, 1).await?;
        self.shared.means.named.resolve(request).await
    }

    /// Lets a client pay, where there is a limit to what it may ask for.
    async fn charge(&self, client: IpAddr, price: u64) -> Result<(), ServerError> {
        self.shared.means.quota.take(client, price).await.map_err(error::rate_limited)
    }

    async fn answer(&self, request: Request, envelope: Envelope, is_new: bool) -> Answer {
        let Means { sources, named, admission, .. } = &self.shared.means;
        let Envelope { latest, tokens, client, trace, only_reads, cost, request_id, within } = envelope;
        let seen = sources.databases.recognise(&tokens).await;
        let needs = Needs::new(number(client), seen.position).latest(latest);
        let question = (!latest && !trace && !cost && sources.keeps_answers()).then(|| self.question(&request));
        if let Some(answered) = question.as_ref().and_then(|question| sources.answered(&needs, question)) {
            if is_new {
                named.keep(&request.query);
            }
            if let Some(comparison) = answered.comparison {
                comparison.with(self.clone().anew(request));
            }
            within.note(|| vec![KeyValue::new("shoal.answer.kept", true)]);
            let token = if seen.is_void { sources.databases.issue(None) } else { None };
            return Answer { body: Body::Written(answered.bytes), token, note: answered.note };
        }
        let let_in = async {
            admission.check()?;
            let prepared = self.prepare(request, only_reads)?;
            if is_new {
                named.keep(&prepared.request.query);
            }
            self.charge(client, prepared.price.saturating_sub(1)).await?;
            Ok((prepared, admission.enter().await?))
        };
        let (prepared, _place) = match let_in.await {
            Ok(let_in) => let_in,
            Err(error) => {
                let token = if seen.is_void { sources.databases.issue(None) } else { None };
                return Answer { token, ..Answer::refused(error) };
            }
        };
        let origin = Origin::new(prepared.operation_name().map(str::to_owned), Some(request_id));
        let span = within.span(|| prepared.described());
        let needs = needs.of(Arc::new(origin)).within(span.trace().clone());
        let account = cost.then(|| prepared.by.account(&prepared));
        let Performed { mut response, done, fetcher, keeping } =
            self.perform(prepared, needs, trace, question.is_some()).await;
        if let Some(error) = response.errors.first() {
            span.trace().fail(error::code(error).to_owned());
        }
        if let Some(account) = account {
            response.extensions.insert("cost".to_owned(), account);
        }
        let token = match done {
            None if !seen.is_void => None,
            done => sources.databases.issue(done),
        };
        let question = question.filter(|_| response.is_ok());
        let keep = question.and_then(|question| fetcher.keep(question));
        let body = match is_refused(&response) {
            true => Body::Refused(Box::new(response)),
            false => Body::Made(Box::new(response), keep),
        };
        // What tells of its request is for who sent that.
        let keeping = if trace || cost { keeping.private() } else { keeping };
        Answer { body, token, note: Arc::new(Note::new(keeping)) }
    }

    /// What the answer to a request depends on, besides the data.
    fn question(&self, request: &Request) -> Question {
        let preparation = self.shared.preparation.get();
        let Settings { page_size, count_cap, introspection, .. } = **preparation.settings();
        let variables = serde_json::to_vec(&request.variables).unwrap_or_default();
        let viewer = Viewer::ANYBODY;
        let viewer = format!("{:?} {} {page_size} {count_cap} {introspection}", viewer.role, viewer.scope());
        Question::of(&request.query, request.operation_name.as_deref(), &variables, &viewer)
    }

    /// What is found out of a request before it is executed: its price is known by then.
    fn prepare(&self, request: Request, only_reads: bool) -> Result<Prepared, ServerError> {
        let prepared = self.shared.preparation.get().prepare(request)?;
        if only_reads && prepared.operation == OperationType::Mutation {
            return Err(error::request_error(Code::MethodNotAllowed, "a mutation must be a POST"));
        }
        Ok(prepared)
    }

    async fn perform(&self, prepared: Prepared, needs: Needs, trace: bool, is_kept: bool) -> Performed {
        let Shared { graph, trusting, means, .. } = &*self.shared;
        let Means { sources, writes, budgets, .. } = means;
        let Prepared { mut request, by, document, operation, policy, .. } = prepared;
        let settings = by.settings();
        // What a mutation shows is the state that it made, or a later one.
        let needs = needs.after_write(operation == OperationType::Mutation);
        let graph = if document.is_known_valid(&request.variables) { trusting } else { graph };
        let is_seen_whole = document.is_seen_whole(&request.variables);
        request.set_parsed_query(document.parsed().clone());
        let context = RequestContext::new(sources, needs.clone(), writes.clone(), settings.clone(), policy);
        let (loaders, ledger, done) = (context.loaders.clone(), context.ledger.clone(), context.done.clone());
        let (fetcher, shown) = (context.fetcher.clone(), context.shown.clone());
        if !is_kept {
            fetcher.forgets();
        }
        // A future holds whatever it waits for, and is moved as it is handed on: here, and wherever else something large or
        // seldom needed is awaited, it gets a box.
        let execution = graph.execute(request.data(context)).boxed();
        let mut response = run(execution, &loaders, settings.timeout()).await;
        if response.is_ok() && is_seen_whole {
            document.passed();
        }
        budgets.check(&ledger);
        if is_refused(&response) {
            error::refuse(&mut response.errors);
        }
        if trace || needs.are_stale() {
            response.extensions.insert("shoal".to_owned(), account(trace.then_some(&ledger), &needs));
        }
        let keeping = match operation {
            OperationType::Query if response.is_ok() => by.judge(&shown, policy),
            _ => Keeping::Never,
        };
        let keeping = if needs.are_stale() { keeping.private() } else { keeping };
        Performed { response, done: done.get(), fetcher, keeping }
    }

    /// The bytes of the answer to a query, made of what the primary has; none if that fails.
    async fn anew(self, request: Request) -> Option<Bytes> {
        let prepared = self.prepare(request, true).ok()?;
        let Performed { response, .. } = self.perform(prepared, Needs::default().latest(true), false, false).await;
        response.is_ok().then(|| serde_json::to_vec(&response).ok().map(Bytes::from)).flatten()
    }
}

impl Answer {
    /// Of a request that is not executed.
    fn refused(error: ServerError) -> Self {
        Self { body: Body::Refused(Box::new(Response::from_errors(vec![error]))), token: None, note: Arc::default() }
    }
}

/// Runs an execution to its end, whatever happens in it, unless it takes too long: then its reads are given up, while what
/// it writes is done or not.
async fn run(execution: impl Future<Output = Response>, loaders: &Loaders, timeout: Duration) -> Response {
    // Tokio's cooperative budget would split batches of more than 128 keys.
    let execution = tokio::task::unconstrained(execution);
    let execution = AssertUnwindSafe(loaders.drive(execution)).catch_unwind();
    let failed = |code, message: String| Response::from_errors(vec![error::request_error(code, message)]);
    match tokio::time::timeout(timeout, execution).await {
        Ok(Ok(response)) => response,
        // The panic hook has logged it.
        Ok(Err(_)) => failed(Code::Internal, "internal error".to_owned()),
        Err(_) => {
            counter!("shoal_requests_timed_out_total").increment(1);
            failed(Code::Timeout, format!("the request took longer than {} ms", timeout.as_millis()))
        }
    }
}

/// Tells clients apart, in the same way in all processes.
fn number(client: IpAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    client.hash(&mut hasher);
    hasher.finish()
}

/// Whether there was no execution: what goes wrong in one has a path.
fn is_refused(response: &Response) -> bool {
    response.data == Value::Null && response.errors.iter().any(|error| error.path.is_empty())
}

/// What a client is told of its request. Of the ledger no SQL, no address.
fn account(ledger: Option<&Ledger>, needs: &Needs) -> Value {
    let mut account = serde_json::Map::new();
    if needs.are_stale() {
        account.insert("stale".to_owned(), true.into());
    }
    if let Some(ledger) = ledger {
        let batches = ledger.batches();
        account.insert("statements".to_owned(), batches.iter().map(|batch| batch.statements).sum::<u32>().into());
        account.insert("batches".to_owned(), batches.into_iter().map(shown).collect());
    }
    Value::from_json(account.into()).unwrap_or_default()
}

fn shown(batch: Batch) -> serde_json::Value {
    serde_json::json!({
        "source": batch.source,
        "kind": batch.kind,
        "keys": batch.keys,
        "near": batch.near,
        "far": batch.far,
        "rows": batch.rows,
        "node": batch.node,
        "position": batch.position.map(|position| position.to_string()),
        "statements": batch.statements,
        "milliseconds": batch.duration.as_secs_f64() * 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    async fn outcome(execution: impl Future<Output = Response>, timeout: Duration) -> String {
        let response = run(execution, &Loaders::default(), timeout).await;
        assert!(is_refused(&response));
        let [error] = &response.errors[..] else { panic!("{:?}", response.errors) };
        assert!(!error.message.contains("secret"), "{}", error.message);
        error::code(error)
    }

    #[tokio::test]
    async fn what_panics_or_does_not_end_is_one_error() {
        assert_eq!(outcome(async { panic!("a secret") }, LONG).await, "INTERNAL");
        assert_eq!(outcome(std::future::pending(), Duration::from_millis(1)).await, "TIMEOUT");
    }
}
