//! Events: what was committed, for those who listen to it, whoever wrote it.
//!
//! Whoever tells of commits (the feed, or the one process of an embedded database) notes their changes in a [`Batch`], and
//! publishes it once the database shows them. Promises each listener every event of its topic and key that is committed
//! while it listens, once, in the order of the commits, each with a position that shows it; or, where that cannot be
//! kept, an end that says why. Never keeps a change that nobody listens to, nor more than a bounded number of others, and
//! never waits for a listener.

mod batch;
mod topic;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use metrics::counter;
use tokio::sync::mpsc;

pub use batch::Batch;
pub use topic::Topic;

use super::change::Change;
use super::position::Position;
use super::scalar::Scalar;
use batch::Noted;

/// Most events that a listener may be behind.
const QUEUE: usize = 10_000;

/// Where events come from. Cheap to clone.
#[derive(Clone, Default)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// How many listen: with nobody a change costs no more than to look at this.
    listening: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The tables whose changes are all told.
    told: HashSet<&'static str>,
    topics: HashMap<&'static str, Vec<Heard>>,
    next: u64,
}

/// A topic that somebody listens to.
struct Heard {
    topic: &'static Topic,
    by_key: HashMap<Scalar, Vec<Ear>>,
}

/// Where events of one listener go.
struct Ear {
    listener: u64,
    queue: mpsc::Sender<Event>,
    lost: Arc<OnceLock<Lost>>,
}

/// Something that somebody listens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The primary key of the row.
    pub key: Scalar,
    /// What shows the event.
    pub position: Position,
}

/// Why a listener hears no more: events may have been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nobody tells what is committed, or not all of it.
    NotTold,
    /// More was committed at once than is kept.
    TooMany,
    /// The listener was too far behind.
    Behind,
}

/// Hears the events of a topic and key, until it is dropped.
pub struct Listener {
    events: Events,
    topic: &'static Topic,
    key: Scalar,
    id: u64,
    queue: mpsc::Receiver<Event>,
    lost: Arc<OnceLock<Lost>>,
}

impl Events {
    /// Listens to a topic. `key` is what its events are found by; null for a topic that concerns everybody.
    ///
    /// # Errors
    /// When not all events would be heard.
    pub fn listen(&self, topic: &'static Topic, key: Scalar) -> Result<Listener, Lost> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lost = Arc::default();
        let mut state = self.lock();
        if !state.told.contains(topic.table) {
            return Err(Lost::NotTold);
        }
        state.next += 1;
        let id = state.next;
        let heard = state.topics.entry(topic.table).or_default();
        let place = heard.iter().position(|heard| std::ptr::eq(heard.topic, topic)).unwrap_or_else(|| {
            heard.push(Heard { topic, by_key: HashMap::new() });
            heard.len() - 1
        });
        let ear = Ear { listener: id, queue: sender, lost: Arc::clone(&lost) };
        heard[place].by_key.entry(key.clone()).or_default().push(ear);
        self.shared.listening.fetch_add(1, Ordering::AcqRel);
        drop(state);
        Ok(Listener { events: self.clone(), topic, key, id, queue, lost })
    }

    /// From now on all changes of these tables are told, and of no others.
    pub fn tell(&self, tables: HashSet<&'static str>) {
        let mut state = self.lock();
        state.end(Lost::NotTold, |table| !tables.contains(table));
        state.told = tables;
    }

    /// What was committed lately may not have been told, of these tables: whoever listened to them has to begin anew.
    pub fn lose<'a>(&self, tables: impl IntoIterator<Item = &'a str>) {
        let tables: HashSet<_> = tables.into_iter().collect();
        self.lock().end(Lost::NotTold, |table| tables.contains(table));
    }

    /// Tells a batch to those who listen, and empties it: the database shows what is in it.
    pub fn publish(&self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        let (committed, lost) = batch.take();
        let mut state = self.lock();
        for (Noted { topic, to, key }, position) in committed {
            counter!("shoal_events_total", "topic" => topic.name).increment(1);
            state.hear(topic, &to, &Event { key, position });
        }
        if !lost.is_empty() {
            state.end(Lost::TooMany, |table| lost.contains(table));
        }
    }

    /// The events among which a change is, that somebody listens to.
    fn noted(&self, change: &Change, mut note: impl FnMut(Noted)) {
        if self.shared.listening.load(Ordering::Acquire) == 0 {
            return;
        }
        let state = self.lock();
        for heard in state.topics.get(change.table).into_iter().flatten() {
            if let Some(to) = heard.topic.concerns(change)
                && heard.by_key.contains_key(&to)
                && let Some(key) = change.key.first()
            {
                note(Noted { topic: heard.topic, to, key: key.clone() });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hear(&mut self, topic: &'static Topic, to: &Scalar, event: &Event) {
        let heard = self.topics.get_mut(topic.table).into_iter().flatten();
        let ears = heard.filter(|heard| std::ptr::eq(heard.topic, topic)).filter_map(|heard| heard.by_key.get_mut(to));
        for ears in ears {
            ears.retain(|ear| match ear.queue.try_send(event.clone()) {
                Ok(()) => true,
                // One that has gone takes itself away.
                Err(mpsc::error::TrySendError::Closed(_)) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    ear.end(Lost::Behind);
                    false
                }
            });
        }
    }

    /// Ends all who listen to these tables.
    fn end(&mut self, lost: Lost, is_lost: impl Fn(&str) -> bool) {
        for (_, heard) in self.topics.iter_mut().filter(|(table, _)| is_lost(table)) {
            heard.iter().flat_map(|heard| heard.by_key.values()).flatten().for_each(|ear| ear.end(lost));
            heard.clear();
        }
    }
}

impl Ear {
    fn end(&self, lost: Lost) {
        // The first reason is the reason.
        let _ = self.lost.set(lost);
    }
}

impl Listener {
    /// The next event.
    ///
    /// # Errors
    /// When some may have been lost: there are no more then.
    pub async fn next(&mut self) -> Result<Event, Lost> {
        // Its sender goes only with a reason.
        self.queue.recv().await.ok_or_else(|| self.lost.get().copied().unwrap_or(Lost::NotTold))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.events.lock();
        if let Some(topics) = state.topics.get_mut(self.topic.table) {
            for heard in topics.iter_mut().filter(|heard| std::ptr::eq(heard.topic, self.topic)) {
                if let Some(ears) = heard.by_key.get_mut(&self.key) {
                    ears.retain(|ear| ear.listener != self.id);
                    if ears.is_empty() {
                        heard.by_key.remove(&self.key);
                    }
                }
            }
            topics.retain(|heard| !heard.by_key.is_empty());
        }
        drop(state);
        self.events.shared.listening.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
