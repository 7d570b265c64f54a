//! Rules that span rows, in the words of the storefront. Knows the tables and the data layer, never GraphQL or HTTP.

pub mod import;
