//! What joins a socket with the executor: operations of all kinds, and what the socket knows besides.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::{Data, Request, Response};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;

use crate::graphql::error;
use crate::graphql::execute::{Answer, Body, Envelope, Executor, Outcome};

/// What a socket has of its own. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    executor: Executor,
    envelope: Envelope,
    request_id: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the client has seen, the latest first.
    tokens: Vec<String>,
    /// The number of the operation that is about to begin.
    begins: Option<u64>,
    /// Operations whose next response is their last, and has only errors.
    failed: HashSet<u64>,
}

impl Link {
    /// `envelope` is that of the request that opened the socket.
    pub fn new(executor: Executor, mut envelope: Envelope, request_id: String) -> Self {
        let state = State { tokens: std::mem::take(&mut envelope.tokens), ..State::default() };
        Self { shared: Arc::new(Shared { executor, envelope, request_id, state: Mutex::new(state) }) }
    }

    /// The client has introduced itself with this.
    pub fn introduce(&self, payload: &Value) {
        if let Some(token) = payload.get("shoal-token").and_then(Value::as_str) {
            self.lock().tokens.insert(0, token.to_owned());
        }
    }

    /// The next operation has this number.
    pub fn begins(&self, number: Option<u64>) {
        self.lock().begins = number;
    }

    /// The operations that have failed since.
    pub fn with_failed<T>(&self, with: impl FnOnce(&mut HashSet<u64>) -> T) -> T {
        with(&mut self.lock().failed)
    }

    async fn operate(self, request: Request, number: Option<u64>) -> BoxStream<'static, Response> {
        let shared = &self.shared;
        let envelope = Envelope { tokens: self.lock().tokens.clone(), ..shared.envelope.clone() };
        match shared.executor.operate(request, envelope).await {
            Outcome::Answer(answer) => {
                let response = self.respond(answer, number);
                stream::once(std::future::ready(response)).boxed()
            }
            Outcome::Events(subscribed) => subscribed
                .map(move |message| {
                    if message.is_last {
                        self.fail(number);
                    }
                    message.response()
                })
                .boxed(),
        }
    }

    /// An answer, whose token the socket keeps, and tells.
    fn respond(&self, Answer { body, token, .. }: Answer, number: Option<u64>) -> Response {
        let mut response = match body {
            Body::Refused(response) => {
                self.fail(number);
                *response
            }
            Body::Made(response, _) => *response,
            Body::Written(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(request_id = self.shared.request_id, %error, "an answer that was kept is none");
                Response::from_errors(vec![error::request_error(error::Code::Internal, "internal error")])
            }),
        };
        for error in &mut response.errors {
            error::finish(error, &self.shared.request_id);
            metrics::counter!("shoal_graphql_errors_total", "code" => error::code(error)).increment(1);
        }
        if let Some(token) = token {
            self.lock().tokens = vec![token.clone()];
            response.extensions.insert("shoal-token".to_owned(), token.into());
        }
        response
    }

    fn fail(&self, number: Option<u64>) {
        self.lock().failed.extend(number);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl async_graphql::Executor for Link {
    async fn execute(&self, request: Request) -> Response {
        let envelope = Envelope { tokens: self.lock().tokens.clone(), ..self.shared.envelope.clone() };
        let answer = self.shared.executor.execute(request, envelope).await;
        self.respond(answer, None)
    }

    fn execute_stream(&self, request: Request, _: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        // Asked as soon as its message is taken, and before the next is.
        let number = self.lock().begins.take();
        self.clone().operate(request, number).into_stream().flatten().boxed()
    }
}
