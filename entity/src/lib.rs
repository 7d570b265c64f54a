//! The tables as SeaORM sees them: one file per table with its columns and relations, and nothing else.
//!
//! `Model` is the full row. Where a table has a bulky column, `Row` is the same row without it: lists read `Row`, and
//! the bulky column is read only where it is asked for. Rules live in the domain, constraints in the migrations.

use sea_orm::sea_query::ColumnType;
use sea_orm::{ColumnTrait, EntityTrait, IdenStatic, Iterable};

/// Declares the module of each entity, and [`tables`] of those that can be written to.
macro_rules! entities {
    (tables: $($table:ident)* ; derived: $($derived:ident)* ; own: $($own:ident)*) => {
        $(pub mod $table;)*
        $(pub mod $derived;)*
        $(pub mod $own;)*

        /// All tables, in the order in which they can be filled with every foreign key satisfied.
        pub fn tables() -> Vec<Table> {
            vec![$(Table::of::<$table::Entity>()),*]
        }
    };
}

entities! {
    // In the order of `tables`: what is referenced stands above what references it.
    tables:
        user
        post
        comment
        tag
        post_tag
        product
        order
        order_item;
    // Kept by triggers.
    derived:
        product_buyer;
    // What the server keeps for itself.
    own:
        job
        upload
}

/// What a table is called and what its columns hold.
pub struct Table {
    pub name: &'static str,
    pub columns: Vec<(&'static str, ColumnType)>,
}

impl Table {
    fn of<E: EntityTrait>() -> Self {
        let columns = E::Column::iter().map(|column| (column.as_str(), column.def().get_column_type().clone()));
        Self { name: E::default().table_name(), columns: columns.collect() }
    }
}
