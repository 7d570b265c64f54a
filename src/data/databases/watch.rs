//! Watches over the servers: asks each how far it is, again and again, on connections of its own.
//!
//! In a thread of its own: requests that keep all others busy must not make a server look dead.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::select;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::freshness::Freshness;
use super::node::{Node, State};
use super::survey::{Role, Survey, farewell};
use crate::data::error::Error;
use crate::data::mutant::{self, Mutant};
use crate::data::position::Position;

/// How often a replica is asked that is in use; a position costs its reads nothing then.
const REPLICA: Duration = Duration::from_millis(20);
/// How often one that is not.
const IDLE_REPLICA: Duration = Duration::from_millis(250);
/// How often the primary is asked.
const PRIMARY: Duration = Duration::from_millis(250);
/// How often one that is down.
const LOST: Duration = Duration::from_millis(250);
/// A replica that takes longer to answer is down: there are others.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same of the primary, which nobody can stand in for: a machine may be that busy.
const PATIENCE_WITH_PRIMARY: Duration = Duration::from_secs(3);
/// Why such a server cannot be used.
const SILENT: &str = "it does not answer";
/// A replica counts as in use for so long.
const IN_USE: Duration = Duration::from_secs(2);
/// How often the pools are put in order.
const TENDING: Duration = Duration::from_secs(1);

/// Asks a replica for ever.
pub(super) async fn replica(node: Arc<Node>, options: PgConnectOptions) {
    let mut watcher = Watcher { options, patience: PATIENCE, connection: None };
    let mut furthest = Position::default();
    loop {
        let mut state = watcher.ask(None).await;
        if let State::Up(survey) = &mut state
            && mutant::is(Mutant::NoIncarnation)
        {
            furthest = furthest.max(survey.position);
            survey.position = furthest;
        }
        if !is_only_slow(state, PATIENCE, [&node]) {
            node.learn(state);
        }
        let pause = match state {
            State::Up(_) if node.was_used(IN_USE) => REPLICA,
            State::Up(_) => IDLE_REPLICA,
            State::Unknown | State::Down(_) => LOST,
        };
        // Unless somebody is in a hurry.
        let _ = tokio::time::timeout(pause, node.hurry.notified()).await;
    }
}

/// Asks the primary for ever, which has a pool for reads and one for writes. A connection is kept for `window` at most:
/// then its address may lead elsewhere.
pub(super) async fn primary(
    nodes: [Arc<Node>; 2],
    options: PgConnectOptions,
    freshness: Arc<Mutex<Freshness>>,
    window: Duration,
) {
    let mut watcher = Watcher { options, patience: PATIENCE_WITH_PRIMARY, connection: None };
    loop {
        let mut state = watcher.ask(Some(window)).await;
        if let State::Up(survey) = state {
            match (survey.role, survey.universe()) {
                (Role::Primary { read_only: false, .. }, Some(universe)) => {
                    let mut freshness = freshness.lock().unwrap_or_else(PoisonError::into_inner);
                    freshness.primary = Some(survey);
                    if freshness.observe(universe, survey.asked, survey.position) {
                        tracing::warn!("the primary is another, or on another timeline: tokens of before are void");
                    }
                }
                (Role::Primary { .. }, _) => state = State::Down("it is read-only"),
                (Role::Replica { .. }, _) => state = State::Down("it is a replica"),
            }
        }
        if !is_only_slow(state, PATIENCE_WITH_PRIMARY, [&nodes[0], &nodes[1]]) {
            nodes.iter().for_each(|node| node.learn(state));
        }
        let pause = if matches!(state, State::Up(_)) { PRIMARY } else { LOST };
        let (reads, writes) = (pin!(nodes[0].hurry.notified()), pin!(nodes[1].hurry.notified()));
        let _ = tokio::time::timeout(pause, select(reads, writes)).await;
    }
}

/// Keeps pools in order for ever.
pub(super) async fn tend(nodes: Vec<Arc<Node>>) {
    let mut interval = tokio::time::interval(TENDING);
    loop {
        interval.tick().await;
        for node in &nodes {
            node.tend().await;
        }
    }
}

/// Whether a server that did not tell its position in time has answered others meanwhile: then it is busy, and what was
/// known of it still holds.
fn is_only_slow<const N: usize>(state: State, patience: Duration, nodes: [&Node; N]) -> bool {
    state == State::Down(SILENT) && nodes.iter().any(|node| node.has_answered(patience))
}

struct Watcher {
    options: PgConnectOptions,
    patience: Duration,
    connection: Option<(PgConnection, Instant)>,
}

impl Watcher {
    /// What the server says, on a connection that is not older than `lifetime`.
    async fn ask(&mut self, lifetime: Option<Duration>) -> State {
        let is_old =
            |(_, opened): &(PgConnection, Instant)| lifetime.is_some_and(|lifetime| opened.elapsed() > lifetime);
        if let Some((connection, _)) = self.connection.take_if(|connection| is_old(connection)) {
            // The server may not even take a farewell.
            let _ = tokio::time::timeout(self.patience, farewell(connection)).await;
        }
        match tokio::time::timeout(self.patience, self.survey()).await {
            Ok(Ok(survey)) => State::Up(survey),
            Ok(Err(error)) => {
                self.connection = None;
                let error = Error::from(error);
                tracing::debug!(cause = ?error, "a server could not be asked for its position");
                State::Down(if error.is_unavailable() {
                    "it cannot be reached"
                } else {
                    "it does not tell its position"
                })
            }
            Err(_) => {
                self.connection = None;
                State::Down(SILENT)
            }
        }
    }

    async fn survey(&mut self) -> Result<Survey, sqlx::Error> {
        // One that is dropped while it is asked is not used again.
        let (mut connection, opened) = match self.connection.take() {
            Some(kept) => kept,
            None => (self.options.connect().await?, Instant::now()),
        };
        let survey = Survey::of(&mut connection).await?;
        self.connection = Some((connection, opened));
        Ok(survey)
    }
}
