//! Some hits are compared with the primary, in the background: the promise is checked where it is made.
//!
//! The primary may show less than what was served: a replica shows a commit at once, and the primary not until it has
//! heard of a synchronous standby. So it is asked once it shows all that it had in its log by then. And a value may have
//! changed since it was served, so a difference by itself says nothing. It counts if the old value still passes the rule
//! once the feed is past the state that it was compared with.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::counter;
use sea_orm::Statement;
use tokio::sync::mpsc;

use super::answers::Part;
use super::load::{Keep, Load};
use super::{Cached, Sources, WAITING};
use crate::data::cache::{History, Place};
use crate::data::databases::Needs;
use crate::data::ledger::About;
use crate::data::pause::pause;
use crate::data::position::Position;
use crate::data::sql::Dialect;

/// How long the feed may take to get past what a value was compared with; the comparison says nothing after that.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long comparisons are gathered: those that wait need the primary's position once.
const GATHER: Duration = Duration::from_millis(20);

/// A comparison to be made.
pub(super) struct Audit {
    pub history: Arc<History>,
    pub compare: Compare,
}

/// Compares with the primary, or says that it does not show all that may have been served.
pub(super) type Compare = Box<dyn FnOnce(Sources, bool) -> BoxFuture<'static, ()> + Send>;

/// Chooses so many of a thousand.
pub(super) fn is_chosen(per_mille: u32) -> bool {
    thread_local!(static STATE: Cell<u64> = const { Cell::new(0x9e37_79b9_7f4a_7c15) });
    // A Weyl sequence, mixed (https://prng.di.unimi.it/splitmix64.c): cheap, and even enough.
    let next = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(next);
    let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 32) % 1000 < u64::from(per_mille)
}

/// Makes comparisons, one after the other, until nobody asks for any more.
pub(super) async fn run(sources: Sources, mut asked: mpsc::Receiver<Audit>) {
    let mut waiting = Vec::new();
    while asked.recv_many(&mut waiting, WAITING).await > 0 {
        let mut known: Option<(Arc<History>, bool)> = None;
        for Audit { history, compare } in waiting.drain(..) {
            let shows = match &known {
                Some((of, shows)) if Arc::ptr_eq(of, &history) => *shows,
                _ => {
                    let shows = shows_all(&sources, &history).await;
                    known = Some((history, shows));
                    shows
                }
            };
            compare(sources.clone(), shows).await;
        }
        pause(GATHER).await;
    }
}

/// What was compared.
pub(super) struct Judged<'a> {
    pub resource: &'static str,
    pub parts: &'a [Part],
    pub tables: &'a [&'static str],
}

/// The comparison of what was served for a key.
pub(super) fn of<S: Cached>(
    source: S,
    (place, key): (Place, S::Key),
    (served, stamp): (Option<S::Kept>, Position),
    history: Arc<History>,
) -> Audit {
    let of = history.clone();
    let compare: Compare = Box::new(move |sources, shows| {
        async move {
            let same = match shows {
                true => compare(&sources, &source, &key, served.as_ref()).await,
                false => None,
            };
            let parts: Vec<_> = source.dependencies(&key).into_iter().map(|slot| (slot, stamp)).collect();
            let judged = Judged { resource: place.space.resource, parts: &parts, tables: &source.tables() };
            conclude(&sources, judged, same, &history).await;
        }
        .boxed()
    });
    Audit { history: of, compare }
}

/// Counts a comparison; none if it could not be made.
pub(super) async fn conclude(sources: &Sources, judged: Judged<'_>, same: Option<bool>, history: &History) {
    let outcome = match same {
        Some(true) => "same",
        Some(false) => "changed",
        None => "unknown",
    };
    let resource = judged.resource;
    counter!("shoal_cache_audits_total", "resource" => resource, "outcome" => outcome).increment(1);
    if same == Some(false) && still_passes(sources, &judged, history).await {
        counter!("shoal_cache_audit_mismatch_total", "resource" => resource).increment(1);
        tracing::error!(resource, "a cached value is not what the primary has");
    }
}

/// Waits until the primary shows all that anybody may have been served so far; whether it came to that.
async fn shows_all(sources: &Sources, history: &History) -> bool {
    let Some(end) = end(sources).await else { return false };
    if let Some(commits) = sources.databases.embedded() {
        history.advance(commits);
    }
    tokio::time::timeout(PATIENCE, history.shows(end)).await.is_ok()
}

/// Whether the primary has what was served; none if it could not be asked.
async fn compare<S: Cached>(sources: &Sources, source: &S, key: &S::Key, served: Option<&S::Kept>) -> Option<bool> {
    let needs = Needs::default().latest(true);
    let keys = std::slice::from_ref(key);
    let found = Load { sources, needs: &needs, source, field: None }.run(keys, None, Keep::Nowhere).await.found.ok()?;
    let now = found.get(key).map(|value| source.keep(value));
    Some(match (served, &now) {
        (None, None) => true,
        (Some(served), Some(now)) => source.is_same(served, now),
        _ => false,
    })
}

/// Whether what was served passes the rule even when the feed is past what it was compared with.
async fn still_passes(sources: &Sources, judged: &Judged<'_>, history: &History) -> bool {
    let Some(end) = end(sources).await else { return false };
    if let Some(commits) = sources.databases.embedded() {
        history.advance(commits);
    }
    if tokio::time::timeout(PATIENCE, history.reaches(end)).await.is_err() {
        return false;
    }
    let is_now = sources.cache.histories().of(history.universe).is_some();
    is_now && history.tells_all(judged.tables.iter().copied()) && history.fences.let_pass(judged.parts)
}

/// How far the primary is.
async fn end(sources: &Sources) -> Option<Position> {
    match sources.databases.dialect() {
        Dialect::Sqlite => sources.databases.embedded(),
        Dialect::Postgres => {
            let asked = "select pg_current_wal_flush_lsn()::text as position";
            let statement = Statement::from_string(sea_orm::DbBackend::Postgres, asked);
            let about = About { source: "audit", kind: "position", ..About::default() };
            let (_, rows) = sources.databases.read(&Needs::default().latest(true), None, &about, statement).await;
            rows.ok()?.first()?.try_get_by::<String, _>("position").ok()?.parse().ok()
        }
    }
}
