//! The indexes of a database: those that there are, and those that the migrations declare. Names no table of its own.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::plan::words;

/// An index, as a statement that creates it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Index {
    pub name: String,
    pub table: String,
    /// `create index NAME on TABLE …`, in one line.
    pub definition: String,
}

/// What there is, and what should be.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Those that can be used.
    pub indexes: Vec<Index>,
    pub declared: Vec<Index>,
    /// How many rows each table has, about.
    pub rows: HashMap<String, f64>,
}

const INDEXES: &str = "
    select c.relname::text as name, t.relname::text as table, pg_get_indexdef(c.oid) as definition
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
    where t.relnamespace = current_schema()::regnamespace and i.indisvalid and i.indisready
    order by c.relname";

// Of a table that was never analyzed nothing is known but its size.
const ROWS: &str = "
    select c.relname::text as table, greatest(s.n_live_tup, case when c.reltuples >= 0 then c.reltuples
        else pg_relation_size(c.oid) / 100 end)::float8 as rows
    from pg_class c left join pg_stat_user_tables s on s.relid = c.oid
    where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace";

impl Index {
    /// The index that a statement creates; none if that creates none.
    pub fn parse(statement: &str) -> Option<Self> {
        let definition = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut words = definition.split(' ');
        let mut next = || words.next().map(str::to_lowercase);
        let is_create = next()? == "create";
        let mut word = next()?;
        if word == "unique" {
            word = next()?;
        }
        let (name, on) = (next()?, next()?);
        let is_index = is_create && word == "index" && on == "on";
        let table = next()?.trim_matches('"').trim_start_matches("public.").to_owned();
        is_index.then(|| Self { name: name.trim_matches('"').to_owned(), table, definition: definition.clone() })
    }

    /// An index that nobody has declared, of these columns with their directions.
    pub fn on(table: &str, keys: &[String]) -> Self {
        let columns = keys.iter().filter_map(|key| words(key).next());
        let name = std::iter::once(table).chain(columns).collect::<Vec<_>>().join("_");
        // Longer names are cut, and may then be equal.
        let name: String = name.chars().take(63).collect();
        let definition = format!("create index {name} on {table} ({})", keys.join(", "));
        Self { name, table: table.to_owned(), definition }
    }

    /// What is between its outermost parentheses: columns and expressions, with their directions.
    pub fn keys(&self) -> Vec<String> {
        let Some(start) = self.definition.find('(') else { return Vec::new() };
        let (mut depth, mut keys, mut key) = (0, Vec::new(), String::new());
        for letter in self.definition[start + 1..].chars() {
            match letter {
                ')' if depth == 0 => break,
                ',' if depth == 0 => {
                    keys.push(std::mem::take(&mut key).trim().to_owned());
                    continue;
                }
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            key.push(letter);
        }
        keys.push(key.trim().to_owned());
        keys
    }

    /// The statement that creates it while others write.
    pub fn command(&self) -> String {
        let created = self.definition.replacen("index ", "index concurrently ", 1);
        format!("{created};")
    }
}

impl Catalogue {
    /// What a PostgreSQL server has.
    pub(super) async fn read(connection: &mut PgConnection, declared: Vec<Index>) -> Result<Self, sqlx::Error> {
        let mut catalogue = Self { declared, ..Self::default() };
        for row in sqlx::query(INDEXES).fetch_all(&mut *connection).await? {
            catalogue.indexes.push(Index {
                name: row.try_get("name")?,
                table: row.try_get("table")?,
                definition: row.try_get("definition")?,
            });
        }
        for row in sqlx::query(ROWS).fetch_all(connection).await? {
            catalogue.rows.insert(row.try_get("table")?, row.try_get("rows")?);
        }
        Ok(catalogue)
    }

    /// What is declared, and not there.
    pub fn missing(&self) -> impl Iterator<Item = &Index> {
        self.declared.iter().filter(|declared| !self.indexes.iter().any(|index| index.name == declared.name))
    }

    /// An index that there is.
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    pub fn rows(&self, table: &str) -> f64 {
        self.rows.get(table).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_create_indexes_are_read() {
        let index =
            Index::parse("create unique index users_email\n  on users (lower(email collate \"C\"), id desc) where x");
        let index = index.unwrap();
        assert_eq!((index.name.as_str(), index.table.as_str()), ("users_email", "users"));
        assert_eq!(index.keys(), ["lower(email collate \"C\")", "id desc"]);
        assert!(index.command().starts_with("create unique index concurrently users_email on users ("));
        let told =
            Index::parse("CREATE INDEX comments_post ON public.comments USING btree (post_id, id DESC)").unwrap();
        assert_eq!((told.table.as_str(), told.keys()), ("comments", vec!["post_id".to_owned(), "id DESC".to_owned()]));
        for other in ["create table a (b int)", "drop index a", "create index", ""] {
            assert_eq!(Index::parse(other), None, "{other}");
        }
        let made = Index::on("comments", &["post_id".to_owned(), "created_at DESC".to_owned()]);
        assert_eq!(
            made.command(),
            "create index concurrently comments_post_id_created_at on comments (post_id, created_at DESC);"
        );
    }
}
