//! The server that takes mails: a few connections to it, each used again as long as it answers.
//!
//! lettre speaks the protocol, but not with its pool: that takes a connection back whose sender gave up waiting, and
//! the answer to one mail would be taken for that to the next.

mod origin;
mod trust;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::response::Category;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::SendError;
use super::templates::one_line;
pub use origin::Origin;
pub use trust::Trust;

/// How long an idle connection is kept: less than servers do.
const KEPT: Duration = Duration::from_secs(30);
/// Most characters of a reason.
const REASON: usize = 300;

/// A server.
pub struct Smtp {
    origin: Origin,
    /// One for each connection that may be open.
    places: Semaphore,
    idle: Mutex<Vec<Idle>>,
    patience: Duration,
}

/// A connection on which nothing is under way.
struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Smtp {
    /// With so many connections at most; a mail has to be sent within `patience`.
    pub fn new(origin: Origin, connections: u32, patience: Duration) -> Self {
        let places = (connections as usize).min(Semaphore::MAX_PERMITS);
        Self { origin, places: Semaphore::new(places), idle: Mutex::default(), patience }
    }

    /// Scheme, host and port.
    pub fn describe(&self) -> &str {
        self.origin.name()
    }

    /// Hands a mail to the server. Waits for a connection as long as others have them all.
    pub async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), SendError> {
        let _place = self.places.acquire().await.map_err(failed)?;
        // What is given up is dropped, and its connection with it.
        match timeout(self.patience, self.hand_over(envelope, mail)).await {
            Ok(sent) => sent,
            Err(_) => Err(SendError::Failed(format!("timed out: {} did not answer", self.describe()))),
        }
    }

    async fn hand_over(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), SendError> {
        let mut connection = match self.idle().await {
            Some(connection) => connection,
            None => self.origin.connect(self.patience).await.map_err(failed)?,
        };
        connection.send(envelope, mail).await.map_err(|error| judge(&error))?;
        let mut idle = self.lock();
        idle.retain(|idle| idle.since.elapsed() < KEPT);
        idle.push(Idle { connection, since: Instant::now() });
        Ok(())
    }

    /// A connection that still answers, if there is one.
    async fn idle(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let mut idle = self.lock().pop()?;
            if idle.since.elapsed() < KEPT && idle.connection.test_connected().await {
                return Some(idle.connection);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server's answer to a mail means. 53x is about us: who may send, not what or to whom.
fn judge(error: &Error) -> SendError {
    let of_us = error.status().is_some_and(|code| code.category == Category::Unspecified3);
    if error.is_permanent() && !of_us || error.is_client() { SendError::Refused(reason(error)) } else { failed(error) }
}

fn failed(error: impl std::fmt::Display) -> SendError {
    SendError::Failed(reason(error))
}

/// In one line of bounded length: part of it is the server's.
fn reason(error: impl std::fmt::Display) -> String {
    one_line(&error.to_string()).chars().take(REASON).collect()
}
