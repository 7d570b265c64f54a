//! Connections to one PostgreSQL server, for as many statements at once as its settings allow.
//!
//! sqlx's own pool asks the server for a sign of life each time a connection comes back: a round trip for every statement.
//! Here a connection goes from one user to the next as it is, unless it lay idle for a while; one that was given back in
//! the middle of a statement or of a transaction is closed. Each new one learns whom it is connected to.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::survey::{Survey, farewell};

/// A connection that lay idle for longer is tried before it is used: its server may be gone.
const TRY_AFTER_IDLE: Duration = Duration::from_secs(1);

/// A server that looks for its client ends the statement of one that has gone, such as of a request that was given up. From
/// PostgreSQL 14 on, where its system can tell; an older one, or another, works to the end.
const NOTICE: &str =
    "select set_config(name, '500', false) from pg_settings where name = 'client_connection_check_interval'";

/// How a pool keeps its connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most connections.
    pub size: u32,
    /// Idle ones that are kept at hand.
    pub min_idle: u32,
    /// Longest wait for one.
    pub acquire_timeout: Duration,
    /// An idle one above `min_idle` is closed after this.
    pub idle_timeout: Duration,
    /// Each is closed after this, once it is idle.
    pub max_lifetime: Duration,
}

/// A bounded number of connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

/// How a pool is used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    /// Connections open, and how many of them nobody uses.
    pub open: usize,
    pub idle: usize,
    /// How often somebody had to wait for one, and how often in vain.
    pub waits: u64,
    pub timeouts: u64,
}

struct Shared {
    options: PgConnectOptions,
    /// Said on each new connection.
    greeting: Option<&'static str>,
    limits: Limits,
    /// One for each connection that may be in use.
    permits: Arc<Semaphore>,
    state: Mutex<State>,
    waits: AtomicU64,
    timeouts: AtomicU64,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    /// Connections that are open or being opened, in use or not.
    open: usize,
}

struct Idle {
    connection: Known,
    since: Instant,
}

/// A connection, and whom it is to.
struct Known {
    connection: PgConnection,
    survey: Survey,
}

/// A connection in use. Goes back to its pool when dropped, if nothing is unfinished on it.
pub(super) struct Pooled {
    known: Option<Known>,
    whole: bool,
    pool: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// Connects when first used; `greeting` is a statement for each new connection.
    pub fn new(options: PgConnectOptions, greeting: Option<&'static str>, limits: Limits) -> Self {
        let permits = Arc::new(Semaphore::new(limits.size as usize));
        let (waits, timeouts) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            shared: Arc::new(Shared { options, greeting, limits, permits, state: Mutex::default(), waits, timeouts }),
        }
    }

    /// A connection, once one is free.
    ///
    /// # Errors
    /// `PoolTimedOut` when none was free, or could be made, in time.
    pub async fn get(&self) -> Result<Pooled, sqlx::Error> {
        let permit = self.permit().await?;
        let shared = &self.shared;
        let mut pooled = Pooled { known: None, whole: false, pool: shared.clone(), _permit: permit };
        while let Some(Idle { connection, since, .. }) = shared.take() {
            // From here on it is closed if it is dropped.
            let known = pooled.known.insert(connection);
            if since.elapsed() < TRY_AFTER_IDLE || known.connection.ping().await.is_ok() {
                pooled.whole = true;
                return Ok(pooled);
            }
            pooled.discard();
        }
        pooled.known = Some(shared.connect().await?);
        pooled.whole = true;
        Ok(pooled)
    }

    pub fn usage(&self) -> Use {
        let shared = &self.shared;
        let (open, idle) = {
            let state = shared.lock();
            (state.open, state.idle.len())
        };
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Use { open, idle, waits: read(&shared.waits), timeouts: read(&shared.timeouts) }
    }

    /// Closes what has lain idle or lived too long, and opens what is to be at hand. To be called now and then.
    pub async fn tend(&self) {
        let shared = &self.shared;
        let Limits { min_idle, idle_timeout, max_lifetime, .. } = shared.limits;
        let old = {
            let mut state = shared.lock();
            let mut spare = state.idle.len().saturating_sub(min_idle as usize);
            // The longest idle come first.
            let (old, idle): (Vec<_>, Vec<_>) = std::mem::take(&mut state.idle).into_iter().partition(|idle| {
                let is_spare = spare > 0 && idle.since.elapsed() > idle_timeout;
                spare -= usize::from(is_spare);
                is_spare || idle.connection.survey.asked.elapsed() > max_lifetime
            });
            state.idle = idle;
            state.open -= old.len();
            old
        };
        for idle in old {
            farewell(idle.connection.connection).await;
        }
        while self.usage().idle < min_idle as usize
            && let Ok(permit) = shared.permits.clone().try_acquire_owned()
        {
            if !shared.make_room() {
                break;
            }
            // A server that cannot be reached is somebody else's worry.
            let Ok(known) = shared.connect().await else { break };
            drop(Pooled { known: Some(known), whole: true, pool: shared.clone(), _permit: permit });
        }
    }

    /// Closes the idle connections, and the others when they come back.
    pub async fn close(&self) {
        self.shared.permits.close();
        let idle = std::mem::take(&mut self.shared.lock().idle);
        for idle in idle {
            farewell(idle.connection.connection).await;
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, sqlx::Error> {
        let Shared { permits, limits, waits, timeouts, .. } = &*self.shared;
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        waits.fetch_add(1, Ordering::Relaxed);
        match tokio::time::timeout(limits.acquire_timeout, permits.clone().acquire_owned()).await {
            Ok(permit) => permit.map_err(|_| sqlx::Error::PoolClosed),
            Err(_) => {
                timeouts.fetch_add(1, Ordering::Relaxed);
                Err(sqlx::Error::PoolTimedOut)
            }
        }
    }
}

impl Shared {
    /// The connection that was used last: its caches are warm, and the others may rest. If there is none, room for a new one.
    fn take(&self) -> Option<Idle> {
        let mut state = self.lock();
        let idle = state.idle.pop();
        // Whoever has a permit finds one or the other.
        state.open += usize::from(idle.is_none());
        idle
    }

    /// Counts a connection that is to be opened, if there may be one more.
    fn make_room(&self) -> bool {
        let mut state = self.lock();
        let has_room = state.open < self.limits.size as usize;
        state.open += usize::from(has_room);
        has_room
    }

    /// Opens a connection, for which room was made.
    async fn connect(&self) -> Result<Known, sqlx::Error> {
        let room = Room(self);
        let opened = async {
            let mut connection = self.options.connect().await?;
            match sqlx::raw_sql(NOTICE).execute(&mut connection).await {
                Ok(_) | Err(sqlx::Error::Database(_)) => {}
                Err(error) => return Err(error),
            }
            if let Some(greeting) = self.greeting {
                sqlx::raw_sql(greeting).execute(&mut connection).await?;
            }
            let survey = Survey::of(&mut connection).await?;
            Ok(Known { connection, survey })
        };
        let known = tokio::time::timeout(self.limits.acquire_timeout, opened).await;
        let known = known.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        std::mem::forget(room);
        Ok(known)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for a connection that is being opened.
struct Room<'a>(&'a Shared);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
    }
}

impl Pooled {
    /// What the server said of itself when the connection was opened.
    pub fn survey(&self) -> &Survey {
        &self.known().survey
    }

    /// Whether it was opened since then, and so is not one that was broken while it lay idle.
    pub fn is_since(&self, start: Instant) -> bool {
        self.survey().asked >= start
    }

    /// Something begins whose end must be seen.
    pub fn begin(&mut self) {
        self.whole = false;
    }

    /// What was begun has ended.
    pub fn finish(&mut self) {
        self.whole = true;
    }

    fn discard(&mut self) {
        if self.known.take().is_some() {
            self.pool.lock().open -= 1;
        }
    }

    fn known(&self) -> &Known {
        self.known.as_ref().expect("a connection is used before it goes back")
    }
}

impl Deref for Pooled {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.known().connection
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.known.as_mut().expect("a connection is used before it goes back").connection
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if !self.whole || self.pool.permits.is_closed() {
            self.discard();
        } else if let Some(connection) = self.known.take() {
            let idle = Idle { connection, since: Instant::now() };
            self.pool.lock().idle.push(idle);
        }
    }
}
