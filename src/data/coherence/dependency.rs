//! What a value depends on, and where its fence is.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

use super::Slot;
use crate::data::scalar::Scalar;

/// Something that a commit can touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dependency<'a> {
    /// A row: touched by any change of it.
    Row { table: &'static str, key: &'a Scalar },
    /// All rows with this value of a column: touched when one comes, goes, or changes in a column that lists look at.
    Column { table: &'static str, column: &'static str, value: &'a Scalar },
    /// All rows of a table: touched like [`Dependency::Column`].
    Table(&'static str),
    /// All rows of a table, where it is not told how what the database derives from them changes: touched by any change,
    /// and only on the embedded database.
    Sources(&'static str),
}

impl Dependency<'_> {
    /// Where its fence is: the same in one process. Two that share a slot cost each other misses.
    pub fn slot(self) -> Slot {
        Slot::of(FixedState::default().hash_one(self))
    }
}

/// The slots of what a value depends on: few, and mostly one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    first: Option<Slot>,
    more: Vec<Slot>,
}

impl Slots {
    pub fn one(dependency: Dependency<'_>) -> Self {
        Self { first: Some(dependency.slot()), more: Vec::new() }
    }

    #[must_use]
    pub fn and(mut self, dependency: Dependency<'_>) -> Self {
        self.more.push(dependency.slot());
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = Slot> {
        self.first.iter().chain(&self.more).copied()
    }
}

impl IntoIterator for Slots {
    type Item = Slot;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Slot>, std::vec::IntoIter<Slot>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

impl FromIterator<Slot> for Slots {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut slots = slots.into_iter();
        Self { first: slots.next(), more: slots.collect() }
    }
}
