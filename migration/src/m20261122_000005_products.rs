//! Products, and the search for words in their names.

use crate::step::{Database, Dialect};

pub fn up(dialect: &Dialect) -> String {
    let Dialect { id, timestamp, now, bytes, currency, .. } = dialect;
    let search = match dialect.database {
        Database::Postgres => POSTGRES_SEARCH,
        Database::Sqlite => SQLITE_SEARCH,
    };
    format!(
        "
        create table products (
            id {id},
            sku text not null constraint products_sku_not_empty check (sku <> ''),
            name text not null constraint products_name_not_empty check (name <> ''),
            description text not null,
            price_cents bigint not null constraint products_price_not_negative check (price_cents >= 0),
            currency text not null constraint products_currency_is_code check ({currency}),
            stock integer not null constraint products_stock_not_negative check (stock >= 0),
            active boolean not null,
            created_at {timestamp} not null default {now},
            updated_at {timestamp} not null default {now}
        );

        -- The product with a SKU.
        create unique index products_sku on products (sku collate {bytes});
        -- The storefront: what is sold, by price.
        create index products_price on products (price_cents, id) where active;
        -- What is sold, and what no longer is, by age.
        create index products_active on products (id) where active;
        create index products_inactive on products (id) where not active;

        {search}
        "
    )
}

pub fn down(dialect: &Dialect) -> String {
    match dialect.database {
        // The extension stays: others in the database may have come to use it.
        Database::Postgres => "drop table products",
        // The triggers go with their table, the index does not.
        Database::Sqlite => "drop table products; drop table products_name",
    }
    .to_owned()
}

const POSTGRES_SEARCH: &str = "
        create extension if not exists pg_trgm;

        -- Products whose name contains a text, in any case.
        create index products_name_trgm on products using gin (name gin_trgm_ops);
";

/// An FTS5 table that holds the index only and reads the names from `products`. It must hear of every change, and with
/// the very text it has indexed when that is to be removed.
const SQLITE_SEARCH: &str = "
        -- Products whose name contains a text, in any case.
        create virtual table products_name
            using fts5 (name, content = 'products', content_rowid = 'id', tokenize = 'trigram');

        create trigger products_name_insert after insert on products begin
            insert into products_name (rowid, name) values (new.id, new.name);
        end;

        create trigger products_name_delete after delete on products begin
            insert into products_name (products_name, rowid, name) values ('delete', old.id, old.name);
        end;

        create trigger products_name_update after update of id, name on products begin
            insert into products_name (products_name, rowid, name) values ('delete', old.id, old.name);
            insert into products_name (rowid, name) values (new.id, new.name);
        end;
";
