//! A list of records as it is declared once: whose it is, and the orders an index serves.
//!
//! A list can be paged and counted in every way its paths allow and in no other, so that nobody asks the database for
//! something it would have to scan or sort a table for. What COHERENCE calls a dependency of a list is its scope.

use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use sea_orm::{ColumnTrait, EntityTrait, IdenStatic};
use serde::Serialize;

use super::coherence::{Dependency, Slots};
use super::condition::Condition;
use super::error::Error;
use super::mutant::{self, Mutant};
use super::record::{self, Record};
use super::scalar::{Kind, Scalar};
use super::table::{Named, TableOf, Tables};

/// A list of records of type `R`.
pub struct List<R: Record> {
    /// Unique among all lists: names the list in cursors, metrics and logs.
    pub name: &'static str,
    pub(super) scope: Scope,
    paths: Vec<Path>,
    /// Tables of which the database makes the table that links.
    sources: Vec<TableOf>,
    record: PhantomData<fn() -> R>,
}

/// Which rows a list can hold.
pub(super) enum Scope {
    /// All rows of the table.
    Root,
    /// The rows whose `column` is the parent's key.
    Children { column: &'static str, kind: Kind },
    /// The rows that `table` links with the parent's key.
    Through { table: TableOf, parent: &'static str, target: &'static str, kinds: [Kind; 2] },
}

/// One way to walk a list: the columns of an index, in its order.
pub struct Path {
    /// What an order calls it.
    name: &'static str,
    sort: Vec<SortKey>,
    unique: bool,
    /// The direction without an order.
    descending: bool,
    given: Vec<Named>,
    also: Vec<Named>,
    only: Vec<Condition>,
}

/// One column of a keyset.
#[derive(Clone, Debug)]
pub(super) struct SortKey {
    pub column: &'static str,
    pub kind: Kind,
    pub on: On,
}

/// Where a sort column is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// A column of the record.
    Record,
    /// A column of the record, in lower case.
    Lower,
    /// A column of the table that links.
    Link,
}

/// The order a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    pub column: &'static str,
    pub descending: bool,
}

impl Order {
    pub fn asc(column: impl ColumnTrait) -> Self {
        Self { column: column.as_str(), descending: false }
    }

    pub fn desc(column: impl ColumnTrait) -> Self {
        Self { column: column.as_str(), descending: true }
    }
}

impl Path {
    /// In the order of `column`, ties by primary key in the same direction.
    pub fn by(column: impl ColumnTrait) -> Self {
        Self::with(column, On::Record)
    }

    /// In the order of a text `column` in lower case.
    pub fn by_lower(column: impl ColumnTrait) -> Self {
        Self::with(column, On::Lower)
    }

    /// In the order of a column of the table that links, unique for one parent.
    pub fn by_link(column: impl ColumnTrait) -> Self {
        Self::with(column, On::Link)
    }

    /// Orders call it by another column: that of the record which equals the link's.
    pub fn named(mut self, column: impl ColumnTrait) -> Self {
        self.name = column.as_str();
        self
    }

    /// The column has no ties.
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Without an order, lowest first.
    pub fn ascending(mut self) -> Self {
        self.descending = false;
        self
    }

    /// Only for filters that fix `column` to one value: the index starts with it.
    pub fn given(mut self, column: impl ColumnTrait) -> Self {
        self.given.push(record::named(column));
        self
    }

    /// Only for filters that contain `condition`: the index is partial.
    pub fn only(mut self, condition: Condition) -> Self {
        self.only.push(condition);
        self
    }

    /// Filters on `column` are served too: by the index, or by a walk that is short because of it.
    pub fn also(mut self, column: impl ColumnTrait) -> Self {
        self.also.push(record::named(column));
        self
    }

    fn with(column: impl ColumnTrait, on: On) -> Self {
        let key = SortKey { column: column.as_str(), kind: record::kind(column), on };
        Self {
            name: key.column,
            unique: on == On::Link,
            descending: true,
            sort: vec![key],
            given: Vec::new(),
            also: Vec::new(),
            only: Vec::new(),
        }
    }

    /// Hides a condition from all indexes, unless this path's own has its column.
    fn walk(&self, condition: Condition) -> Condition {
        let own = self.given.iter().any(|(column, _)| *column == condition.column)
            || self.only.contains(&condition)
            || self.sort.iter().any(|key| key.column == condition.column);
        if own { condition } else { condition.walked() }
    }

    fn serves(&self, conditions: &[Condition]) -> bool {
        let fixed = |(column, _): &Named| conditions.iter().any(|c| c.column == *column && c.is_equality());
        self.given.iter().all(fixed)
            && self.only.iter().all(|needed| conditions.contains(needed))
            && conditions.iter().all(|condition| {
                self.only.contains(condition)
                    || self.given.iter().chain(&self.also).any(|(column, _)| *column == condition.column)
            })
    }
}

impl<R: Record> List<R> {
    /// The list of all rows.
    pub fn root(name: &'static str) -> Self {
        Self::new(name, Scope::Root)
    }

    /// The rows whose `column` is the key of a parent.
    pub fn children(name: &'static str, column: record::Column<R>) -> Self {
        Self::new(name, Scope::Children { column: column.as_str(), kind: record::kind(column) })
    }

    /// The rows that link table `J` joins with a parent: its columns with the parent's key and with the record's.
    pub fn through<J: EntityTrait>(name: &'static str, parent: J::Column, target: J::Column) -> Self {
        let (table, kinds) = (TableOf::entity::<J>(), [record::kind(parent), record::kind(target)]);
        let (parent, target) = (parent.as_str(), target.as_str());
        Self::new(name, Scope::Through { table, parent, target, kinds })
    }

    /// The table that links is made by the database of the rows of `E`, among others: nobody else writes to it.
    pub fn made_of<E: EntityTrait>(mut self) -> Self {
        self.sources.push(TableOf::entity::<E>());
        self
    }

    /// Adds a path. The first that fits a filter gives the default order.
    pub fn path(mut self, mut path: Path) -> Self {
        if !path.unique && path.name != record::key_column::<R>() {
            path.sort.extend(Path::by(record::key::<R>()).sort);
        }
        self.paths.push(path);
        self
    }

    /// Chooses the path for a filter and an order; that of the first path that fits, by default.
    ///
    /// # Errors
    /// `BadInput` when no index serves that combination: the text says which orders the filter allows.
    pub fn select(&'static self, conditions: Vec<Condition>, order: Option<Order>) -> Result<Listing<R>, Error> {
        let asked = |path: &Path| order.is_none_or(|order| path.name == order.column);
        let fitting = |path: &&Path| path.serves(&conditions);
        let found = self.paths.iter().position(|path| asked(path) && path.serves(&conditions));
        let Some(path) = found else {
            let allowed: Vec<_> = self.paths.iter().filter(fitting).map(|path| path.name.to_uppercase()).collect();
            return Err(Error::bad_input(if allowed.is_empty() {
                "no index serves this combination of filters".to_owned()
            } else {
                format!("no index serves this order with this filter: it can be ordered by {}", allowed.join(", "))
            }));
        };
        let descending = order.map_or(self.paths[path].descending, |order| order.descending);
        let listing = Listing { list: self, path, descending, conditions: conditions.into() };
        Ok(if listing.is_search() { listing } else { listing.walked() })
    }

    /// Declares the columns that the list looks at.
    pub(super) fn declare(&self, tables: &mut Tables) {
        let sorted = |on: fn(On) -> bool| self.paths.iter().flat_map(|path| &path.sort).filter(move |key| on(key.on));
        let record = tables.entry(TableOf::entity::<R::Entity>());
        record.list(sorted(|on| on != On::Link).map(|key| (key.column, key.kind)));
        for path in &self.paths {
            record.list(path.given.iter().chain(&path.also).copied());
            record.list(path.only.iter().map(|condition| (condition.column, condition.kind)));
        }
        match &self.scope {
            Scope::Root => {}
            Scope::Children { column, kind } => record.find_by((*column, *kind)),
            Scope::Through { table, parent, target, kinds: [parents, targets] } => {
                let link = tables.entry(*table);
                link.find_by((*parent, *parents));
                link.list([(*target, *targets)]);
                link.list(sorted(|on| on == On::Link).map(|key| (key.column, key.kind)));
            }
        }
        for source in &self.sources {
            tables.entry(*source).is_source();
        }
    }

    fn new(name: &'static str, scope: Scope) -> Self {
        Self { name, scope, paths: Vec::new(), sources: Vec::new(), record: PhantomData }
    }
}

/// A list with its filter and order: all that is the same for every parent and every page.
pub struct Listing<R: Record> {
    pub(super) list: &'static List<R>,
    path: usize,
    pub(super) descending: bool,
    pub(super) conditions: Arc<[Condition]>,
}

impl<R: Record> Listing<R> {
    /// The columns of the keyset.
    pub(super) fn sort(&self) -> &'static [SortKey] {
        &self.list.paths[self.path].sort
    }

    /// What tells it from all other listings.
    pub(super) fn identity(&self) -> impl Serialize {
        (self.binding(), &*self.conditions)
    }

    /// What the rows of a parent's list depend on: the one thing that they all have in common, and what else is looked at.
    pub(super) fn dependencies(&self, parent: &Scalar) -> Slots {
        let table = record::table::<R>();
        match self.list.scope {
            Scope::Root => Slots::one(Dependency::Table(table)),
            Scope::Children { column, .. } => Slots::one(Dependency::Column { table, column, value: parent }),
            Scope::Through { table: link, parent: column, .. } => {
                let links = Slots::one(Dependency::Column { table: link.name, column, value: parent });
                let sources =
                    self.list.sources.iter().fold(links, |slots, source| slots.and(Dependency::Sources(source.name)));
                // What a link leads to is there: a foreign key says so. Only its columns may change.
                if self.looks_at_rows() && !mutant::is(Mutant::TableForgotten) {
                    sources.and(Dependency::Table(table))
                } else {
                    sources
                }
            }
        }
    }

    /// Whether it looks at columns of the rows, and not only at what links them.
    pub(super) fn looks_at_rows(&self) -> bool {
        let is_linked = matches!(self.list.scope, Scope::Through { .. });
        !is_linked || !self.conditions.is_empty() || self.sort().iter().any(|key| key.on != On::Link)
    }

    /// The tables that are read of.
    pub(super) fn tables(&self) -> impl Iterator<Item = &'static str> {
        let link = match self.list.scope {
            Scope::Through { table, .. } => Some(table.name),
            Scope::Root | Scope::Children { .. } => None,
        };
        std::iter::once(record::table::<R>()).chain(link)
    }

    /// Whether a condition looks for a part of a text.
    pub(super) fn is_search(&self) -> bool {
        self.conditions.iter().any(Condition::is_search)
    }

    /// The same listing, along the path and by no other index.
    pub(super) fn walked(&self) -> Self {
        let path = &self.list.paths[self.path];
        Self { conditions: self.conditions.iter().map(|condition| path.walk(condition.clone())).collect(), ..*self }
    }

    /// What binds a cursor to this list and order: FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/) of their names,
    /// the same in every process and version.
    pub(super) fn binding(&self) -> u32 {
        let direction = if self.descending { "desc" } else { "asc" };
        let sort = self.sort().iter().map(|key| key.column);
        let words = [self.list.name, direction].into_iter().chain(sort);
        words
            .flat_map(|word| word.bytes().chain([0]))
            .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

// By hand, because a derive would ask the same of `R`.
impl<R: Record> Clone for Listing<R> {
    fn clone(&self) -> Self {
        Self { conditions: self.conditions.clone(), ..*self }
    }
}

impl<R: Record> PartialEq for Listing<R> {
    fn eq(&self, other: &Self) -> bool {
        self.list.name == other.list.name
            && self.path == other.path
            && self.descending == other.descending
            && self.conditions == other.conditions
    }
}

impl<R: Record> Eq for Listing<R> {}

impl<R: Record> Hash for Listing<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.list.name, self.path, self.descending, &self.conditions).hash(state);
    }
}
