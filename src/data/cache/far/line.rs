//! The one connection: made when first needed, kept, replaced when it is broken.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::{ErrorKind, RedisError, RedisResult};
use tokio::time::timeout;

use super::connection::{Connection, Origin, cause};

/// How often a connection is replaced that is not known to be broken.
const PACE: Duration = Duration::from_millis(100);

/// One connection is enough: more of them were slower. Connecting goes on in the background when nobody waits any more, and
/// while it does a connection that may still serve is kept.
pub(super) struct Line {
    origin: Origin,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    at_hand: Option<Held>,
    dialling: Option<Dialling>,
    /// Connections tried so far, and when the last was.
    count: u64,
    tried: Option<Instant>,
}

/// A connection, and which it is.
#[derive(Clone)]
struct Held {
    connection: Connection,
    number: u64,
}

type Dialling = Shared<BoxFuture<'static, RedisResult<Held>>>;

/// Why there was no answer. Shows neither keys nor values nor passwords.
pub(super) struct Trouble {
    /// None if there was no answer in time.
    error: Option<RedisError>,
    /// The connection that was used, if there was one.
    number: Option<u64>,
}

impl Line {
    pub fn to(origin: Origin) -> Self {
        Self { origin, slot: Mutex::default() }
    }

    /// Runs a request, within `patience` with all that it takes to connect.
    pub async fn ask<T, F: Future<Output = RedisResult<T>>>(
        self: &Arc<Self>,
        patience: Duration,
        request: impl Fn(Connection) -> F,
    ) -> Result<T, Trouble> {
        let mut number = None;
        let asked = async {
            loop {
                let (held, is_new) = self.hold().await?;
                number = Some(held.number);
                let answer = request(held.connection).await;
                let Some(error) = answer.as_ref().err().filter(|error| error.is_unrecoverable_error()) else {
                    return answer;
                };
                if !self.origin.is_one_server() {
                    return answer;
                }
                self.drop_broken(held.number);
                // It may have broken while it lay idle, which says nothing of the server.
                if is_new || !error.is_connection_dropped() {
                    return answer;
                }
            }
        };
        match timeout(patience, asked).await {
            Ok(answer) => answer.map_err(|error| Trouble { error: Some(error), number }),
            Err(_) => Err(Trouble { error: None, number }),
        }
    }

    /// Makes another connection in the background, and takes it once it is there; unless that has been done since.
    pub fn renew(self: &Arc<Self>, trouble: &Trouble) {
        let mut slot = self.slot();
        let is_at_hand = slot.at_hand.as_ref().is_some_and(|held| Some(held.number) == trouble.number);
        if is_at_hand && slot.tried.is_none_or(|tried| tried.elapsed() >= PACE) {
            // Nobody waits for it.
            drop(self.dial(&mut slot));
        }
    }

    /// The connection, and whether it is new.
    async fn hold(self: &Arc<Self>) -> RedisResult<(Held, bool)> {
        let dialling = {
            let mut slot = self.slot();
            if let Some(held) = &slot.at_hand {
                return Ok((held.clone(), false));
            }
            self.dial(&mut slot)
        };
        dialling.await.map(|held| (held, true))
    }

    fn drop_broken(&self, number: u64) {
        let mut slot = self.slot();
        if slot.at_hand.as_ref().is_some_and(|held| held.number == number) {
            slot.at_hand = None;
        }
    }

    /// Connects, unless that is being done. In a task, which puts the connection in its place: whoever waits may give up.
    fn dial(self: &Arc<Self>, slot: &mut Slot) -> Dialling {
        if let Some(dialling) = &slot.dialling {
            return dialling.clone();
        }
        slot.count += 1;
        slot.tried = Some(Instant::now());
        let (line, number) = (self.clone(), slot.count);
        let task = tokio::spawn(async move {
            let connected = line.origin.connect().await.map(|connection| Held { connection, number });
            let mut slot = line.slot();
            slot.dialling = None;
            if let Ok(held) = &connected {
                slot.at_hand = Some(held.clone());
            }
            connected
        });
        let connected = async move {
            let stopped = |_| RedisError::from((ErrorKind::Client, "connecting was stopped"));
            task.await.map_err(stopped).flatten()
        };
        slot.dialling.insert(connected.boxed().shared()).clone()
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => f.write_str(&cause(error)),
            None => f.write_str("no answer in time"),
        }
    }
}
