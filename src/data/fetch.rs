//! *fetch* gets values for keys from wherever they may come: from the near tier, from the far tier, from a database. The
//! one layer between the loaders of a request and all of them; nothing above it notices.
//!
//! Promises that a batch costs at most one round trip to the far tier and one statement for what is missing, that equal
//! loads of several requests are one, and that whatever comes from a tier passed the rule of
//! [`coherence`](super::coherence) for the request that gets it. What shows a mutation's work never comes from a tier.

mod answers;
mod audit;
mod declare;
mod flight;
mod kept;
mod load;
mod refresh;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_graphql::dataloader::Loader;
use futures_util::FutureExt;
use metrics::histogram;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tokio::sync::mpsc;

use super::cache::{self, Cache, Far, Miss, Refresh, View};
use super::coherence::Demand;
use super::databases::{Databases, Needs, TOKEN_WAIT};
use super::error::Error;
use super::find::Source;
use super::ledger::{Batch, Field, Ledger};
use super::position::Position;
use super::trace;
use answers::Recorder;
pub use answers::{Answered, Keep, Question};
use audit::{Audit, is_chosen};
pub use declare::Declarations;
use flight::{Flights, Landed};
pub use kept::{Cached, Had};
use load::{Asked, Load, Sent};
use refresh::Refills;

/// The most comparisons that may wait.
const WAITING: usize = 64;
/// How long a request waits, once, for the log to tell of rows that have just changed.
const FRESH_WAIT: Duration = Duration::from_millis(10);
/// Of so many hits of one value in the near tier, its age is recorded once.
const AGES: u32 = 16;

/// Where values come from, for all requests. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    pub databases: Databases,
    pub cache: Cache,
    flights: Arc<Flights>,
    /// Takes hits that are to be compared with the primary. Where there is none, nothing is compared.
    audits: Option<mpsc::Sender<Audit>>,
}

/// The data layer as one request sees it.
#[derive(Clone)]
pub struct Fetcher {
    sources: Sources,
    needs: Needs,
    ledger: Arc<Ledger>,
    recorder: Arc<Recorder>,
}

impl Sources {
    /// The tiers and the databases, for what is declared; and who keeps what the log tells of rows.
    ///
    /// # Errors
    /// When the settings name a resource that there is not: the text tells which there are.
    pub fn open(
        databases: Databases,
        declarations: Declarations,
        settings: cache::Settings,
        far: Option<Far>,
    ) -> Result<(Self, Arc<dyn Refresh>), String> {
        let Declarations { declared, refills } = declarations;
        let cache = Cache::new(declared, settings, far)?;
        let sources = Self { databases, cache, flights: Arc::default(), audits: None };
        let (audits, asked) = mpsc::channel(WAITING);
        tokio::spawn(audit::run(sources.clone(), asked));
        let refills = Refills { sources: sources.clone(), refills };
        Ok((Self { audits: Some(audits), ..sources }, Arc::new(refills)))
    }

    /// Has some of the hits compared with the primary; as many as there is time for.
    fn audit<S: Cached>(&self, asked: &Asked<S>, key: &S::Key, served: Option<&S::Kept>, stamp: Position) {
        let Some(audits) = &self.audits else { return };
        if is_chosen(self.cache.settings().audit_per_mille)
            && let Ok(permit) = audits.try_reserve()
        {
            let what = (asked.place(key), key.clone());
            permit.send(audit::of(asked.source.clone(), what, (served.cloned(), stamp), asked.view.history.clone()));
        }
    }

    /// What the tiers may serve to a request; nothing while it is not known how recent anything is.
    fn view(&self, needs: &Needs) -> Option<View> {
        if !self.cache.is_on() || needs.are_direct() {
            return None;
        }
        let histories = self.cache.histories();
        let (universe, bound) = self.databases.bound_of_tiers()?;
        let history = match self.databases.embedded() {
            // Its fences are raised before a commit is counted.
            Some(commits) => {
                let (history, is_new) = histories.begin(universe);
                if is_new {
                    history.tells(self.cache.declared().tables().collect());
                }
                history.advance(commits);
                history
            }
            None => histories.of(universe)?,
        };
        let demand = Demand { token: needs.seen().unwrap_or_default(), bound };
        Some(View::of(history, demand))
    }
}

impl Fetcher {
    pub fn new(sources: Sources, needs: Needs, ledger: Arc<Ledger>) -> Self {
        Self { sources, needs, ledger, recorder: Arc::default() }
    }

    /// Nobody will ask what the answer depends on.
    pub fn forgets(&self) {
        self.recorder.spoil();
    }

    /// Values of a source for keys, by key; a key without a value was not found.
    pub async fn fetch<S: Cached>(&self, source: &S, keys: &[S::Key]) -> Result<HashMap<S::Key, S::Value>, Error> {
        self.fetch_for(source, keys, None).await
    }

    /// The same for a field.
    async fn fetch_for<S: Cached>(
        &self,
        source: &S,
        keys: &[S::Key],
        field: Option<Arc<Field>>,
    ) -> Result<HashMap<S::Key, S::Value>, Error> {
        histogram!("shoal_batch_keys", "source" => source.name(), "kind" => source.kind()).record(keys.len() as f64);
        let span = self.needs.trace().span(|| trace::About {
            name: format!("load {} {}", source.kind(), source.name()).into(),
            kind: SpanKind::Internal,
            attributes: vec![
                KeyValue::new("shoal.source", source.name()),
                KeyValue::new("shoal.kind", source.kind()),
                KeyValue::new("shoal.keys", keys.len() as i64),
            ],
        });
        if !span.trace().is_on() {
            return self.fetch_within(source, keys, field).await;
        }
        let within = Self { needs: self.needs.clone().within(span.trace().clone()), ..self.clone() };
        let fetched = within.fetch_within(source, keys, field).await;
        if fetched.is_err() {
            span.trace().fail("load_failed");
        }
        fetched
    }

    async fn fetch_within<S: Cached>(
        &self,
        source: &S,
        keys: &[S::Key],
        field: Option<Arc<Field>>,
    ) -> Result<HashMap<S::Key, S::Value>, Error> {
        let start = Instant::now();
        let view = self.view().await;
        if let Some(asked) = view.and_then(|view| Asked::of(&self.sources.cache, source, view, keys.len())) {
            // Decided before it is known how much is missing, so that what is learnt is true of all.
            let pays = asked.resource().pays();
            if pays || self.is_of_use(&asked, keys) {
                return self.through_tiers(&asked, pays, keys, field.as_ref(), start).await;
            }
            asked.skips(keys.len());
        }
        self.recorder.spoil();
        let load = Load { sources: &self.sources, needs: &self.needs, source, field: field.as_ref() };
        let loaded = load.run(keys, None, load::Keep::Nowhere).boxed().await;
        self.record(source, keys.len(), Tally::default(), Some(&loaded.sent), start);
        loaded.found
    }

    /// The same view for a whole batch. Waits for the feed where it is behind what the client has seen, once.
    async fn view(&self) -> Option<View> {
        let view = self.sources.view(&self.needs)?;
        if view.told >= view.demand.token || !self.needs.may_wait() {
            return Some(view);
        }
        let _ = tokio::time::timeout(TOKEN_WAIT, view.history.reaches(view.demand.token)).await;
        self.sources.view(&self.needs)
    }

    /// Whether to go through the tiers is of use where they save little: they have some of it all the same, an answer that may
    /// be kept is made of it, or fences tell which replica may be asked.
    fn is_of_use<S: Cached>(&self, asked: &Asked<S>, keys: &[S::Key]) -> bool {
        self.recorder.records() || self.sources.databases.has_replicas() || asked.is_there(keys)
    }

    async fn through_tiers<S: Cached>(
        &self,
        asked: &Asked<S>,
        pays: bool,
        keys: &[S::Key],
        field: Option<&Arc<Field>>,
        start: Instant,
    ) -> Result<HashMap<S::Key, S::Value>, Error> {
        let source = &asked.source;
        let Near { mut had, mut missing, soon } = self.near(asked, keys, pays);
        if soon > asked.view.history.fences.applied() && self.needs.may_wait() {
            let _ = tokio::time::timeout(FRESH_WAIT, asked.view.history.shows(soon)).await;
            let again = self.near(asked, &missing, pays);
            had.extend(again.had);
            missing = again.missing;
        }
        let mut tally = Tally { near: keys.len() - missing.len(), far: 0 };
        let mut values = HashMap::new();
        let (mut sent, mut joined) = (None, 0);
        if !missing.is_empty() {
            let is_recorded = self.recorder.records();
            let looked_at = missing.iter().filter(|_| is_recorded);
            let slots = looked_at.flat_map(|key| source.dependencies(key)).collect();
            let landed = if pays {
                self.sources.flights.join(&self.sources, (&self.needs, field), asked, missing).boxed().await
            } else {
                let load = Load { sources: &self.sources, needs: &self.needs, source, field };
                Landed::of(asked, load.run(&missing, Some(asked), load::Keep::Nowhere).boxed().await)
            };
            joined = landed.joined;
            self.recorder.read(source, &asked.view.history, landed.stamp, slots, landed.values.values());
            tally.far = landed.far;
            had.extend(landed.had);
            sent = landed.sent;
            if let Some(failed) = landed.failed {
                self.record(source, keys.len(), tally, sent.as_ref(), start);
                return Err(failed);
            }
            values = landed.values;
        }
        if pays {
            asked.resource().saved(keys.len(), tally.near + tally.far + joined);
        }
        self.sources.cache.count(tally.near, tally.far, keys.len() - tally.near - tally.far);
        self.record(source, keys.len(), tally, sent.as_ref(), start);
        let again = source.restore(self, &asked.view, had, &mut values).await?;
        if !again.is_empty() {
            // A list and its rows are of two states.
            let start = Instant::now();
            let load = Load { sources: &self.sources, needs: &self.needs, source, field };
            let loaded = load.run(&again, Some(&asked.knowing_nothing()), load::Keep::Everywhere).boxed().await;
            self.record(source, again.len(), Tally::default(), Some(&loaded.sent), start);
            let read = loaded.found.iter().flat_map(HashMap::values);
            self.recorder.read(source, &asked.view.history, loaded.stamp, Vec::new(), read);
            values.extend(loaded.found?);
        }
        Ok(values)
    }

    /// What the near tier serves, and the keys that it does not.
    fn near<S: Cached>(&self, asked: &Asked<S>, keys: &[S::Key], pays: bool) -> Near<S> {
        let (mut had, mut missing, mut soon) = (Vec::with_capacity(keys.len()), Vec::new(), Position::default());
        let (source, view, resource) = (&asked.source, &asked.view, asked.resource());
        let meters = &resource.in_near;
        let Some(near) = &resource.near else { return Near { had, missing: keys.to_vec(), soon } };
        let (now, mut for_far) = (Instant::now(), Vec::new());
        let (mut parts, mut misses) = (Vec::with_capacity(keys.len()), [0; Miss::ALL.len()]);
        for key in keys {
            let place = asked.place(key);
            let found = match pays || near.has(&place) {
                true => near.get::<S::Kept>(&place, view.history.universe, now),
                false => Err(Miss::Absent),
            };
            let judged = found.and_then(|entry| {
                let slots = source.dependencies(key);
                match view.refuses(entry.stamp, slots.iter()) {
                    Some(miss) => {
                        if S::IS_TOLD && miss == Miss::BehindFence && resource.is_hot(entry.hits()) {
                            soon = soon.max(view.history.fences.fence(slots.iter()));
                        }
                        Err(miss)
                    }
                    None => Ok((entry, slots)),
                }
            });
            let miss = match judged {
                Err(miss) => miss,
                Ok((entry, slots)) => {
                    parts.extend(slots.into_iter().map(|slot| (slot, entry.stamp)));
                    let hits_before = entry.hit();
                    if hits_before.is_multiple_of(AGES) {
                        meters.age.record(now.saturating_duration_since(entry.filled));
                    }
                    if self.sources.cache.far().is_some() && entry.is_for_far(hits_before) {
                        for_far.extend(asked.for_far(key, &entry));
                    }
                    self.sources.audit(asked, key, entry.value.as_ref(), entry.stamp);
                    if let Some(kept) = entry.value.clone() {
                        had.push(Had { key: key.clone(), stamp: entry.stamp, kept });
                    }
                    continue;
                }
            };
            misses[miss as usize] += 1;
            missing.push(key.clone());
        }
        let served = keys.len() - missing.len();
        Miss::ALL.into_iter().zip(misses).for_each(|(miss, keys)| meters.have_missed(miss, keys));
        meters.hits.increment(served as u64);
        if served > 0 {
            self.recorder.used(source, &view.history, parts.into_iter());
        }
        if let Some(far) = self.sources.cache.far().filter(|_| !for_far.is_empty()) {
            far.fill(for_far);
        }
        Near { had, missing, soon }
    }

    fn record<S: Source>(&self, source: &S, keys: usize, tally: Tally, sent: Option<&Sent>, start: Instant) {
        self.needs.trace().note(|| {
            let count = |name, count| KeyValue::new(name, count as i64);
            vec![count("shoal.keys.near", tally.near), count("shoal.keys.far", tally.far)]
        });
        self.ledger.record(Batch {
            source: source.name(),
            kind: source.kind(),
            keys,
            near: tally.near,
            far: tally.far,
            rows: sent.map_or(0, |sent| sent.rows),
            node: sent.and_then(|sent| sent.read.node.clone()),
            position: sent.and_then(|sent| sent.read.stamp),
            statements: sent.map_or(0, |sent| sent.read.statements),
            duration: start.elapsed(),
        });
    }
}

/// What the near tier came to.
struct Near<S: Cached> {
    had: Vec<Had<S>>,
    missing: Vec<S::Key>,
    /// Through where the log is to be told for those of the missing that it tells anew; or nowhere.
    soon: Position,
}

/// How many keys each tier served.
#[derive(Clone, Copy, Default)]
struct Tally {
    near: usize,
    far: usize,
}

/// A source as a loader of the ecosystem's contract, so that the dispatcher knows only one kind.
pub struct Fetch<S> {
    source: S,
    fetcher: Arc<Fetcher>,
    /// The field that was the first to ask since the last load.
    field: Mutex<Option<Arc<Field>>>,
}

impl<S> Fetch<S> {
    pub fn new(source: S, fetcher: Arc<Fetcher>) -> Self {
        Self { source, fetcher, field: Mutex::default() }
    }

    /// A field is the first to ask of those that are asked for together.
    pub fn is_asked_by(&self, field: Option<Arc<Field>>) {
        *self.lock() = field;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Field>>> {
        self.field.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Cached> Loader<S::Key> for Fetch<S> {
    type Value = S::Value;
    type Error = Error;

    async fn load(&self, keys: &[S::Key]) -> Result<HashMap<S::Key, S::Value>, Error> {
        let field = self.lock().clone();
        self.fetcher.fetch_for(&self.source, keys, field).await
    }
}
