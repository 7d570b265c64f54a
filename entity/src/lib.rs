//! The tables as SeaORM sees them: one file per table with its columns and relations, and nothing else.
//!
//! `Model` is the full row. Where a table has a bulky column, `Row` is the same row without it: lists read `Row`, and
//! the bulky column is read only where it is asked for. Rules live in the domain, constraints in the migrations.
//!
//! The modules stand in the order in which tables can be filled with every foreign key satisfied; a view comes last.

// The gaps keep rustfmt from sorting them.
pub mod user;

pub mod post;

pub mod comment;

pub mod tag;

pub mod post_tag;

pub mod product;

pub mod order;

pub mod order_item;

pub mod product_buyer;
