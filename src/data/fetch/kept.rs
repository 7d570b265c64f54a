//! What the tiers keep of each kind of source, and how an answer is made of it again.
//!
//! Of a list they keep the keys of its rows and their places, not the rows: a row is kept once, however many lists have
//! it. A list and its rows may so be of two states. Where lists would treat a row otherwise now, both are read again.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use foldhash::{HashSet, HashSetExt};
use sea_orm::FromQueryResult;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Fetcher;
use super::load::Fill;
use crate::data::cache::Space;
use crate::data::coherence::{Dependency, Slot, Slots};
use crate::data::declared::Declared;
use crate::data::error::Error;
use crate::data::find::{Aggregates, Bulky, Count, Counts, Found, MAX_BATCH, Pages, Rows, Source, Unique};
use crate::data::page::{Cursor, Page};
use crate::data::record::{self, Record};
use crate::data::scalar::Scalar;

/// A source whose values may be kept.
pub trait Cached: Source {
    /// What is kept of a value.
    type Kept: Clone + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Where values are kept; none where what they depend on is not declared.
    fn space(&self, declared: &Declared) -> Option<Space>;

    /// The tables that are read of.
    fn tables(&self) -> Vec<&'static str>;

    /// The key of a place.
    fn scalar(&self, key: &Self::Key) -> Scalar;

    /// What the value for a key depends on, whether there is one or not.
    fn dependencies(&self, key: &Self::Key) -> Slots;

    fn keep(&self, value: &Self::Value) -> Self::Kept;

    /// Whether two that were kept make the same answer.
    fn is_same(&self, one: &Self::Kept, other: &Self::Kept) -> bool {
        let bytes = |kept| postcard::to_stdvec(kept).ok();
        bytes(one) == bytes(other)
    }

    /// What else a value that was read depends on, besides what its being kept does: the rows that came along.
    fn depends_also(&self, _value: &Self::Value, _touch: &mut dyn FnMut(Slot)) {}

    /// Fills what else a value holds.
    fn spill(&self, _value: &Self::Value, _fill: &mut Fill<'_>) {}

    /// Values of what was kept.
    fn restore(
        &self,
        fetcher: &Fetcher,
        kept: Vec<(Self::Key, Self::Kept)>,
    ) -> impl Future<Output = Result<Restored<Self>, Error>> + Send;
}

/// What became of what was kept.
pub struct Restored<S: Source> {
    pub values: HashMap<S::Key, S::Value>,
    /// The keys of what does not fit together any more.
    pub again: Vec<S::Key>,
}

impl<S: Source> Restored<S> {
    /// What is kept as it is.
    pub fn whole(kept: Vec<(S::Key, S::Value)>) -> Self {
        Self { values: kept.into_iter().collect(), again: Vec::new() }
    }
}

/// A row that a list or a look-up names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<K> {
    key: K,
    /// What lists saw of it.
    listed: u64,
}

/// A page without its rows.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptPage<K> {
    rows: Vec<Named<K>>,
    cursors: Vec<Cursor>,
    has_next: bool,
    has_previous: bool,
}

impl<K> Named<K> {
    fn of<R: Record<Key = K>>(found: &Found<R>) -> Self {
        Self { key: found.row.key(), listed: found.listed }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Named<K> {
    /// The row, if it is there, and lists treat it as they did where that matters.
    fn find<R>(&self, rows: &HashMap<K, Found<R>>, matters: bool) -> Option<Found<R>> {
        rows.get(&self.key).filter(|found| !matters || found.listed == self.listed).cloned()
    }
}

impl<R: Record> Cached for Rows<R> {
    type Kept = Found<R>;

    fn space(&self, declared: &Declared) -> Option<Space> {
        let table = declared.tables.find(self.name())?;
        (!table.row.is_empty()).then(|| Space::row(self.name()))
    }

    fn tables(&self) -> Vec<&'static str> {
        vec![self.name()]
    }

    fn scalar(&self, key: &R::Key) -> Scalar {
        key.clone().into()
    }

    fn dependencies(&self, key: &R::Key) -> Slots {
        Slots::one(Dependency::Row { table: self.name(), key: &key.clone().into() })
    }

    fn keep(&self, value: &Found<R>) -> Found<R> {
        value.clone()
    }

    async fn restore(&self, _: &Fetcher, kept: Vec<(R::Key, Found<R>)>) -> Result<Restored<Self>, Error> {
        Ok(Restored::whole(kept))
    }
}

impl<R: Record> Cached for Unique<R> {
    type Kept = Named<R::Key>;

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

    fn keep(&self, value: &Found<R>) -> Named<R::Key> {
        Named::of(value)
    }

    fn is_same(&self, one: &Named<R::Key>, other: &Named<R::Key>) -> bool {
        one.key == other.key
    }

    fn depends_also(&self, value: &Found<R>, touch: &mut dyn FnMut(Slot)) {
        touch(row_slot(&*value.row));
    }

    fn spill(&self, value: &Found<R>, fill: &mut Fill<'_>) {
        fill.rows(std::slice::from_ref(value));
    }

    async fn restore(&self, fetcher: &Fetcher, kept: Vec<(String, Named<R::Key>)>) -> Result<Restored<Self>, Error> {
        let rows = rows_of::<R>(fetcher, kept.iter().map(|(_, named)| named.key.clone()).collect()).await?;
        let mut restored = Restored { values: HashMap::new(), again: Vec::new() };
        for (key, named) in kept {
            match named.find(&rows, true) {
                Some(found) => drop(restored.values.insert(key, found)),
                None => restored.again.push(key),
            }
        }
        Ok(restored)
    }
}

impl<R: Record<Key = i64>> Cached for Bulky<R> {
    type Kept = Arc<str>;

    fn space(&self, declared: &Declared) -> Option<Space> {
        let table = declared.tables.find(self.table())?;
        (!table.row.is_empty()).then(|| Space::of(table.name, self.name()))
    }

    fn tables(&self) -> Vec<&'static str> {
        vec![self.table()]
    }

    fn scalar(&self, key: &i64) -> Scalar {
        (*key).into()
    }

    fn dependencies(&self, key: &i64) -> Slots {
        Slots::one(Dependency::Row { table: self.table(), key: &(*key).into() })
    }

    fn keep(&self, value: &Arc<str>) -> Arc<str> {
        value.clone()
    }

    async fn restore(&self, _: &Fetcher, kept: Vec<(i64, Arc<str>)>) -> Result<Restored<Self>, Error> {
        Ok(Restored::whole(kept))
    }
}

impl<R: Record> Cached for Pages<R> {
    type Kept = Arc<KeptPage<R::Key>>;

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

    fn keep(&self, page: &Arc<Page<R>>) -> Self::Kept {
        let Page { rows, cursors, has_next, has_previous } = &**page;
        let rows = rows.iter().map(Named::of).collect();
        let (has_next, has_previous) = (*has_next, *has_previous);
        Arc::new(KeptPage { rows, cursors: cursors.clone(), has_next, has_previous })
    }

    /// A list that looks at no column of its rows does not change with them.
    fn is_same(&self, one: &Self::Kept, other: &Self::Kept) -> bool {
        let keys = |page: &KeptPage<R::Key>| page.rows.iter().map(|named| named.key.clone()).collect::<Vec<_>>();
        let rest = |page: &KeptPage<R::Key>| (page.cursors.clone(), page.has_next, page.has_previous);
        keys(one) == keys(other) && rest(one) == rest(other)
    }

    fn depends_also(&self, page: &Arc<Page<R>>, touch: &mut dyn FnMut(Slot)) {
        page.rows.iter().for_each(|found| touch(row_slot(&*found.row)));
    }

    fn spill(&self, page: &Arc<Page<R>>, fill: &mut Fill<'_>) {
        fill.rows(&page.rows);
    }

    async fn restore(&self, fetcher: &Fetcher, kept: Vec<(Scalar, Self::Kept)>) -> Result<Restored<Self>, Error> {
        let mut keys = Vec::new();
        for (_, page) in &kept {
            keys.extend(page.rows.iter().map(|named| named.key.clone()));
        }
        let rows = rows_of::<R>(fetcher, keys).await?;
        let matters = self.listing.looks_at_rows();
        let mut restored = Restored { values: HashMap::with_capacity(kept.len()), again: Vec::new() };
        for (parent, page) in kept {
            match page.rows.iter().map(|named| named.find(&rows, matters)).collect::<Option<Vec<_>>>() {
                Some(rows) => {
                    let KeptPage { cursors, has_next, has_previous, .. } = &*page;
                    let (has_next, has_previous) = (*has_next, *has_previous);
                    let page = Page { rows, cursors: cursors.clone(), has_next, has_previous };
                    restored.values.insert(parent, Arc::new(page));
                }
                None => restored.again.push(parent),
            }
        }
        Ok(restored)
    }
}

impl<R: Record> Cached for Counts<R> {
    type Kept = Count;

    fn space(&self, declared: &Declared) -> Option<Space> {
        let known = declared.knows(self.name());
        known.then(|| Space::of(self.name(), "count").with_detail(&(self.listing.identity(), self.cap)))
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

    fn keep(&self, value: &Count) -> Count {
        *value
    }

    async fn restore(&self, _: &Fetcher, kept: Vec<(Scalar, Count)>) -> Result<Restored<Self>, Error> {
        Ok(Restored::whole(kept))
    }
}

impl<T> Cached for Aggregates<T>
where
    T: FromQueryResult + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Kept = Arc<[T]>;

    fn space(&self, declared: &Declared) -> Option<Space> {
        declared.knows(self.name()).then(|| Space::of(self.name(), "aggregate"))
    }

    fn tables(&self) -> Vec<&'static str> {
        self.0.tables().collect()
    }

    fn scalar(&self, parent: &i64) -> Scalar {
        (*parent).into()
    }

    fn dependencies(&self, parent: &i64) -> Slots {
        self.0.dependencies(*parent)
    }

    fn keep(&self, value: &Arc<[T]>) -> Arc<[T]> {
        value.clone()
    }

    async fn restore(&self, _: &Fetcher, kept: Vec<(i64, Arc<[T]>)>) -> Result<Restored<Self>, Error> {
        Ok(Restored::whole(kept))
    }
}

fn row_slot<R: Record>(row: &R) -> Slot {
    Dependency::Row { table: record::table::<R>(), key: &row.key().into() }.slot()
}

/// Rows by primary key, from wherever they may come.
async fn rows_of<R: Record>(fetcher: &Fetcher, mut keys: Vec<R::Key>) -> Result<HashMap<R::Key, Found<R>>, Error> {
    let mut seen = HashSet::with_capacity(keys.len());
    keys.retain(|key| seen.insert(key.clone()));
    let mut found = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(MAX_BATCH) {
        found.extend(fetcher.fetch(&Rows::<R>::new(), keys).await?);
    }
    Ok(found)
}
