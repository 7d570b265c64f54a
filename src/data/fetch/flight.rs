//! Equal loads of different requests are one.
//!
//! A flight belongs to none of them: whoever waits for it drives it, and when the last one leaves, it ends. Who joins one
//! that is under way looks at the result with its own eyes: it may have seen more than who began it.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, join_all};
use metrics::counter;

use super::load::{Asked, Keep, Kept, Load, Loaded, Sent};
use super::{Cached, Had, Sources};
use crate::data::cache::{History, Place};
use crate::data::databases::Needs;
use crate::data::error::Error;
use crate::data::ledger::Field;
use crate::data::position::Position;

type Open = foldhash::HashMap<Place, Weak<dyn Any + Send + Sync>>;

/// Who asks: what that needs, and for which field.
type By<'a> = (&'a Needs, Option<&'a Arc<Field>>);

/// The flights that are under way, by the places that they go for.
#[derive(Default)]
pub(super) struct Flights {
    open: Mutex<Open>,
}

/// A load that is under way.
struct Flight<S: Cached> {
    landing: Shared<BoxFuture<'static, Arc<Landing<S>>>>,
    /// Whether a database may have been asked already.
    sent: Arc<AtomicBool>,
    /// The history whose positions its stamps are.
    history: Arc<History>,
    flights: Arc<Flights>,
    places: Vec<Place>,
}

/// What a flight brought.
struct Landing<S: Cached> {
    /// Of the far tier.
    kept: Kept<S>,
    /// Of a database, if one was asked.
    loaded: Option<Arc<Loaded<S>>>,
}

/// What a batch got.
pub(super) struct Landed<S: Cached> {
    /// As it was kept, or as it was read where that is not known to show all that it must.
    pub had: Vec<Had<S>>,
    /// How many keys the far tier served; some of them it may have without a value.
    pub far: usize,
    /// How many keys others were loading already.
    pub joined: usize,
    /// As it was read, and may be shown; a key that is in neither was not found.
    pub values: HashMap<S::Key, S::Value>,
    /// What all of it shows; none where that is not known.
    pub stamp: Option<Position>,
    /// What was sent for this batch.
    pub sent: Option<Sent>,
    /// Why there is no more.
    pub failed: Option<Error>,
}

/// A flight that others began, and the keys that it goes for.
struct Joined<S: Cached> {
    flight: Arc<Flight<S>>,
    /// Those that were asked for before a database was, and those that were asked for later.
    keys: Vec<(S::Key, bool)>,
}

impl Flights {
    /// Waits for the flights that go for these keys; begins one for those for which there is none.
    pub async fn join<S: Cached>(
        self: &Arc<Self>,
        sources: &Sources,
        by: By<'_>,
        asked: &Asked<S>,
        keys: Vec<S::Key>,
    ) -> Landed<S> {
        let mut landed = Landed::nothing();
        // What others brought may not do for all who joined them, or nothing came of it: those go together once more.
        let again = self.together(sources, by, asked, keys, &mut landed).await;
        let alone = self.together(sources, by, asked, again, &mut landed).await;
        if !alone.is_empty() && landed.failed.is_none() {
            let load = Load { sources, needs: by.0, source: &asked.source, field: by.1 };
            landed.takes_all(asked, load.run(&alone, Some(asked), Keep::Near).await);
        }
        landed
    }

    /// Waits for flights as above, once; the keys for which they brought nothing that may be served.
    async fn together<S: Cached>(
        self: &Arc<Self>,
        sources: &Sources,
        by: By<'_>,
        asked: &Asked<S>,
        keys: Vec<S::Key>,
        landed: &mut Landed<S>,
    ) -> Vec<S::Key> {
        if keys.is_empty() || landed.failed.is_some() {
            return Vec::new();
        }
        let (own, others) = self.board(sources, by, asked, keys);
        let all = own.iter().map(|(flight, _)| flight).chain(others.iter().map(|joined| &joined.flight));
        let mut landings = join_all(all.map(|flight| flight.landing.clone())).await.into_iter();
        landed.joined += others.iter().map(|joined| joined.keys.len()).sum::<usize>();
        if let Some(((_, keys), landing)) = own.and_then(|own| Some((own, landings.next()?))) {
            for key in keys {
                landing.audit(sources, asked, &key);
                landed.take(asked, &landing, key, true);
            }
            if let Some(loaded) = &landing.loaded {
                landed.sent(&loaded.sent);
                if let Err(error) = &loaded.found {
                    landed.failed = Some(error.clone());
                    return Vec::new();
                }
            }
        }
        let mut again = Vec::new();
        for (joined, landing) in others.into_iter().zip(landings) {
            for (key, was_before) in joined.keys {
                if landing.serves(asked, &key, was_before) {
                    landing.audit(sources, asked, &key);
                    landed.take(asked, &landing, key, was_before);
                } else {
                    again.push(key);
                }
            }
        }
        again
    }

    /// The flight that was begun for some of the keys, and those that others began.
    #[allow(clippy::type_complexity)]
    fn board<S: Cached>(
        self: &Arc<Self>,
        sources: &Sources,
        by: By<'_>,
        asked: &Asked<S>,
        keys: Vec<S::Key>,
    ) -> (Option<(Arc<Flight<S>>, Vec<S::Key>)>, Vec<Joined<S>>) {
        // Dropped after the lock is given back: the last handle of a flight takes it.
        let mut foreign = Vec::new();
        let mut open = self.lock();
        let (mut others, mut places, mut own) = (Vec::<Joined<S>>::new(), Vec::new(), Vec::new());
        for key in keys {
            let place = asked.place(&key);
            let flight: Option<Arc<Flight<S>>> =
                open.get(&place).and_then(Weak::upgrade).and_then(|flight| flight.downcast().ok());
            // One of before a failover says nothing in this history, and one that has landed nothing new.
            let (ours, theirs) = match flight {
                Some(flight) if flight.is_open_to(asked) => (Some(flight), None),
                theirs => (None, theirs),
            };
            foreign.extend(theirs);
            let Some(flight) = ours else {
                places.push(place);
                own.push(key);
                continue;
            };
            let key = (key, !flight.sent.load(Ordering::SeqCst));
            match others.iter_mut().find(|joined| Arc::ptr_eq(&joined.flight, &flight)) {
                Some(joined) => joined.keys.push(key),
                None => others.push(Joined { flight, keys: vec![key] }),
            }
        }
        if !others.is_empty() {
            counter!("shoal_loads_joined_total", "resource" => asked.source.name())
                .increment(others.iter().map(|joined| joined.keys.len() as u64).sum());
        }
        if own.is_empty() {
            return (None, others);
        }
        let sent = Arc::new(AtomicBool::new(false));
        let by = (by.0.clone(), by.1.cloned());
        let landing = fly(sources.clone(), by, asked.clone(), own.clone(), sent.clone()).boxed().shared();
        let flight =
            Arc::new(Flight { landing, sent, history: asked.view.history.clone(), flights: self.clone(), places });
        for place in &flight.places {
            let flight: Arc<dyn Any + Send + Sync> = flight.clone();
            open.insert(place.clone(), Arc::downgrade(&flight));
        }
        (Some((flight, own)), others)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fly<S: Cached>(
    sources: Sources,
    (needs, field): (Needs, Option<Arc<Field>>),
    asked: Asked<S>,
    keys: Vec<S::Key>,
    sent: Arc<AtomicBool>,
) -> Arc<Landing<S>> {
    let (kept, missing) = asked.far(keys, needs.trace()).await;
    if missing.is_empty() {
        return Arc::new(Landing { kept, loaded: None });
    }
    sent.store(true, Ordering::SeqCst);
    let load = Load { sources: &sources, needs: &needs, source: &asked.source, field: field.as_ref() };
    let loaded = load.run(&missing, Some(&asked), Keep::Near).await;
    Arc::new(Landing { kept, loaded: Some(Arc::new(loaded)) })
}

impl<S: Cached> Flight<S> {
    fn is_open_to(&self, asked: &Asked<S>) -> bool {
        Arc::ptr_eq(&self.history, &asked.view.history) && self.landing.peek().is_none()
    }
}

impl<S: Cached> Landing<S> {
    /// Has what the far tier served compared with the primary, some of it.
    fn audit(&self, sources: &Sources, asked: &Asked<S>, key: &S::Key) {
        if let Some((stamp, value)) = self.kept.get(key) {
            sources.audit(asked, key, value.as_ref(), *stamp);
        }
    }

    /// Whether a request that joined may have what was brought for a key.
    fn serves(&self, asked: &Asked<S>, key: &S::Key, was_before: bool) -> bool {
        let passes = |stamp| asked.view.refuses(stamp, asked.source.dependencies(key)).is_none();
        if let Some((stamp, _)) = self.kept.get(key) {
            return passes(*stamp);
        }
        let Some(loaded) = self.loaded.as_ref().filter(|loaded| loaded.found.is_ok()) else { return false };
        loaded.shows_enough(asked, was_before) || loaded.stamp.is_some_and(passes)
    }
}

impl<S: Cached> Landed<S> {
    fn nothing() -> Self {
        let stamp = Some(Position(u64::MAX));
        Self { had: Vec::new(), far: 0, joined: 0, values: HashMap::new(), stamp, sent: None, failed: None }
    }

    /// What came of a statement for this batch alone.
    pub fn of(asked: &Asked<S>, loaded: Loaded<S>) -> Self {
        let mut landed = Self::nothing();
        landed.takes_all(asked, loaded);
        landed
    }

    fn takes_all(&mut self, asked: &Asked<S>, loaded: Loaded<S>) {
        self.shows(loaded.stamp);
        self.sent(&loaded.sent);
        let enough = loaded.shows_enough(asked, true);
        match loaded.found {
            Ok(found) if enough && self.values.is_empty() => self.values = found,
            Ok(found) => {
                found.into_iter().for_each(|(key, value)| self.read(asked, (key, value), loaded.stamp, enough))
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// Something went into it that shows this much.
    fn shows(&mut self, stamp: Option<Position>) {
        self.stamp = self.stamp.zip(stamp).map(|(known, stamp)| known.min(stamp));
    }

    /// A statement was sent for this batch; it may be the second.
    fn sent(&mut self, sent: &Sent) {
        let before = self.sent.take();
        self.sent = Some(sent.after(before.as_ref()));
    }

    fn take(&mut self, asked: &Asked<S>, landing: &Landing<S>, key: S::Key, was_before: bool) {
        if let Some((stamp, value)) = landing.kept.get(&key) {
            self.shows(Some(*stamp));
            self.far += 1;
            self.had.extend(value.clone().map(|kept| Had { key, stamp: *stamp, kept }));
            return;
        }
        let Some(loaded) = &landing.loaded else { return };
        self.shows(loaded.stamp);
        if let Ok(found) = &loaded.found
            && let Some(value) = found.get(&key)
        {
            self.read(asked, (key, value.clone()), loaded.stamp, loaded.shows_enough(asked, was_before));
        }
    }

    /// What does not show enough by itself is looked at like what was kept: of a list the fences say that it is as it was,
    /// and not that its rows are.
    fn read(&mut self, asked: &Asked<S>, (key, value): (S::Key, S::Value), stamp: Option<Position>, enough: bool) {
        match stamp.filter(|_| !enough) {
            Some(stamp) => self.had.push(Had { key, stamp, kept: asked.source.keep(&value) }),
            None => drop(self.values.insert(key, value)),
        }
    }
}

impl<S: Cached> Drop for Flight<S> {
    fn drop(&mut self) {
        let mut open = self.flights.lock();
        for place in &self.places {
            // Another may go for it by now.
            if open.get(place).is_some_and(|flight| flight.strong_count() == 0) {
                open.remove(place);
            }
        }
    }
}
