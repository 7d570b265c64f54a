//! What the tiers keep of each kind of source, and how an answer is made of it again.

mod lists;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use sea_orm::FromQueryResult;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Fetcher;
use crate::data::cache::{Space, View};
use crate::data::coherence::{Dependency, Slot, Slots};
use crate::data::declared::Declared;
use crate::data::error::Error;
use crate::data::find::{Aggregates, Bulky, Count, Counts, Found, Rows, Source};
use crate::data::position::Position;
use crate::data::record::Record;
use crate::data::scalar::Scalar;

/// A source whose values may be kept.
pub trait Cached: Source {
    /// What is kept of a value, and makes the same again as long as nothing of it has changed.
    type Kept: Into<Self::Value> + Clone + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Whether the log tells values anew as they change.
    const IS_TOLD: bool = false;

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

    /// How many rows it holds: each takes much more than its encoding.
    fn rows(&self, _kept: &Self::Kept) -> usize {
        0
    }

    /// What else a value that was read depends on, besides what its being kept does: the rows that came along.
    fn depends_also(&self, _value: &Self::Value, _touch: &mut dyn FnMut(Slot)) {}

    /// Makes values of what was kept; the keys of what does not fit together any more.
    fn restore(
        &self,
        _fetcher: &Fetcher,
        _view: &View,
        had: Vec<Had<Self>>,
        values: &mut HashMap<Self::Key, Self::Value>,
    ) -> impl Future<Output = Result<Vec<Self::Key>, Error>> + Send {
        values.extend(had.into_iter().map(|had| (had.key, had.kept.into())));
        std::future::ready(Ok(Vec::new()))
    }
}

/// What a tier had for a key, and may serve.
pub struct Had<S: Cached> {
    pub key: S::Key,
    pub stamp: Position,
    pub kept: S::Kept,
}

impl<R: Record> Cached for Rows<R> {
    type Kept = Found<R>;

    const IS_TOLD: bool = true;

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
}
