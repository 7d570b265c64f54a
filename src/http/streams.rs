//! One stream of server-sent events for many operations, each begun and ended by a request of its own: for browsers, which
//! open few connections. <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md#single-connection-mode>
//!
//! PUT reserves a stream, GET opens it, POST begins an operation, DELETE ends one. A stream that is not opened in time, or
//! is closed, ends with all of its operations.

mod requests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, stream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Interval;

pub use requests::answer;

use super::live::{heartbeat, stopped};
use super::refusal::Refusal;
use super::sse::{self, HEARTBEAT};
use crate::data::position::random;
use crate::graphql::error::Code;
use crate::graphql::execute::Subscribed;
use crate::graphql::subscription::Settings;

/// All streams. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    shared: Arc<Shared>,
}

struct Shared {
    known: Mutex<HashMap<String, Arc<Reserved>>>,
    /// Shared with WebSockets.
    places: Arc<Semaphore>,
    settings: Settings,
}

/// A stream that was reserved, opened or not.
struct Reserved {
    queue: mpsc::Sender<Bytes>,
    /// What is to be sent, until somebody takes it.
    waiting: Mutex<Option<mpsc::Receiver<Bytes>>>,
    opened: Notify,
    /// By the client's names; none while it is not known what they come to.
    operations: Mutex<HashMap<String, Option<AbortHandle>>>,
    _place: OwnedSemaphorePermit,
}

/// An operation whose name is taken.
pub struct Begun {
    reserved: Arc<Reserved>,
    id: String,
}

/// A stream that is open.
struct Open {
    streams: Streams,
    token: String,
    queue: mpsc::Receiver<Bytes>,
    heartbeat: Interval,
    stopping: watch::Receiver<bool>,
}

impl Streams {
    pub fn new(places: Arc<Semaphore>, settings: Settings) -> Self {
        Self { shared: Arc::new(Shared { known: Mutex::default(), places, settings }) }
    }

    /// Reserves a stream; its token.
    ///
    /// # Errors
    /// When there are too many.
    pub fn reserve(&self) -> Result<String, Refusal> {
        let place = self.shared.places.clone().try_acquire_owned().map_err(|_| {
            let message = "there are as many streams and sockets as there may be";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
        })?;
        let token = URL_SAFE_NO_PAD.encode(random::<16>());
        let (queue, waiting) = mpsc::channel(self.shared.settings.queue.max(1));
        let reserved = Arc::new(Reserved {
            queue,
            waiting: Mutex::new(Some(waiting)),
            opened: Notify::new(),
            operations: Mutex::default(),
            _place: place,
        });
        self.lock().insert(token.clone(), reserved.clone());
        let (streams, name) = (self.clone(), token.clone());
        let patience = Duration::from_millis(self.shared.settings.init_timeout_ms);
        tokio::spawn(async move {
            if tokio::time::timeout(patience, reserved.opened.notified()).await.is_err() {
                streams.lock().remove(&name);
            }
        });
        Ok(token)
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// When there is none, or it is open.
    pub fn open(&self, token: &str, stopping: watch::Receiver<bool>) -> Result<Response, Refusal> {
        let reserved = self.find(token)?;
        let queue = reserved.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(queue) = queue else { return Err(conflict("the stream is open already")) };
        reserved.opened.notify_one();
        let heartbeat = heartbeat(Duration::from_millis(self.shared.settings.heartbeat_ms.max(1)));
        let open = Open { streams: self.clone(), token: token.to_owned(), queue, heartbeat, stopping };
        Ok(sse::respond(stream::unfold(open, async |mut open| {
            let chunk = tokio::select! {
                biased;
                () = stopped(&mut open.stopping) => return None,
                chunk = open.queue.recv() => chunk?,
                _ = open.heartbeat.tick() => HEARTBEAT,
            };
            Some((chunk, open))
        })))
    }

    /// Takes a name for an operation.
    ///
    /// # Errors
    /// When there is no such stream, the name is taken, or there are too many operations.
    pub fn begin(&self, token: &str, id: String) -> Result<Begun, Refusal> {
        let reserved = self.find(token)?;
        let mut operations = reserved.operations();
        if operations.len() >= self.shared.settings.per_connection {
            let most = self.shared.settings.per_connection;
            let message = format!("a stream may have {most} operations at once");
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyOperations, message));
        }
        match operations.entry(id.clone()) {
            Entry::Occupied(_) => return Err(conflict("there is an operation of this operationId")),
            Entry::Vacant(vacant) => vacant.insert(None),
        };
        drop(operations);
        Ok(Begun { reserved, id })
    }

    /// Ends an operation, if there is one of this name.
    ///
    /// # Errors
    /// When there is no such stream.
    pub fn end(&self, token: &str, id: &str) -> Result<(), Refusal> {
        let ended = self.find(token)?.operations().remove(id);
        if let Some(Some(task)) = ended {
            task.abort();
        }
        Ok(())
    }

    fn find(&self, token: &str) -> Result<Arc<Reserved>, Refusal> {
        let known = self.lock().get(token).cloned();
        known.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such stream"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Reserved>>> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn conflict(message: &str) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, Code::Conflict, message)
}

impl Begun {
    /// Sends the one answer of the operation.
    pub fn answer(self, answer: Bytes) {
        self.send(stream::iter([answer]));
    }

    /// Sends its events.
    pub fn events(self, subscribed: Subscribed) {
        self.send(subscribed.map(|message| message.bytes.clone()));
    }

    fn send(self, answers: impl stream::Stream<Item = Bytes> + Send + 'static) {
        let id = serde_json::to_string(&self.id).unwrap_or_default();
        // The stream may end before its operations: they do not hold it.
        let (queue, weak, name) = (self.reserved.queue.clone(), Arc::downgrade(&self.reserved), self.id.clone());
        let send = async move {
            let mut answers = std::pin::pin!(answers);
            while let Some(answer) = answers.next().await {
                let data: [&[u8]; 5] = [b"{\"id\":", id.as_bytes(), b",\"payload\":", &answer, b"}"];
                if queue.send(sse::event("next", &data)).await.is_err() {
                    return;
                }
            }
            let _ = queue.send(sse::event("complete", &[b"{\"id\":", id.as_bytes(), b"}"])).await;
            if let Some(reserved) = weak.upgrade() {
                reserved.operations().remove(&name);
            }
        };
        // It ends after this, having to take the same lock.
        let reserved = self.reserved.clone();
        let mut operations = reserved.operations();
        // Unless it was ended meanwhile.
        if let Some(task) = operations.get_mut(&self.id) {
            *task = Some(tokio::spawn(send).abort_handle());
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // What came to nothing frees its name.
        if let Entry::Occupied(found) = self.reserved.operations().entry(self.id.clone())
            && found.get().is_none()
        {
            found.remove();
        }
    }
}

impl Reserved {
    fn operations(&self) -> MutexGuard<'_, HashMap<String, Option<AbortHandle>>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.operations().values().flatten().for_each(AbortHandle::abort);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.token);
    }
}
