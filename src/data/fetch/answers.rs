//! Whole answers, kept with the stamp and the dependencies of everything that went into one. An answer may be served if all
//! of its parts may: then it is what an execution would make of them. It costs neither that nor a look at a row.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::mpsc::OwnedPermit;

use super::audit::{self, Audit, Compare, is_chosen};
use super::{Cached, Fetcher, Sources};
use crate::data::cache::{ANSWERS, Entry, History, Miss, Near, Place, Resource, Space, View};
use crate::data::coherence::Slot;
use crate::data::databases::Needs;
use crate::data::position::Position;
use crate::data::scalar::Scalar;

/// An answer that depends on more than this is not kept: it would hardly ever be served.
const MOST_PARTS: usize = 1024;

/// A question of a client, as far as its answer depends on it.
#[derive(Clone, Debug)]
pub struct Question(Place);

/// An answer, what was noted of it, and what it depends on.
#[derive(Debug)]
struct Kept<N> {
    bytes: Bytes,
    note: Arc<N>,
    parts: Box<[Part]>,
    tables: Box<[&'static str]>,
}

/// An answer in the near tier.
type Held<N> = Entry<Kept<N>>;

/// Something that an answer depends on, and up to where what went into it shows that.
pub(super) type Part = (Slot, Position);

/// What went into an answer so far.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    /// None until something was read.
    of: Option<Arc<History>>,
    parts: Vec<Part>,
    tables: Vec<&'static str>,
    /// Whether something went into it of which too little is known, or too much.
    is_spoilt: bool,
}

/// What is known of an answer that was made just now, but for its bytes.
pub struct Keep {
    sources: Sources,
    place: Place,
    of: Arc<History>,
    parts: Vec<Part>,
    tables: Vec<&'static str>,
}

/// An answer that was kept, and what was noted of it.
pub struct Answered<N> {
    pub bytes: Bytes,
    pub note: Arc<N>,
    /// There if it is to be compared with what the primary has.
    pub comparison: Option<Comparison<N>>,
}

/// A comparison to be made.
pub struct Comparison<N> {
    permit: OwnedPermit<Audit>,
    kept: Arc<Held<N>>,
    history: Arc<History>,
}

impl Question {
    /// Of a document, with the name of its operation and its variables as text, by somebody.
    pub fn of(document: &str, operation: Option<&str>, variables: &[u8], viewer: &str) -> Self {
        let space = Space::of(ANSWERS, "answer").with_detail(&(document, operation, variables, viewer));
        Self(Place { space, key: Scalar::Null })
    }
}

impl Recorder {
    /// Values of a source went into it.
    pub fn used<S: Cached>(&self, source: &S, history: &Arc<History>, parts: impl Iterator<Item = Part>) {
        let mut recorded = self.lock();
        if recorded.is_spoilt {
            return;
        }
        match &recorded.of {
            Some(known) if Arc::ptr_eq(known, history) => {}
            Some(_) => recorded.is_spoilt = true,
            None => recorded.of = Some(history.clone()),
        }
        recorded.parts.extend(parts);
        for table in source.tables() {
            if !recorded.tables.contains(&table) {
                recorded.tables.push(table);
            }
        }
        recorded.is_spoilt |= recorded.parts.len() > MOST_PARTS;
    }

    /// Values that were read went into it, for which these were looked at; with what they show, if that is known.
    pub fn read<'v, S: Cached>(
        &self,
        source: &S,
        history: &Arc<History>,
        stamp: Option<Position>,
        mut slots: Vec<Slot>,
        values: impl Iterator<Item = &'v S::Value>,
    ) where
        S::Value: 'v,
    {
        let Some(stamp) = stamp else { return self.spoil() };
        if !self.records() {
            return;
        }
        values.for_each(|value| source.depends_also(value, &mut |slot| slots.push(slot)));
        self.used(source, history, slots.into_iter().map(|slot| (slot, stamp)));
    }

    /// Whether it still matters what goes into it.
    pub fn records(&self) -> bool {
        !self.lock().is_spoilt
    }

    /// Something went into it of which it is not known what it shows.
    pub fn spoil(&self) {
        self.lock().is_spoilt = true;
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetcher {
    /// What is known of the answer to a question, once it was made; none where it cannot be kept.
    pub fn keep(&self, question: Question) -> Option<Keep> {
        let mut recorded = self.recorder.lock();
        let is_whole = !std::mem::replace(&mut recorded.is_spoilt, true) && !self.needs.are_stale();
        let of = recorded.of.take().filter(|_| is_whole)?;
        let (parts, tables) = (std::mem::take(&mut recorded.parts), std::mem::take(&mut recorded.tables));
        Some(Keep { sources: self.sources.clone(), place: question.0, of, parts, tables })
    }
}

impl Keep {
    /// Keeps it, with a note of `size` bytes for whoever serves it again.
    pub fn keep<N: Send + Sync + 'static>(mut self, bytes: Bytes, note: Arc<N>, size: usize) {
        let Some(resource) = self.sources.cache.kept(ANSWERS) else { return };
        self.parts.sort_unstable();
        // Of what went into it twice the earlier counts.
        self.parts.dedup_by_key(|(slot, _)| *slot);
        let Some(stamp) = self.parts.iter().map(|(_, stamp)| *stamp).min() else { return };
        if !self.of.fences.let_pass(&self.parts) {
            return;
        }
        // The bytes are counted once, as they are kept once.
        let size = (bytes.len() + size + self.parts.len() * size_of::<Part>()) / 2;
        let kept = Kept { bytes, note, parts: self.parts.into(), tables: self.tables.into() };
        let entry = Entry::new(Some(kept), (self.of.universe, stamp), Instant::now());
        resource.keep(self.place, entry, size);
    }
}

impl Sources {
    /// Whether answers are kept at all: that is the same for as long as the process lives.
    pub fn may_keep_answers(&self) -> bool {
        self.kept_answers().is_some()
    }

    /// Whether they are, and it pays.
    pub fn keeps_answers(&self) -> bool {
        self.kept_answers().is_some_and(Resource::pays)
    }

    fn kept_answers(&self) -> Option<&Resource> {
        self.cache.kept(ANSWERS).filter(|resource| resource.near.is_some())
    }

    /// The answer to a question, if one is kept that may be served.
    pub fn answered<N: Send + Sync + 'static>(&self, needs: &Needs, question: &Question) -> Option<Answered<N>> {
        let view = self.view(needs)?;
        let resource = self.cache.kept(ANSWERS)?;
        let entry = match find::<N>(resource.near.as_ref()?, &view, &question.0) {
            Ok(entry) => entry,
            Err(miss) => {
                resource.in_near.missed(miss);
                resource.saved(1, 0);
                return None;
            }
        };
        entry.hit();
        resource.in_near.hits.increment(1);
        resource.saved(1, 1);
        self.cache.count(1, 0, 0);
        let (bytes, note) = entry.value.as_ref().map(|kept| (kept.bytes.clone(), kept.note.clone()))?;
        let audits = self.audits.as_ref().filter(|_| is_chosen(self.cache.settings().audit_per_mille));
        let permit = audits.and_then(|audits| audits.clone().try_reserve_owned().ok());
        let comparison = permit.map(|permit| Comparison { permit, kept: entry, history: view.history });
        Some(Answered { bytes, note, comparison })
    }
}

/// An answer that may be served, or why there is none.
fn find<N: Send + Sync + 'static>(near: &Near, view: &View, place: &Place) -> Result<Arc<Held<N>>, Miss> {
    let entry = near.get::<Kept<N>>(place, view.history.universe, Instant::now())?;
    let kept = entry.value.as_ref().ok_or(Miss::Absent)?;
    if !view.history.tells_all(kept.tables.iter().copied()) {
        return Err(Miss::Disabled);
    }
    match view.refuses_some(entry.stamp, &kept.parts) {
        Some(miss) => Err(miss),
        None => Ok(entry),
    }
}

impl<N: Send + Sync + 'static> Comparison<N> {
    /// Compares, in the background, with what is made of what the primary has; none if that fails.
    pub fn with(self, made_anew: impl Future<Output = Option<Bytes>> + Send + 'static) {
        let Self { permit, kept: entry, history } = self;
        let of = history.clone();
        let compare: Compare = Box::new(move |sources, shows| {
            async move {
                let Some(kept) = &entry.value else { return };
                let same = match shows {
                    true => made_anew.await.map(|now| now == kept.bytes),
                    false => None,
                };
                let judged = audit::Judged { resource: ANSWERS, parts: &kept.parts, tables: &kept.tables };
                audit::conclude(&sources, judged, same, &history).await;
            }
            .boxed()
        });
        permit.send(Audit { history: of, compare });
    }
}
