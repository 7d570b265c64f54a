//! One read: what it needs, and the server that answers it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::select_all;
use metrics::counter;
use sea_orm::{QueryResult, Statement};
use tokio::sync::SemaphorePermit;

use super::node::{Found, Node, Refusal};
use super::route::Candidate;
use super::{Databases, Error};
use crate::data::ledger::{About, Origin};
use crate::data::position::Position;
use crate::data::trace::Trace;

/// How long a read waits for what its client has seen, once in a request: for a replica, or the feed, to reach it.
pub(in crate::data) const TOKEN_WAIT: Duration = Duration::from_millis(25);
/// How long a read waits for replicas to be asked anew how far they are.
const FRESH_LOOK: Duration = Duration::from_millis(5);
/// How long a read waits for its turn on a primary that stands in for replicas.
const TURN_WAIT: Duration = Duration::from_millis(100);

/// What a request's reads need of the server that answers. Clones are of the same request.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// The client wants the latest state, which only the primary knows.
    latest: bool,
    /// It shows what a mutation has done: from the primary, whatever else that has to do.
    after_write: bool,
    /// What the client has seen or done.
    seen: Option<Position>,
    /// Tells clients apart.
    client: u64,
    notes: Arc<Notes>,
    origin: Arc<Origin>,
    trace: Trace,
}

#[derive(Debug, Default)]
struct Notes {
    waited: AtomicBool,
    stale: AtomicBool,
}

impl Needs {
    /// Of a request by this client, which has seen so much.
    pub fn new(client: u64, seen: Option<Position>) -> Self {
        Self { client, seen, ..Self::default() }
    }

    /// Whose reads they are.
    pub fn of(mut self, origin: Arc<Origin>) -> Self {
        self.origin = origin;
        self
    }

    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// They are a part of this.
    pub fn within(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Only the latest state will do.
    pub fn latest(mut self, latest: bool) -> Self {
        self.latest = latest;
        self
    }

    /// It shows what a mutation has done.
    pub fn after_write(mut self, after_write: bool) -> Self {
        self.after_write = after_write;
        self
    }

    /// Whether nothing but the primary will do.
    pub(in crate::data) fn are_direct(&self) -> bool {
        self.latest || self.after_write
    }

    /// What the client has seen or done.
    pub(in crate::data) fn seen(&self) -> Option<Position> {
        self.seen
    }

    /// Whether the request may still wait for what its client has seen: it does so once.
    pub(in crate::data) fn may_wait(&self) -> bool {
        !self.notes.waited.swap(true, Ordering::Relaxed)
    }

    /// Whether some read was answered without knowing how old the answer is: the primary is lost.
    pub fn are_stale(&self) -> bool {
        self.notes.stale.load(Ordering::Relaxed)
    }
}

/// What is asked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    needs: &'a Needs,
    about: &'a About,
    statement: &'a Statement,
}

/// What a read came to.
#[derive(Clone, Default)]
pub struct Read {
    /// The server that answered.
    pub node: Option<String>,
    /// Statements sent: more than one when a server failed and another was asked.
    pub statements: u32,
    /// The rows show every commit up to here; not known of a primary.
    pub stamp: Option<Position>,
}

/// Why a server was chosen, for metrics.
#[derive(Clone, Copy)]
pub(super) enum Reason {
    /// By the policy, among the replicas that may answer.
    Policy,
    /// The same, after another had failed.
    Retried,
    /// The same, after it had caught up with what the client has seen.
    Waited,
    /// There are no replicas.
    Only,
    Latest,
    AfterWrite,
    /// No replica is recent enough.
    Behind,
    /// No replica can be used.
    Lost,
    /// By the policy, among the replicas that show what they must, though not all that has changed since: the primary
    /// takes no more.
    Crowded,
}

impl Reason {
    /// In the order in which they are declared.
    pub const ALL: [Self; 9] = [
        Self::Policy,
        Self::Retried,
        Self::Waited,
        Self::Only,
        Self::Latest,
        Self::AfterWrite,
        Self::Behind,
        Self::Lost,
        Self::Crowded,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Retried => "retried",
            Self::Waited => "waited",
            Self::Only => "only",
            Self::Latest => "latest",
            Self::AfterWrite => "after_write",
            Self::Behind => "behind",
            Self::Lost => "lost",
            Self::Crowded => "crowded",
        }
    }
}

impl Databases {
    /// Runs a statement that reads, on a server that shows what is needed: a replica by the policy, else the primary.
    ///
    /// A read may be sent again, so a server that fails costs its caller nothing but time.
    ///
    /// Whoever knows what has changed knows better what a replica must show: all up to `needed`. Without that it is what
    /// the client has seen, and the bound.
    pub async fn read(
        &self,
        needs: &Needs,
        needed: Option<Position>,
        about: &About,
        statement: Statement,
    ) -> (Read, Result<Vec<QueryResult>, Error>) {
        let mut read = Read::default();
        let asked = Asked { needs, about, statement: &statement };
        let rows = self.route(asked, needed, &mut read).await;
        (read, rows)
    }

    /// Whether anybody but the primary may answer.
    pub fn has_replicas(&self) -> bool {
        !self.shared.replicas.is_empty()
    }

    async fn route(
        &self,
        asked: Asked<'_>,
        needed: Option<Position>,
        read: &mut Read,
    ) -> Result<Vec<QueryResult>, Error> {
        let (shared, needs) = (&*self.shared, asked.needs);
        let reason = match () {
            () if needs.after_write => Some(Reason::AfterWrite),
            () if shared.replicas.is_empty() => Some(Reason::Only),
            () if needs.latest => Some(Reason::Latest),
            () => None,
        };
        let reason = match reason {
            Some(reason) => reason,
            None => match self.on_a_replica(asked, needed, Reason::Policy, read).await {
                Ok(answer) => return answer,
                Err(reason) => reason,
            },
        };
        // Reads that come instead of, or besides, those of the replicas cannot take all that the primary has.
        let _turn = match (reason, shared.stand_in.try_acquire()) {
            (Reason::AfterWrite | Reason::Only, _) => None,
            (_, Ok(turn)) => Some(turn),
            (Reason::Behind, Err(_)) if needed.is_some() => {
                // What is asked for has changed a moment ago. What a replica shows of it may still be shown.
                match self.on_a_replica(asked, None, Reason::Crowded, read).await {
                    Ok(answer) => return answer,
                    Err(_) => Some(self.turn().await?),
                }
            }
            (_, Err(_)) => Some(self.turn().await?),
        };
        read.statements += 1;
        match self.ask(&shared.primary, asked, Position::default()).await {
            Ok(found) => Ok(read.answered(&shared.primary, reason, found)),
            Err(Refusal::Failed(error) | Refusal::Conflict(error)) => Err(error),
            Err(Refusal::Behind) => Err(Error::unavailable("another server has taken the primary's place")),
        }
    }

    /// The turn of a read on a primary that stands in for replicas.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        let turn = tokio::time::timeout(TURN_WAIT, self.shared.stand_in.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            counter!("shoal_reads_refused_total").increment(1);
            Error::unavailable("the primary takes no more reads in the place of replicas")
        })
    }

    /// The answer of a replica, or why there is none.
    async fn on_a_replica(
        &self,
        asked: Asked<'_>,
        known: Option<Position>,
        mut reason: Reason,
        read: &mut Read,
    ) -> Result<Result<Vec<QueryResult>, Error>, Reason> {
        let (shared, needs) = (&*self.shared, asked.needs);
        let mut tried = vec![false; shared.replicas.len()];
        let mut has_asked = false;
        loop {
            let bound = self.bound();
            let needed = known.unwrap_or_else(|| needs.seen.max(bound).unwrap_or_default());
            let fit = self.fit_replicas(&tried);
            let eligible: Vec<_> = fit.iter().filter(|(_, position)| *position >= needed).map(|(it, _)| *it).collect();
            let turn = shared.turn.fetch_add(1, Ordering::Relaxed);
            let Some(place) = shared.policy.choose(&eligible, turn, needs.client) else {
                let wait = match known {
                    _ if fit.is_empty() => None,
                    // Something has changed just now: a replica may have it, and not have been asked since.
                    Some(_) => (!std::mem::replace(&mut has_asked, true)).then_some(FRESH_LOOK),
                    // Only what this client has seen is worth a wait: all others have the bound.
                    None => (needs.seen > bound && needs.may_wait()).then_some(TOKEN_WAIT),
                };
                if let Some(wait) = wait
                    && self.some_replica_reaches(needed, wait).await
                {
                    reason = Reason::Waited;
                    continue;
                }
                return Err(if fit.is_empty() { Reason::Lost } else { Reason::Behind });
            };
            let node = &shared.replicas[place];
            tried[place] = true;
            match self.ask(node, asked, needed).await {
                Ok(found) => {
                    read.statements += 1;
                    if bound.is_none() {
                        needs.notes.stale.store(true, Ordering::Relaxed);
                    }
                    return Ok(Ok(read.answered(node, reason, found)));
                }
                Err(Refusal::Behind) => {}
                Err(Refusal::Conflict(_)) => {
                    read.statements += 1;
                    reason = Reason::Retried;
                }
                Err(Refusal::Failed(error)) => {
                    read.statements += 1;
                    if !error.is_unavailable() {
                        read.node = Some(node.name().to_owned());
                        return Ok(Err(error));
                    }
                    reason = Reason::Retried;
                }
            }
        }
    }

    async fn ask(&self, node: &Node, asked: Asked<'_>, needed: Position) -> Result<Found, Refusal> {
        let Asked { needs, about, statement } = asked;
        node.query(&mut self.under_way(node, statement, (&needs.origin, about)), needed).await
    }

    /// The replicas that may be asked at all, and how far each is.
    fn fit_replicas(&self, tried: &[bool]) -> Vec<(Candidate, Position)> {
        let shared = &*self.shared;
        let Some(primary) = self.last_seen_primary() else { return Vec::new() };
        let places = shared.replicas.iter().enumerate().filter(|(place, node)| !tried[*place] && node.is_rested());
        let fit = places.filter_map(|(place, node)| {
            let survey = node.survey().filter(|survey| survey.fits(&primary).is_ok())?;
            Some((Candidate { place, busy: node.busy() }, survey.position))
        });
        fit.collect()
    }

    /// The smallest position that a read may show; none while the primary is lost.
    fn bound(&self) -> Option<Position> {
        let bound = self.freshness().bound(Instant::now(), self.shared.max_staleness);
        self.unless_forgotten(bound)
    }

    async fn some_replica_reaches(&self, position: Position, wait: Duration) -> bool {
        let reach = self.shared.replicas.iter().map(|node| Box::pin(node.reaches(position)));
        let reached = tokio::time::timeout(wait, select_all(reach)).await.is_ok();
        counter!("shoal_token_waits_total", "outcome" => if reached { "reached" } else { "gave_up" }).increment(1);
        reached
    }
}

impl Read {
    fn answered(&mut self, node: &Node, reason: Reason, found: Found) -> Vec<QueryResult> {
        node.answered(reason);
        self.node = Some(node.name().to_owned());
        self.stamp = found.stamp;
        found.rows
    }
}
