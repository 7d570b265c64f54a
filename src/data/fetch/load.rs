//! One statement for what no tier serves, and what is kept of its answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::{Cached, Sources};
use crate::data::cache::far::Missed;
use crate::data::cache::{Cache, Entry, Envelope, Fill as FarFill, Miss, Place, Resource, Space, View};
use crate::data::databases::{Needs, Read};
use crate::data::error::Error;
use crate::data::find::Source;
use crate::data::ledger::{About, Field};
use crate::data::mutant::{self, Mutant};
use crate::data::position::Position;
use crate::data::sql;
use crate::data::trace::{self, Trace};

/// What a row of a list takes: its columns and its place in memory are about so much larger than their encodings.
const ROW: usize = 120;

/// A source that is asked of the tiers.
#[derive(Clone)]
pub(super) struct Asked<S> {
    pub source: S,
    pub view: View,
    cache: Cache,
    space: Space,
}

impl<S: Cached> Asked<S> {
    /// None where nothing of it is kept, or may be now; so many keys have missed then.
    pub fn of(cache: &Cache, source: &S, view: View, keys: usize) -> Option<Self> {
        let space = source.space(cache.declared())?;
        let resource = cache.resource(space.resource)?;
        if resource.is_off || !view.history.tells_all(source.tables()) {
            resource.in_near.have_missed(Miss::Disabled, keys);
            return None;
        }
        Some(Self { source: source.clone(), view, cache: cache.clone(), space })
    }

    /// The same of whoever knows nothing of what has changed: what is read must show by itself all that is asked.
    pub fn knowing_nothing(&self) -> Self {
        let mut asked = self.clone();
        asked.view.told = Position::default();
        asked
    }

    pub fn place(&self, key: &S::Key) -> Place {
        Place { space: self.space, key: self.source.scalar(key) }
    }

    pub fn resource(&self) -> &Resource {
        self.cache.resource(self.space.resource).expect("what is asked of the tiers is a resource")
    }

    /// Whether the near tier has something for any of the keys, which it may not be allowed to serve.
    pub fn is_there(&self, keys: &[S::Key]) -> bool {
        self.resource().near.as_ref().is_some_and(|near| keys.iter().any(|key| near.has(&self.place(key))))
    }

    /// So many keys are read past the tiers.
    pub fn skips(&self, keys: usize) {
        self.resource().in_near.have_missed(Miss::Skipped, keys);
        self.cache.count(0, 0, keys);
    }

    /// What the far tier serves, with its stamp, and the keys that it does not.
    pub async fn far(&self, keys: Vec<S::Key>, trace: &Trace) -> (Kept<S>, Vec<S::Key>) {
        let mut served = HashMap::new();
        let Some(far) = self.cache.far() else { return (served, keys) };
        let resource = self.resource();
        let meters = &resource.in_far;
        // Where there is no near tier it is all there is.
        if resource.near.is_some() && !resource.far_pays() {
            meters.have_missed(Miss::Skipped, keys.len());
            return (served, keys);
        }
        let asked = keys.len();
        let prefix = &self.view.history.prefix;
        let places: Vec<_> = keys.iter().map(|key| self.place(key).far_key(prefix)).collect();
        let span = trace.span(|| trace::About {
            name: "MGET".into(),
            kind: SpanKind::Client,
            attributes: vec![
                KeyValue::new("db.system.name", "redis"),
                KeyValue::new("db.operation.name", "MGET"),
                KeyValue::new("db.operation.batch.size", places.len() as i64),
            ],
        });
        let found = match far.get(&places).await {
            Ok(found) => found,
            Err(missed) => {
                span.trace().fail(match missed {
                    Missed::Breaker => "breaker_open",
                    Missed::Failed => "no_answer",
                });
                meters.have_missed(Miss::of_far(missed), keys.len());
                return (served, keys);
            }
        };
        drop(span);
        let (now, mut missing) = (Instant::now(), Vec::new());
        for (key, bytes) in keys.into_iter().zip(found) {
            let size = bytes.as_ref().map_or(0, Vec::len);
            let Some((envelope, value)) = bytes.and_then(|bytes| Envelope::open::<S::Kept>(&bytes)) else {
                meters.missed(Miss::Absent);
                missing.push(key);
                continue;
            };
            match self.view.refuses(envelope.stamp, self.source.dependencies(&key)) {
                Some(miss) => {
                    meters.missed(miss);
                    missing.push(key);
                }
                None => {
                    meters.hits.increment(1);
                    meters.age.record(envelope.age());
                    let entry = Entry::new(value.clone(), (self.view.history.universe, envelope.stamp), now);
                    resource.keep(self.place(&key), entry.far(true), size + self.size_of_rows(value.as_ref()));
                    served.insert(key, (envelope.stamp, value));
                }
            }
        }
        resource.far_had(asked, served.len());
        (served, missing)
    }

    /// What the rows that a value holds take besides their encoding, as far as sizes are of encodings.
    fn size_of_rows(&self, kept: Option<&S::Kept>) -> usize {
        kept.map_or(0, |kept| self.source.rows(kept) * ROW)
    }

    /// What is to go into the far tier of an entry of the near one.
    pub fn for_far(&self, key: &S::Key, entry: &Entry<S::Kept>) -> Option<FarFill> {
        let what = (entry.stamp, entry.value.as_ref());
        self.resource().for_far(&self.place(key), &self.view.history.prefix, what)
    }
}

/// What the far tier served: stamps and values, none where nothing was found.
pub(super) type Kept<S> = HashMap<<S as Source>::Key, (Position, Option<<S as Cached>::Kept>)>;

/// A statement to be sent.
pub(super) struct Load<'a, S> {
    pub sources: &'a Sources,
    pub needs: &'a Needs,
    pub source: &'a S,
    /// The field that was the first to ask.
    pub field: Option<&'a Arc<Field>>,
}

/// A statement that was sent.
#[derive(Clone)]
pub(super) struct Sent {
    pub read: Read,
    /// Rows that it returned.
    pub rows: usize,
}

/// What a statement came to.
pub(super) struct Loaded<S: Source> {
    pub sent: Sent,
    /// What its answer shows, if that is known.
    pub stamp: Option<Position>,
    pub found: Result<HashMap<S::Key, S::Value>, Error>,
}

/// What becomes of what a statement returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is not kept.
    Nowhere,
    /// Near; and far once it is served, or at once where there is no near tier.
    Near,
    /// In both tiers at once: it is known to be of use.
    Everywhere,
}

impl<S: Cached> Load<'_, S> {
    /// Sends the statement. It shows what may be served to who asked the tiers; what it returns is kept for others.
    pub async fn run(&self, keys: &[S::Key], asked: Option<&Asked<S>>, keep: Keep) -> Loaded<S> {
        let Self { sources: Sources { databases, cache, .. }, needs, source, field } = *self;
        // A look at each fence, of which there are megabytes.
        let needing = asked.filter(|_| databases.has_replicas());
        let needed = needing.map(|asked| asked.view.needed(keys.iter().flat_map(|key| source.dependencies(key))));
        // What a primary answers to a later question shows at least that much.
        let applied = asked.map(|asked| match databases.latest().filter(|_| mutant::is(Mutant::StampOfLog)) {
            Some(flushed) => flushed,
            None => asked.view.history.fences.applied(),
        });
        let about = About {
            source: source.name(),
            kind: source.kind(),
            field: field.cloned(),
            keys: keys.len(),
            trace: needs.trace().clone(),
        };
        let mut statement = source.statement(databases.dialect(), keys);
        sql::sign(&mut statement, about.source, about.kind);
        let (read, rows) = databases.read(needs, needed, &about, statement).await;
        let count = rows.as_ref().map_or(0, Vec::len);
        let found = rows.and_then(|rows| Ok(source.values(keys, rows, &cache.declared().tables)?));
        let stamp = read.stamp.or(applied);
        if keep != Keep::Nowhere
            && let (Some(asked), Some(stamp), Ok(found)) = (asked, stamp, &found)
        {
            let mut fill = Fill::new(asked, stamp, keep);
            for key in keys {
                fill.put(key, found.get(key));
            }
            fill.finish();
        }
        Loaded { sent: Sent { read, rows: count }, stamp, found }
    }
}

impl<S: Cached> Loaded<S> {
    /// Whether it shows, with all that came along, whatever a request must be shown that had asked before it was sent, or
    /// that asks now.
    pub fn shows_enough(&self, asked: &Asked<S>, was_before: bool) -> bool {
        // What the primary was asked after somebody had asked for it shows whatever they had seen.
        let is_primary = self.sent.read.stamp.is_none();
        let is_new = self.stamp.is_some_and(|stamp| stamp >= asked.view.demand.position());
        is_primary && was_before || is_new || mutant::is(Mutant::RowsForgotten)
    }
}

impl Sent {
    /// The same, with what another statement for the same batch has cost.
    pub fn after(&self, other: Option<&Self>) -> Self {
        let mut both = self.clone();
        if let Some(other) = other {
            both.rows += other.rows;
            both.read.statements += other.read.statements;
        }
        both
    }
}

/// Values on their way into the tiers.
pub(super) struct Fill<'a, S> {
    asked: &'a Asked<S>,
    stamp: Position,
    now: Instant,
    is_hot: bool,
    far: Vec<FarFill>,
}

impl<'a, S: Cached> Fill<'a, S> {
    pub fn new(asked: &'a Asked<S>, stamp: Position, keep: Keep) -> Self {
        Self { asked, stamp, now: Instant::now(), is_hot: keep == Keep::Everywhere, far: Vec::new() }
    }

    pub fn put(&mut self, key: &S::Key, value: Option<&S::Value>) {
        let Asked { source, view, cache, .. } = self.asked;
        // What is behind its fence already is of no use to anybody.
        if self.stamp < view.history.fences.fence(source.dependencies(key)) {
            return;
        }
        let (resource, place) = (self.asked.resource(), self.asked.place(key));
        let kept = value.map(|value| source.keep(value));
        let rows = self.asked.size_of_rows(kept.as_ref());
        // What nobody asks for twice costs the far tier nothing. Without a near tier nobody would know.
        let is_for_far = cache.far().is_some() && (self.is_hot || resource.near.is_none());
        let size = if is_for_far {
            let what = (self.stamp, kept.as_ref());
            let Some(fill) = resource.for_far(&place, &view.history.prefix, what) else { return };
            let size = fill.value.len();
            self.far.push(fill);
            size
        } else {
            postcard::experimental::serialized_size(&kept).unwrap_or_default()
        };
        // What was served often is remembered for some changes, even if nobody asks between them.
        let served = resource.near.as_ref().filter(|_| self.is_hot).and_then(|near| near.hits(&place)).unwrap_or(0);
        let entry = Entry::new(kept, (view.history.universe, self.stamp), self.now).served(served / 2);
        resource.keep(place, entry.far(is_for_far), size + rows);
    }

    pub fn finish(self) {
        if let Some(far) = self.asked.cache.far()
            && !self.far.is_empty()
        {
            far.fill(self.far);
        }
    }
}
