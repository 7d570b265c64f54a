//! What is kept of lists and look-ups: their rows, too.
//!
//! A row may change while the list stays as it is. While it has not, it is served as it came with the list; once it has, it
//! is taken from where rows are kept. A list and its rows may so be of two states. Where lists would treat a row otherwise
//! now, both are read again.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::{HashSet, HashSetExt};
use futures_util::FutureExt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Cached, Had};
use crate::data::cache::{Space, View};
use crate::data::coherence::{Dependency, Slot, Slots};
use crate::data::declared::Declared;
use crate::data::error::Error;
use crate::data::fetch::Fetcher;
use crate::data::fetch::answers::Part;
use crate::data::fetch::load::Asked;
use crate::data::find::{Found, MAX_BATCH, Pages, Rows, Source, Unique};
use crate::data::page::Page;
use crate::data::position::Position;
use crate::data::record::{self, Record};
use crate::data::scalar::Scalar;

/// A page, and where the fences of its rows are.
pub struct KeptPage<R> {
    page: Arc<Page<R>>,
    slots: Arc<[Slot]>,
}

impl<R: Record> KeptPage<R> {
    fn of(page: Arc<Page<R>>) -> Self {
        let slots = page.rows.iter().map(|found| row_slot(&*found.row)).collect();
        Self { page, slots }
    }
}

impl<R> From<KeptPage<R>> for Arc<Page<R>> {
    fn from(kept: KeptPage<R>) -> Self {
        kept.page
    }
}

// By hand, because derives would ask the same of `R`.
impl<R> Clone for KeptPage<R> {
    fn clone(&self) -> Self {
        Self { page: self.page.clone(), slots: self.slots.clone() }
    }
}

impl<R: Record> Serialize for KeptPage<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.page.serialize(serializer)
    }
}

impl<'de, R: Record> Deserialize<'de> for KeptPage<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Arc::deserialize(deserializer).map(Self::of)
    }
}

/// The rows that lists bring with them.
struct Within<'a, R: Record> {
    fetcher: &'a Fetcher,
    /// None while no row may be kept.
    asked: Option<Asked<Rows<R>>>,
    /// What went into the answer.
    parts: Vec<Part>,
}

impl<'a, R: Record> Within<'a, R> {
    fn new(fetcher: &'a Fetcher, view: &View) -> Self {
        let asked = Asked::of(&fetcher.sources.cache, &Rows::new(), view.clone(), 0);
        Self { fetcher, asked, parts: Vec::new() }
    }

    /// Whether a row may be served as it came.
    fn serves(&mut self, found: &Found<R>, slot: Slot, stamp: Position) -> bool {
        // What the rule asks of the list besides its fences it has been asked already.
        let Some(asked) = self.asked.as_ref().filter(|asked| stamp >= asked.view.history.fences.fence([slot])) else {
            return false;
        };
        self.parts.push((slot, stamp));
        self.fetcher.sources.audit(asked, &found.row.key(), Some(found), stamp);
        true
    }

    /// Those rows that it does not serve, by key, from wherever they may come.
    async fn others(self, mut keys: Vec<R::Key>) -> Result<HashMap<R::Key, Found<R>>, Error> {
        if let Some(asked) = self.asked.filter(|_| !self.parts.is_empty()) {
            self.fetcher.recorder.used(&asked.source, &asked.view.history, self.parts.into_iter());
        }
        let mut seen = HashSet::with_capacity(keys.len());
        keys.retain(|key| seen.insert(key.clone()));
        let mut found = HashMap::with_capacity(keys.len());
        for keys in keys.chunks(MAX_BATCH) {
            found.extend(self.fetcher.fetch(&Rows::<R>::new(), keys).boxed().await?);
        }
        Ok(found)
    }
}

impl<R: Record> Cached for Pages<R> {
    type Kept = KeptPage<R>;

    fn space(&self, declared: &Declared) -> Option<Space> {
        let known = declared.knows(self.name());
        known.then(|| Space::of(self.name(), "page").with_detail(&(self.listing.identity(), &self.page)))
    }

    fn tables(&self) -> Vec<&'static str> {
        self.listing.tables().collect()
    }

    fn scalar(&self, parent: &Scalar) -> Scalar {
        parent.clone()
    }

    fn dependencies(&self, parent: &Scalar) -> Slots {
        self.listing.dependencies(parent)
    }

    fn keep(&self, page: &Arc<Page<R>>) -> KeptPage<R> {
        KeptPage::of(page.clone())
    }

    fn rows(&self, kept: &KeptPage<R>) -> usize {
        kept.page.rows.len()
    }

    /// A list that looks at no column of its rows does not change with them.
    fn is_same(&self, KeptPage { page: one, .. }: &KeptPage<R>, KeptPage { page: other, .. }: &KeptPage<R>) -> bool {
        let keys = |page: &Page<R>| page.rows.iter().map(|found| found.row.key()).collect::<Vec<_>>();
        let rest = |page: &Page<R>| (page.has_next, page.has_previous);
        keys(one) == keys(other) && one.cursors == other.cursors && rest(one) == rest(other)
    }

    fn depends_also(&self, page: &Arc<Page<R>>, touch: &mut dyn FnMut(Slot)) {
        page.rows.iter().for_each(|found| touch(row_slot(&*found.row)));
    }

    async fn restore(
        &self,
        fetcher: &Fetcher,
        view: &View,
        had: Vec<Had<Self>>,
        values: &mut HashMap<Scalar, Arc<Page<R>>>,
    ) -> Result<Vec<Scalar>, Error> {
        let mut within = Within::<R>::new(fetcher, view);
        let mut stale = Vec::new();
        for Had { key, stamp, kept: KeptPage { page, slots } } in had {
            let rows = page.rows.iter().zip(&*slots).enumerate();
            let places = rows.filter(|(_, (found, slot))| !within.serves(found, **slot, stamp));
            let places: Vec<_> = places.map(|(place, _)| place).collect();
            if places.is_empty() {
                values.insert(key, page);
            } else {
                stale.push((key, page, places));
            }
        }
        let keys = stale.iter().flat_map(|(_, page, places)| places.iter().map(|place| page.rows[*place].row.key()));
        let found = within.others(keys.collect()).await?;
        let (matters, mut again) = (self.listing.looks_at_rows(), Vec::new());
        for (key, page, places) in stale {
            let Page { cursors, has_next, has_previous, .. } = &*page;
            let mut page = Page {
                rows: page.rows.clone(),
                cursors: cursors.clone(),
                has_next: *has_next,
                has_previous: *has_previous,
            };
            let fits = places.iter().all(|place| renew(&mut page.rows[*place], &found, matters));
            if fits {
                values.insert(key, Arc::new(page));
            } else {
                again.push(key);
            }
        }
        Ok(again)
    }
}

impl<R: Record> Cached for Unique<R> {
    type Kept = Found<R>;

    fn space(&self, declared: &Declared) -> Option<Space> {
        let column = self.exact_column()?;
        declared.tables.find(self.name())?.is_found_by(column).then(|| Space::of(self.name(), column))
    }

    fn tables(&self) -> Vec<&'static str> {
        vec![self.name()]
    }

    fn scalar(&self, key: &String) -> Scalar {
        Scalar::Text(key.clone())
    }

    fn dependencies(&self, key: &String) -> Slots {
        let column = self.exact_column().unwrap_or_default();
        Slots::one(Dependency::Column { table: self.name(), column, value: &Scalar::Text(key.clone()) })
    }

    fn keep(&self, value: &Found<R>) -> Found<R> {
        value.clone()
    }

    /// A look-up does not change with its row.
    fn is_same(&self, one: &Found<R>, other: &Found<R>) -> bool {
        one.row.key() == other.row.key()
    }

    fn depends_also(&self, value: &Found<R>, touch: &mut dyn FnMut(Slot)) {
        touch(row_slot(&*value.row));
    }

    async fn restore(
        &self,
        fetcher: &Fetcher,
        view: &View,
        had: Vec<Had<Self>>,
        values: &mut HashMap<String, Found<R>>,
    ) -> Result<Vec<String>, Error> {
        let mut within = Within::new(fetcher, view);
        let mut stale = Vec::new();
        for Had { key, stamp, kept } in had {
            if within.serves(&kept, row_slot(&*kept.row), stamp) {
                values.insert(key, kept);
            } else {
                stale.push((key, kept));
            }
        }
        let found = within.others(stale.iter().map(|(_, kept)| kept.row.key()).collect()).await?;
        let mut again = Vec::new();
        for (key, mut kept) in stale {
            if renew(&mut kept, &found, true) {
                values.insert(key, kept);
            } else {
                again.push(key);
            }
        }
        Ok(again)
    }
}

/// Takes a row as it is now; false if it is gone, or if lists treat it otherwise now where that matters.
fn renew<R: Record>(row: &mut Found<R>, found: &HashMap<R::Key, Found<R>>, matters: bool) -> bool {
    match found.get(&row.row.key()) {
        Some(now) if !matters || now.listed == row.listed => {
            *row = now.clone();
            true
        }
        _ => false,
    }
}

fn row_slot<R: Record>(row: &R) -> Slot {
    Dependency::Row { table: record::table::<R>(), key: &row.key().into() }.slot()
}
