//! The feed: follows the log of the primary, and raises the fences of what was committed, whoever wrote it.
//!
//! Promises that the fences of a history are complete through its applied position, and that the primary shows that
//! position. Whatever goes wrong, the feed begins anew with a new slot and a raised floor; meanwhile nothing is served
//! from a tier that is older than the bound, and nobody listens to events. Never lets a change pass that it cannot read.
//!
//! In a thread of its own, so that a large transaction keeps nobody waiting. The embedded database has one process that
//! writes, which tells itself: [`Invalidate`](super::cache::Invalidate).

mod pgoutput;
mod rows;
mod session;
mod side;
mod tls;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use serde::Serialize;
use sqlx::postgres::PgConnection;

use super::cache::{Cache, Refresh};
use super::databases::{Databases, Primary};
use super::error::Error;
use super::events::Events;
use super::pause::pause;
use super::position::Position;
use super::thread::Thread;
use session::Session;

/// The publication of all tables that are read through the tiers, or whose changes are events.
pub(super) const PUBLICATION: &str = "shoal";
/// How long until a lost feed begins anew; doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How the feed is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Health {
    /// Whether it follows the log. If not, nothing is served from the tiers that is older than the bound.
    pub follows: bool,
    /// Why not, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The position through which the fences are complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<String>,
    /// For how long the primary has been past it, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// Tables that are not kept in the tiers, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_kept: Vec<NotKept>,
}

/// A table whose changes are not all told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotKept {
    pub table: String,
    pub why: String,
}

/// A feed that runs. Ends with its last handle.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
    _thread: Arc<Thread>,
}

/// What the thread and its handles share.
struct Shared {
    databases: Databases,
    cache: Cache,
    events: Events,
    refresh: Arc<dyn Refresh>,
    health: Mutex<Health>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Because(&'static str),
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    #[error(transparent)]
    Log(#[from] pgwire_replication::PgWireError),
    #[error(transparent)]
    Unreadable(#[from] pgoutput::Unreadable),
}

/// The tables whose changes are not all told, as a server's catalogue says.
pub(super) async fn not_told(connection: &mut PgConnection, tables: &[&str]) -> Result<Vec<NotKept>, sqlx::Error> {
    let watched = side::watched(connection, tables).await?;
    Ok(watched.into_iter().filter_map(|it| it.why.map(|why| NotKept { table: it.table, why })).collect())
}

impl Feed {
    /// Begins to follow; none for the embedded database, or where there are no tiers.
    ///
    /// # Errors
    /// When the system gives no thread, or the address of the primary cannot be used.
    pub fn start(
        databases: &Databases,
        cache: &Cache,
        events: &Events,
        refresh: Arc<dyn Refresh>,
    ) -> Result<Option<Self>, Error> {
        let Some(primary) = databases.feed_of_primary()? else { return Ok(None) };
        if !cache.is_on() {
            return Ok(None);
        }
        let health = Mutex::new(Health { why: Some("it connects to the primary".to_owned()), ..Health::default() });
        let (databases, cache, events) = (databases.clone(), cache.clone(), events.clone());
        let shared = Arc::new(Shared { databases, cache, events, refresh, health });
        let follow = shared.clone().follow(primary);
        let thread = Thread::start("feed", follow).map_err(sqlx::Error::Io)?;
        Ok(Some(Self { shared, _thread: Arc::new(thread) }))
    }

    pub fn health(&self) -> Health {
        let mut health = self.shared.lock().clone();
        if let Some((applied, lag)) = self.progress() {
            health.applied = Some(applied.to_string());
            health.lag_ms = lag.and_then(|lag| u64::try_from(lag.as_millis()).ok());
        }
        health
    }

    /// Reports how far the feed is to the metrics recorder.
    pub fn observe(&self) {
        gauge!("shoal_feed_follows").set(f64::from(u8::from(self.shared.lock().follows)));
        if let Some((applied, lag)) = self.progress() {
            gauge!("shoal_feed_position").set(applied.0 as f64);
            if let Some(lag) = lag {
                gauge!("shoal_feed_lag_seconds").set(lag.as_secs_f64());
            }
        }
    }

    /// The position through which the fences are complete, and for how long the primary has been past it.
    fn progress(&self) -> Option<(Position, Option<Duration>)> {
        let history = self.shared.cache.histories().current()?;
        let applied = history.fences.applied();
        Some((applied, self.shared.databases.lag(history.universe, applied)))
    }
}

impl Shared {
    /// Follows the log for ever, however often it is lost.
    async fn follow(self: Arc<Self>, primary: Primary) {
        let mut wait = FIRST_PAUSE;
        loop {
            let mut session = Session::new(&self, &primary);
            let Err(lost) = session.follow().await;
            wait = if session.has_followed() { FIRST_PAUSE } else { LONGEST_PAUSE.min(wait * 2) };
            self.lost(&lost);
            pause(wait).await;
        }
    }

    /// It follows the log, all changes of all tables but these.
    fn follows(&self, not_kept: Vec<NotKept>) {
        let mut health = self.lock();
        if !health.follows {
            tracing::info!("the feed follows the primary: the caches are in use");
        }
        for NotKept { table, why } in not_kept.iter().filter(|table| !health.not_kept.contains(table)) {
            tracing::error!(table, why, "nothing of a table is kept in the caches: not all its changes are told");
        }
        *health = Health { follows: true, not_kept, ..Health::default() };
    }

    /// It does not follow yet, and waits for something.
    fn waits(&self, why: &str) {
        let mut health = self.lock();
        if health.why.as_deref() != Some(why) {
            tracing::warn!(why, "the feed cannot follow the primary yet");
        }
        health.follows = false;
        health.why = Some(why.to_owned());
    }

    fn lost(&self, lost: &Lost) {
        counter!("shoal_feed_losses_total").increment(1);
        // What is committed until it follows again, nobody hears of.
        self.events.tell(HashSet::new());
        let why = lost.why();
        let mut health = self.lock();
        if health.follows || health.why.as_deref() != Some(why) {
            tracing::warn!(why, cause = %lost, "the feed is lost: the caches are off until it follows again");
        }
        health.follows = false;
        health.why = Some(why.to_owned());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lost {
    /// For an operator, in words of ours: the server's may say more than everybody is to know.
    fn why(&self) -> &'static str {
        let text = match self {
            Self::Because(why) => return why,
            Self::Unreadable(_) => return "a message of the log cannot be read",
            Self::Sql(_) => return "the primary cannot be asked",
            Self::Log(error) => error.to_string(),
        };
        const WORDS: [(&str, &str); 7] = [
            ("pg_hba.conf", "the primary takes replication over TLS only, or not from here (pg_hba.conf)"),
            ("all replication slots are in use", "there is no free replication slot (max_replication_slots)"),
            ("max_wal_senders", "there is no free WAL sender (max_wal_senders)"),
            ("wal_level", "wal_level is not logical"),
            ("publication", "there is no publication shoal (shoal migrate)"),
            ("superuser", "the role may not replicate (alter role … replication)"),
            ("permission denied", "the role may not replicate (alter role … replication)"),
        ];
        WORDS
            .iter()
            .find(|(part, _)| text.contains(part))
            .map_or("the log of the primary cannot be followed", |it| it.1)
    }
}
