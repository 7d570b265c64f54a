//! One server: its pool, what is known of it, what it was asked.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult};
use tokio::sync::{Notify, watch};

use super::Error;
use super::pool::{Pool, Pooled, Use};
use super::reader::Reason;
use super::slow::UnderWay;
use super::survey::Survey;
use crate::data::position::Position;

/// How long a server is left alone after a first failure, which doubles with each.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    /// Nobody has asked yet.
    Unknown,
    Up(Survey),
    /// Why it cannot be used.
    Down(&'static str),
}

/// A server that answers.
pub(super) struct Node {
    name: String,
    source: Source,
    state: watch::Sender<State>,
    /// Wakes who watches over it, before its time.
    pub hurry: Notify,
    started: Instant,
    /// Milliseconds after `started` until which it is left alone, when it was last used, and when it last answered.
    rests_until: AtomicU64,
    used: AtomicU64,
    answered: AtomicU64,
    /// Failures since it last answered.
    strikes: AtomicU32,
    busy: AtomicUsize,
    meters: Meters,
}

/// Where a node's connections come from.
pub(super) enum Source {
    Postgres(Pool),
    Sqlite(DatabaseConnection),
}

/// Rows, and what they show.
pub(super) struct Found {
    pub rows: Vec<QueryResult>,
    /// They show every commit up to here. None of a primary: its log runs ahead of what its transactions see.
    pub stamp: Option<Position>,
}

/// Why a node gave no rows.
pub(super) enum Refusal {
    /// The connection at hand is not known to show what is needed.
    Behind,
    /// The statement was cancelled because of what the replica had to replay, or the server ended its session.
    Conflict(Error),
    Failed(Error),
}

struct Meters {
    /// By reason.
    reads: [Counter; Reason::ALL.len()],
    statements: Counter,
    failures: Counter,
    conflicts: Counter,
    seconds: Histogram,
    connections: Gauge,
    idle: Gauge,
    waits: Counter,
    position: Gauge,
    up: Gauge,
}

impl Node {
    pub fn new(name: String, source: Source) -> Self {
        Self {
            meters: Meters::of(&name),
            name,
            source,
            state: watch::Sender::new(State::Unknown),
            hurry: Notify::new(),
            started: Instant::now(),
            rests_until: AtomicU64::new(0),
            used: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            strikes: AtomicU32::new(0),
            busy: AtomicUsize::new(0),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// The last answer of a server that is up.
    pub fn survey(&self) -> Option<Survey> {
        match self.state() {
            State::Up(survey) => Some(survey),
            State::Unknown | State::Down(_) => None,
        }
    }

    /// Changes of state are logged once.
    pub fn learn(&self, new: State) {
        let old = self.state.send_replace(new);
        match (old, new) {
            (State::Down(_), State::Up(_)) => tracing::info!(node = self.name, "a server answers again"),
            (State::Up(_) | State::Unknown, State::Down(why)) => {
                tracing::warn!(node = self.name, why, "a server cannot be used");
            }
            (State::Up(old), State::Up(new)) if old.incarnation != new.incarnation => {
                tracing::info!(node = self.name, "a server was restarted, or is another");
            }
            _ => {}
        }
        self.meters.up.set(f64::from(u8::from(matches!(new, State::Up(_)))));
        if let State::Up(survey) = new {
            self.meters.position.set(survey.position.0 as f64);
        }
    }

    /// Whether it was left alone for long enough after a failure.
    pub fn is_rested(&self) -> bool {
        let until = self.rests_until.load(Ordering::Relaxed);
        until == 0 || self.now() >= until
    }

    /// Whether anybody used it within `window`.
    pub fn was_used(&self, window: Duration) -> bool {
        self.is_within(&self.used, window)
    }

    /// Whether it answered anybody within `window`.
    pub fn has_answered(&self, window: Duration) -> bool {
        self.is_within(&self.answered, window)
    }

    /// It answered somebody.
    pub fn heard(&self) {
        self.answered.store(self.now(), Ordering::Relaxed);
    }

    fn is_within(&self, time: &AtomicU64, window: Duration) -> bool {
        let time = time.load(Ordering::Relaxed);
        time > 0 && Duration::from_millis(self.now().saturating_sub(time)) <= window
    }

    /// Statements at work.
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Waits until it has been asked once.
    pub async fn asked(&self) {
        // The sender lives as long as the node.
        let _ = self.state.subscribe().wait_for(|state| *state != State::Unknown).await;
    }

    /// Waits until it has been asked once more, from now on.
    pub async fn asked_anew(&self) {
        let now = Instant::now();
        self.hurry.notify_one();
        let is_later = |state: &State| matches!(state, State::Up(survey) if survey.asked >= now);
        let _ = self.state.subscribe().wait_for(is_later).await;
    }

    /// Waits until it is known to be at a position.
    pub async fn reaches(&self, position: Position) {
        self.hurry.notify_one();
        let is_there = |state: &State| matches!(state, State::Up(survey) if survey.position >= position);
        let _ = self.state.subscribe().wait_for(is_there).await;
    }

    /// Waits until it is known to be down.
    pub async fn lost(&self) {
        let _ = self.state.subscribe().wait_for(|state| matches!(state, State::Down(_))).await;
    }

    /// Runs a statement, on a connection that is known to show what was committed up to `needed`.
    pub async fn query(&self, way: &mut UnderWay<'_>, needed: Position) -> Result<Found, Refusal> {
        let _busy = Busy::new(self);
        let (start, statement) = (Instant::now(), way.statement);
        let found = match &self.source {
            Source::Sqlite(connection) => {
                way.begun = Some(start);
                let rows = connection.query_all_raw(statement.clone()).await;
                rows.map(|rows| Found { rows, stamp: None }).map_err(|error| Refusal::Failed(error.into()))
            }
            Source::Postgres(pool) => tokio::select! {
                biased;
                found = self.ask(pool, way, needed) => found,
                // It may never answer.
                () = self.lost() => Err(Refusal::Failed(Error::unavailable("a server was lost while it was asked"))),
            },
        };
        if !matches!(found, Err(Refusal::Behind)) {
            self.meters.statements.increment(1);
            self.meters.seconds.record(start.elapsed());
        }
        match &found {
            Ok(found) => {
                way.rows = Some(found.rows.len());
                self.strikes.store(0, Ordering::Relaxed);
                self.heard();
            }
            Err(Refusal::Behind) => {}
            Err(Refusal::Conflict(_)) => self.meters.conflicts.increment(1),
            Err(Refusal::Failed(error)) => {
                self.meters.failures.increment(1);
                if error.is_unavailable() {
                    self.failed(error);
                }
            }
        }
        found
    }

    /// A connection to a primary that takes writes, and is the one that is watched.
    pub async fn connect(&self) -> Result<Pooled, Error> {
        let Source::Postgres(pool) = &self.source else { unreachable!("the embedded database has a writer") };
        let start = Instant::now();
        let connected = async {
            loop {
                let mut pooled = pool.get().await?;
                if self.is_current(&pooled) {
                    return Ok(pooled);
                }
                // Another server stands behind the address now. This connection is not given back; a new one will be to it.
                pooled.begin();
                if pooled.is_since(start) {
                    // The watch has not seen it yet.
                    self.hurry.notify_one();
                    return Err(Error::unavailable("another server has taken the primary's place"));
                }
            }
        };
        tokio::select! {
            biased;
            pooled = connected => pooled.inspect_err(|error| if error.is_unavailable() { self.failed(error) }),
            () = self.lost() => Err(Error::unavailable("the primary is lost")),
        }
    }

    /// It answered a read.
    pub fn answered(&self, reason: Reason) {
        self.meters.reads[reason as usize].increment(1);
    }

    /// What an operator sees of the pool.
    pub fn usage(&self) -> Use {
        match &self.source {
            Source::Postgres(pool) => pool.usage(),
            Source::Sqlite(connection) => {
                let pool = connection.get_sqlite_connection_pool();
                Use { open: pool.size() as usize, idle: pool.num_idle(), ..Use::default() }
            }
        }
    }

    pub fn observe(&self) {
        let Use { open, idle, waits, .. } = self.usage();
        self.meters.connections.set(open as f64);
        self.meters.idle.set(idle as f64);
        self.meters.waits.absolute(waits);
    }

    /// Keeps the pool in order.
    pub async fn tend(&self) {
        if let Source::Postgres(pool) = &self.source {
            pool.tend().await;
        }
    }

    pub async fn close(&self) {
        match &self.source {
            Source::Postgres(pool) => pool.close().await,
            Source::Sqlite(connection) => {
                if let Err(error) = connection.clone().close().await {
                    tracing::warn!(%error, node = self.name, "a pool did not close cleanly");
                }
            }
        }
    }

    async fn ask(&self, pool: &Pool, way: &mut UnderWay<'_>, needed: Position) -> Result<Found, Refusal> {
        let start = Instant::now();
        loop {
            let mut pooled = pool.get().await.map_err(refused)?;
            let Some(stamp) = self.stamp(&pooled).filter(|stamp| *stamp >= needed) else {
                if !self.is_current(&pooled) {
                    // It is not given back.
                    pooled.begin();
                }
                return Err(Refusal::Behind);
            };
            let (is_replica, is_new) = (pooled.survey().universe().is_none(), pooled.is_since(start));
            way.begun = Some(Instant::now());
            match pooled.query(way.statement).await.map_err(refused) {
                Ok(rows) => return Ok(Found { rows, stamp: is_replica.then_some(stamp) }),
                // The connection was broken while it lay idle, which says nothing of the server.
                Err(Refusal::Failed(error)) if error.is_unavailable() && !is_new => {}
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// What a connection is known to show, before it is asked; none if that is not known. What another connection was told
    /// holds here only if this one was open by then, to the same run of the server: it would have been closed with it.
    fn stamp(&self, pooled: &Pooled) -> Option<Position> {
        let learned = pooled.survey();
        match self.state() {
            State::Up(survey) if !survey.is_of_same(learned) => None,
            State::Up(survey) if survey.asked >= learned.asked => Some(survey.position),
            State::Up(_) | State::Unknown => Some(learned.position),
            State::Down(_) => None,
        }
    }

    /// Whether a connection is to the server that is watched.
    fn is_current(&self, pooled: &Pooled) -> bool {
        self.survey().is_none_or(|survey| survey.is_of_same(pooled.survey()))
    }

    fn failed(&self, error: &Error) {
        let strikes = self.strikes.fetch_add(1, Ordering::Relaxed);
        let rest = LONGEST_REST.min(FIRST_REST * 2_u32.saturating_pow(strikes.min(16)));
        let until = self.now().saturating_add(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX));
        self.rests_until.store(until, Ordering::Relaxed);
        self.hurry.notify_one();
        if strikes == 0 {
            tracing::warn!(node = self.name, cause = ?error, "a server did not answer");
        }
    }

    /// Milliseconds since `started`; never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

fn refused(error: sqlx::Error) -> Refusal {
    let error = Error::from(error);
    if error.is_conflict() { Refusal::Conflict(error) } else { Refusal::Failed(error) }
}

/// A statement at work.
struct Busy<'a>(&'a Node);

impl<'a> Busy<'a> {
    fn new(node: &'a Node) -> Self {
        node.busy.fetch_add(1, Ordering::Relaxed);
        node.used.store(node.now(), Ordering::Relaxed);
        Self(node)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Meters {
    fn of(node: &str) -> Self {
        let node = node.to_owned();
        let read = |reason: Reason| counter!("shoal_reads_total", "node" => node.clone(), "reason" => reason.name());
        Self {
            reads: Reason::ALL.map(read),
            statements: counter!("shoal_sql_statements_total", "node" => node.clone()),
            failures: counter!("shoal_sql_failures_total", "node" => node.clone()),
            conflicts: counter!("shoal_sql_conflicts_total", "node" => node.clone()),
            seconds: histogram!("shoal_sql_seconds", "node" => node.clone()),
            connections: gauge!("shoal_pool_connections", "node" => node.clone()),
            idle: gauge!("shoal_pool_idle", "node" => node.clone()),
            waits: counter!("shoal_pool_waits_total", "node" => node.clone()),
            position: gauge!("shoal_node_position", "node" => node.clone()),
            up: gauge!("shoal_node_up", "node" => node),
        }
    }
}
