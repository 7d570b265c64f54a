//! What the data layer must know of a row: any entity with a primary key of one column.

use sea_orm::{ColumnTrait, EntityName, EntityTrait, FromQueryResult, IdenStatic, Iterable, PrimaryKeyToColumn};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::scalar::{Key, Kind};

/// The column type of a record's entity.
pub type Column<R> = <<R as Record>::Entity as EntityTrait>::Column;

/// A row as lists and look-ups read it: all columns but the bulky ones.
///
/// Implemented for an entity's `Model`, or, where the entity has bulky columns, for its `Row`.
pub trait Record: FromQueryResult + Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    type Entity: EntityTrait;
    type Key: Key;

    /// Columns read only where asked for, as a value of their own.
    fn bulky() -> &'static [Column<Self>] {
        &[]
    }

    /// The primary key.
    fn key(&self) -> Self::Key;
}

/// The name of a record's table.
pub fn table<R: Record>() -> &'static str {
    R::Entity::default().table_name()
}

/// The name of a record's primary key column.
pub fn key_column<R: Record>() -> &'static str {
    key::<R>().as_str()
}

/// The columns of a record in the order of its entity.
pub fn columns<R: Record>() -> impl Iterator<Item = &'static str> {
    let bulky: Vec<_> = R::bulky().iter().map(IdenStatic::as_str).collect();
    Column::<R>::iter().map(|column| column.as_str()).filter(move |name| !bulky.contains(name))
}

/// The columns of a record in the order of its entity, and what they hold.
pub fn columns_and_kinds<R: Record>() -> impl Iterator<Item = (&'static str, Kind)> {
    let bulky: Vec<_> = R::bulky().iter().map(IdenStatic::as_str).collect();
    let columns = Column::<R>::iter().filter(move |column| !bulky.contains(&column.as_str()));
    columns.map(|column| (column.as_str(), kind(column)))
}

/// What a column holds.
pub fn kind<C: ColumnTrait>(column: C) -> Kind {
    Kind::of(column.def().get_column_type())
}

/// A column by its name, and what it holds.
pub fn named<C: ColumnTrait>(column: C) -> (&'static str, Kind) {
    (column.as_str(), kind(column))
}

/// The column of the primary key.
pub fn key<R: Record>() -> Column<R> {
    <R::Entity as EntityTrait>::PrimaryKey::iter().next().expect("an entity has a primary key").into_column()
}
