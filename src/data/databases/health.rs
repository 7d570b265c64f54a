//! What an operator is told of the servers.

use std::time::Instant;

use metrics::gauge;
use serde::Serialize;

use super::node::{Node, State};
use super::survey::{Role, Survey};
use super::{Databases, Dialect};

/// The state of one server, as it is known now; nobody is asked for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Health {
    /// `primary`, `replica-1`, …; `embedded` for SQLite.
    pub node: String,
    /// Whether it may answer: for a replica whatever is not asked for with a token, for the primary reads and writes.
    pub usable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// `primary` or `replica`, by its own account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Tells one run of one server from others: its system identifier, and when it was started, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
    /// How far it is in the WAL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// How far a replica is behind the primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// Statements at work.
    pub busy: usize,
    /// Connections open, and how many of them are idle.
    pub connections: usize,
    pub idle: usize,
    /// How often somebody waited for a connection, and how often in vain.
    pub waits: u64,
    pub timeouts: u64,
}

impl Databases {
    /// The primary, then its replicas.
    pub fn health(&self) -> Vec<Health> {
        let primary = self.of_primary();
        std::iter::once(primary).chain(self.shared.replicas.iter().map(|node| self.of_replica(node))).collect()
    }

    /// Reports how far replicas are behind to the metrics recorder.
    pub(super) fn observe_lag(&self) {
        for health in self.health().into_iter().skip(1) {
            let usable = f64::from(u8::from(health.usable));
            gauge!("shoal_replica_usable", "node" => health.node.clone()).set(usable);
            if let (Some(bytes), Some(millis)) = (health.lag_bytes, health.lag_ms) {
                gauge!("shoal_replica_lag_bytes", "node" => health.node.clone()).set(bytes as f64);
                gauge!("shoal_replica_lag_seconds", "node" => health.node).set(millis as f64 / 1000.0);
            }
        }
    }

    fn of_primary(&self) -> Health {
        let node = &self.shared.primary;
        let (usable, why) = match node.state() {
            State::Up(_) => (true, None),
            State::Unknown => (self.shared.dialect == Dialect::Sqlite, None),
            State::Down(why) => (false, Some(why)),
        };
        let mut health = Health { usable, why, ..of(node) };
        // Both of its pools.
        if let Some(writes) = self.shared.writes.as_ref().map(|node| node.usage()) {
            health.connections += writes.open;
            health.idle += writes.idle;
            health.waits += writes.waits;
            health.timeouts += writes.timeouts;
        }
        health
    }

    fn of_replica(&self, node: &Node) -> Health {
        let (now, freshness) = (Instant::now(), self.freshness());
        let primary = freshness.primary;
        let survey = node.survey();
        let lag_bytes = survey.and_then(|it| Some(freshness.latest()?.0.saturating_sub(it.position.0)));
        let lag_ms = survey.map(|it| freshness.lag(now, it.position).as_millis() as u64);
        let why = match (node.state(), primary) {
            (State::Down(why), _) => Some(why),
            (State::Unknown, _) | (_, None) => Some("not asked yet"),
            (State::Up(survey), Some(primary)) => match survey.fits(&primary) {
                Err(unfit) => Some(unfit.why()),
                Ok(()) if !node.is_rested() => Some("it rests after a failure"),
                Ok(()) => {
                    let bound = freshness.bound(now, self.shared.max_staleness);
                    (Some(survey.position) < bound).then_some("it lags behind what may be shown")
                }
            },
        };
        Health { usable: why.is_none(), why, lag_bytes, lag_ms, ..of(node) }
    }
}

/// What is known of a server by itself.
fn of(node: &Node) -> Health {
    let usage = node.usage();
    let known = node.survey().map(|Survey { incarnation, role, position, .. }| {
        let (role, timeline) = match role {
            Role::Primary { timeline, .. } => ("primary", timeline),
            Role::Replica { restarted, received } => ("replica", received.unwrap_or(restarted)),
        };
        (role, timeline, format!("{}:{}", incarnation.system, incarnation.started), position.to_string())
    });
    let mut health = Health {
        node: node.name().to_owned(),
        busy: node.busy(),
        connections: usage.open,
        idle: usage.idle,
        waits: usage.waits,
        timeouts: usage.timeouts,
        ..Health::default()
    };
    if let Some((role, timeline, incarnation, position)) = known {
        health.role = Some(role);
        health.timeline = Some(timeline);
        health.incarnation = Some(incarnation);
        health.position = Some(position);
    }
    health
}
