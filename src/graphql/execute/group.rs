//! Who subscribed to the same: each event is resolved once for all of them.
//!
//! Promises every subscriber the events of their group in order, and that one who takes none of them keeps nobody
//! waiting: whoever is too far behind is cut off, with a code. A group ends with its last subscriber.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use async_graphql::{Response, ServerError};
use bytes::Bytes;
use futures_util::Stream;
use metrics::{counter, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

use crate::data::events::{Event, Listener, Lost};
use crate::data::position::random;
use crate::graphql::error::{self, Code};

/// What makes two subscriptions the same.
pub type Identity = [u8; 32];

/// All groups. Cheap to clone.
#[derive(Clone)]
pub struct Groups {
    shared: Arc<Shared>,
}

struct Shared {
    open: Mutex<HashMap<Identity, Arc<Group>>>,
    places: Arc<Semaphore>,
    /// Most events that wait for one subscriber.
    queue: usize,
}

/// Those who subscribed to the same.
struct Group {
    members: Mutex<Members>,
    task: OnceLock<AbortHandle>,
}

#[derive(Default)]
struct Members {
    next: u64,
    all: Vec<Member>,
}

struct Member {
    number: u64,
    queue: mpsc::Sender<Arc<Message>>,
    last: Arc<OnceLock<Arc<Message>>>,
}

/// What a subscriber gets, fit for a client.
pub struct Message {
    response: Response,
    /// The response in JSON.
    pub bytes: Bytes,
    /// Whether it says why there are no more.
    pub is_last: bool,
}

/// What is subscribed to, as a stream of events; one that ends early ends with the reason.
pub struct Subscribed {
    groups: Groups,
    identity: Identity,
    group: Arc<Group>,
    number: u64,
    queue: mpsc::Receiver<Arc<Message>>,
    last: Option<Arc<OnceLock<Arc<Message>>>>,
    _place: OwnedSemaphorePermit,
}

/// What subscribers see of an event.
pub struct Seen {
    /// None if there is nothing left to be seen.
    pub response: Option<Response>,
    /// Whether nothing more will happen.
    pub is_end: bool,
}

/// Resolves events.
pub trait Show: Send + Sync + 'static {
    fn show(&self, event: &Event) -> impl Future<Output = Seen> + Send;
}

impl Message {
    /// Names the errors, so that they can be found in the log.
    fn new(mut response: Response, is_last: bool) -> Arc<Self> {
        if !response.errors.is_empty() {
            let id = format!("{:016x}", u64::from_ne_bytes(random()));
            for error in &mut response.errors {
                error::finish(error, &id);
                counter!("shoal_graphql_errors_total", "code" => error::code(error)).increment(1);
            }
        }
        let bytes = serde_json::to_vec(&response).unwrap_or_default().into();
        Arc::new(Self { response, bytes, is_last })
    }

    fn last(code: Code, message: &str) -> Arc<Self> {
        Self::new(Response::from_errors(vec![error::request_error(code, message)]), true)
    }

    /// The server stops.
    pub fn stopping() -> Arc<Self> {
        Self::last(Code::Unavailable, "the server is stopping: subscribe again, and read anew")
    }

    /// A copy of the response.
    pub fn response(&self) -> Response {
        let Response { errors, data, extensions, .. } = &self.response;
        let mut copy = Response::new(data.clone());
        copy.errors.clone_from(errors);
        copy.extensions.clone_from(extensions);
        copy
    }

    pub fn errors(&self) -> &[ServerError] {
        &self.response.errors
    }
}

impl Groups {
    pub fn new(max: usize, queue: usize) -> Self {
        let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { shared: Arc::new(Shared { open: Mutex::default(), places, queue: queue.max(1) }) }
    }

    /// Joins the group that subscribed to the same, or begins it.
    ///
    /// # Errors
    /// When there are too many subscriptions, or events could not be heard.
    pub fn join(
        &self,
        identity: Identity,
        hear: impl FnOnce() -> Result<Listener, Lost>,
        show: impl Show,
    ) -> Result<Subscribed, ServerError> {
        let place =
            self.shared.places.clone().try_acquire_owned().map_err(|_| {
                error::request_error(Code::Unavailable, "there are as many subscriptions as there may be")
            })?;
        let mut open = self.lock();
        let group = match open.get(&identity) {
            Some(group) => group.clone(),
            None => {
                let listener = hear().map_err(|lost| error::request_error(Code::Unavailable, why(lost)))?;
                let group = Arc::new(Group { members: Mutex::default(), task: OnceLock::new() });
                let task = tokio::spawn(self.clone().run(identity, group.clone(), listener, show));
                let _ = group.task.set(task.abort_handle());
                open.insert(identity, group.clone());
                group
            }
        };
        let (sender, queue) = mpsc::channel(self.shared.queue);
        let last = Arc::<OnceLock<_>>::default();
        let number = group.lock().add(sender, last.clone());
        drop(open);
        gauge!("shoal_subscriptions").increment(1);
        Ok(Subscribed { groups: self.clone(), identity, group, number, queue, last: Some(last), _place: place })
    }

    /// Shows a group its events, until the last, or as long as none is lost.
    async fn run(self, identity: Identity, group: Arc<Group>, mut listener: Listener, show: impl Show) {
        let lost = loop {
            match listener.next().await {
                Ok(event) => {
                    counter!("shoal_event_resolutions_total").increment(1);
                    let Seen { response, is_end } = show.show(&event).await;
                    if is_end {
                        // First nobody joins it any more, or they would wait for what has happened.
                        self.close(identity, &group);
                    }
                    if let Some(response) = response {
                        group.lock().deliver(&Message::new(response, false));
                    }
                    if is_end {
                        return group.lock().all.clear();
                    }
                }
                Err(lost) => break lost,
            }
        };
        self.close(identity, &group);
        let last = Message::last(Code::Unavailable, why(lost));
        for member in group.lock().all.drain(..) {
            counter!("shoal_subscriptions_cut_total", "reason" => "events_lost").increment(1);
            let _ = member.last.set(last.clone());
        }
    }

    /// From here on nobody joins a group.
    fn close(&self, identity: Identity, group: &Arc<Group>) {
        let mut open = self.lock();
        if open.get(&identity).is_some_and(|known| Arc::ptr_eq(known, group)) {
            open.remove(&identity);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Arc<Group>>> {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    fn add(&mut self, queue: mpsc::Sender<Arc<Message>>, last: Arc<OnceLock<Arc<Message>>>) -> u64 {
        self.next += 1;
        self.all.push(Member { number: self.next, queue, last });
        self.next
    }

    fn deliver(&mut self, message: &Arc<Message>) {
        self.all.retain(|member| match member.queue.try_send(message.clone()) {
            Ok(()) => true,
            // One that has gone takes itself away.
            Err(mpsc::error::TrySendError::Closed(_)) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                counter!("shoal_subscriptions_cut_total", "reason" => "too_slow").increment(1);
                let text = "the subscriber is too far behind: subscribe again, and read anew";
                let _ = member.last.set(Message::last(Code::SubscriberTooSlow, text));
                false
            }
        });
    }
}

/// What a client is told of why it hears nothing, or nothing more.
fn why(lost: Lost) -> &'static str {
    match lost {
        Lost::NotTold => "events cannot be followed at the moment: subscribe again, and read anew",
        Lost::TooMany | Lost::Behind => "there were too many events at once: subscribe again, and read anew",
    }
}

impl Stream for Subscribed {
    type Item = Arc<Message>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Arc<Message>>> {
        match self.queue.poll_recv(context) {
            // Its sender goes with a reason, or after the last event.
            Poll::Ready(None) => Poll::Ready(self.last.take().and_then(|last| last.get().cloned())),
            other => other,
        }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        gauge!("shoal_subscriptions").decrement(1);
        let mut open = self.groups.lock();
        let mut members = self.group.lock();
        members.all.retain(|member| member.number != self.number);
        if members.all.is_empty() {
            if open.get(&self.identity).is_some_and(|known| Arc::ptr_eq(known, &self.group)) {
                open.remove(&self.identity);
            }
            if let Some(task) = self.group.task.get() {
                task.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests;
