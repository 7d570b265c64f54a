//! Indexes: those that are missing, and those that cost more than they give.
//!
//! Those that the migrations declare are judged by what nobody can know beforehand: whether they are there, and used.
//! Of others it is asked, too, what they are good for.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{Finding, Severity, found};
use crate::data::catalogue::{Catalogue, Index};
use crate::data::databases::Session;
use crate::data::plan::words;

/// A table with fewer rows is read whole as fast.
const SMALL: f64 = 1000.0;
/// A column with fewer values leads to too many rows each.
const FEW_VALUES: f64 = 10.0;
/// A table that was read less often says nothing about its indexes.
const READ_OFTEN: i64 = 1000;
/// A smaller index costs next to nothing, in bytes.
const WORTH_A_WORD: i64 = 1 << 20;
/// Updates of which it is worth knowing what they cost.
const UPDATED_OFTEN: i64 = 10_000;

const INVALID: &str = "
    select 'error' as severity, c.relname::text as subject,
        format('building it on %s failed: it is kept up to date, and never used', i.indrelid::regclass) as evidence,
        format('reindex index concurrently %I;', c.relname) as mend
    from pg_index i join pg_class c on c.oid = i.indexrelid
    where not i.indisvalid and c.relnamespace = current_schema()::regnamespace
        and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)";

const KEYS: &str = "
    select 'warning' as severity, format('%s (%s)', con.conrelid::regclass, cols.names) as subject,
        format('it refers to %s without an index: who deletes there reads all of its about %s rows', con.confrelid::regclass,
            greatest(c.reltuples, s.n_live_tup)::bigint) as evidence,
        format('create index concurrently on %s (%s);', con.conrelid::regclass, cols.names) as mend
    from pg_constraint con
    join pg_class c on c.oid = con.conrelid
    left join pg_stat_user_tables s on s.relid = c.oid
    cross join lateral (
        select string_agg(quote_ident(a.attname), ', ' order by k.place) as names
        from unnest(con.conkey) with ordinality k(number, place)
        join pg_attribute a on a.attrelid = con.conrelid and a.attnum = k.number) cols
    where con.contype = 'f' and c.relnamespace = current_schema()::regnamespace
        and greatest(c.reltuples, s.n_live_tup) > 1000
        and not exists (
            select from pg_index i where i.indrelid = con.conrelid and i.indisvalid and i.indpred is null
                and (i.indkey::int2[])[0:cardinality(con.conkey) - 1] @> con.conkey)";

// The numbers of columns, operator classes and options as texts, so that one can be the beginning of another.
const DUPLICATES: &str = "
    select 'warning' as severity, c.relname::text as subject,
        format('%s on %s begins with all of its columns, in the same order', d.relname, x.indrelid::regclass) as evidence,
        format('drop index concurrently %I;', c.relname) as mend
    from pg_index x
    join pg_class c on c.oid = x.indexrelid
    join pg_index y on y.indrelid = x.indrelid and y.indexrelid <> x.indexrelid and y.indisvalid
    join pg_class d on d.oid = y.indexrelid and d.relam = c.relam
    where c.relnamespace = current_schema()::regnamespace and not x.indisunique
        and not exists (select from pg_constraint where conindid = x.indexrelid)
        and starts_with(y.indkey::text || ' ', x.indkey::text || ' ')
        and starts_with(y.indclass::text || ' ', x.indclass::text || ' ')
        and starts_with(y.indcollation::text || ' ', x.indcollation::text || ' ')
        and starts_with(y.indoption::text || ' ', x.indoption::text || ' ')
        and x.indexprs is not distinct from y.indexprs
        and pg_get_expr(x.indpred, x.indrelid) is not distinct from pg_get_expr(y.indpred, y.indrelid)
        -- Of two that are equal one stays.
        and (y.indkey::text <> x.indkey::text or y.indisunique or y.indexrelid < x.indexrelid)";

// Those that are needed serve foreign keys, too, which say nothing of what is asked for.
const USED: &str = "
    select c.relname::text as index, t.relname::text as table, s.idx_scan as scans,
        u.seq_scan + (select coalesce(sum(o.idx_scan), 0)::bigint from pg_stat_user_indexes o
            join pg_index j on j.indexrelid = o.indexrelid where o.relid = s.relid and not j.indisunique) as reads, u.n_tup_upd as updates, u.n_tup_hot_upd as hot,
        greatest(t.reltuples, u.n_live_tup)::float8 as rows, pg_relation_size(c.oid) as bytes,
        i.indisunique or exists (select from pg_constraint where conindid = i.indexrelid) or exists (
            select from pg_constraint where contype = 'f' and conrelid = t.oid and conkey[1] = i.indkey[0]) as is_needed,
        i.indnatts = 1 and i.indpred is null as is_plain,
        (select n_distinct::float8 from pg_stats d where d.schemaname = s.schemaname and d.tablename = t.relname
            and d.attname = (select attname from pg_attribute where attrelid = t.oid and attnum = i.indkey[0])) as distinct
    from pg_stat_user_indexes s
    join pg_class c on c.oid = s.indexrelid join pg_class t on t.oid = s.relid
    join pg_index i on i.indexrelid = s.indexrelid
    join pg_stat_user_tables u on u.relid = s.relid
    where s.schemaname = current_schema() and i.indisvalid";

/// What is declared, and not there.
pub(super) fn missing(catalogue: &Catalogue) -> Vec<Finding> {
    let missing = catalogue.missing().map(|index| {
        let evidence = format!("the migrations declare it on {}, and it is not there", index.table);
        Finding::new(Severity::Error, "missing index", &index.name, evidence, index.command())
    });
    missing.collect()
}

/// What the schema shows.
pub(super) async fn of_schema(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings = found(connection, "invalid index", INVALID).await?;
    let missing = missing(catalogue).into_iter().filter(|it| !findings.iter().any(|other| other.subject == it.subject));
    let missing: Vec<_> = missing.collect();
    findings.extend(missing);
    let keys = found(connection, "foreign key", KEYS).await?;
    // What is missing would serve some of them.
    findings.extend(keys.into_iter().filter(|key| !catalogue.missing().any(|index| serves(index, &key.subject))));
    findings.extend(found(connection, "duplicate index", DUPLICATES).await?);
    Ok(findings)
}

/// Whether an index begins with the columns of a foreign key, which is told as `table (column, …)`.
fn serves(index: &Index, key: &str) -> bool {
    let keys = index.keys();
    let columns: Vec<_> = keys.iter().filter_map(|key| words(key).next()).collect();
    (1..=columns.len()).any(|count| key == format!("{} ({})", index.table, columns[..count].join(", ")))
}

/// How an index is used, on all servers together.
#[derive(Clone, Debug, Default)]
struct Usage {
    table: String,
    /// Of the index, and of its table by this one and others that are not needed.
    scans: i64,
    reads: i64,
    updates: i64,
    /// Updates that no index had to hear of.
    hot: i64,
    rows: f64,
    bytes: i64,
    /// It is unique, or of a constraint, or serves a foreign key.
    is_needed: bool,
    /// It has one column and no condition.
    is_plain: bool,
    /// How many values that column has; less than 0: as a part of the rows.
    distinct: Option<f64>,
}

/// What all servers together show of how indexes are used. The first is the primary, which alone knows of updates.
pub(super) async fn used(sessions: &mut [Session], declared: &[Index]) -> Result<Vec<Finding>, crate::data::Error> {
    let mut indexes: HashMap<String, Usage> = HashMap::new();
    for session in sessions.iter_mut() {
        for row in sqlx::query(USED).fetch_all(&mut session.connection).await? {
            let usage = indexes.entry(row.try_get("index")?).or_default();
            usage.scans += row.try_get::<i64, _>("scans")?;
            usage.reads += row.try_get::<i64, _>("reads")?;
            usage.updates += row.try_get::<i64, _>("updates")?;
            usage.hot += row.try_get::<i64, _>("hot")?;
            usage.rows = usage.rows.max(row.try_get("rows")?);
            usage.table = row.try_get("table")?;
            usage.bytes = row.try_get("bytes")?;
            usage.is_needed = row.try_get("is_needed")?;
            usage.is_plain = row.try_get("is_plain")?;
            usage.distinct = row.try_get("distinct")?;
        }
    }
    let is_declared = |name: &str| declared.iter().any(|index| index.name == name);
    Ok(indexes.iter().filter_map(|(name, usage)| judge(name, usage, is_declared(name))).collect())
}

/// What is worst of an index that could go.
fn judge(name: &str, usage: &Usage, is_declared: bool) -> Option<Finding> {
    let Usage { table, scans, reads, updates, hot, rows, bytes, is_needed, is_plain, distinct } = usage;
    if *is_needed {
        return None;
    }
    let find = |severity, check, evidence: String| {
        let mend = format!("drop index concurrently {name};");
        Some(Finding::new(severity, check, name, evidence, mend))
    };
    let of_use = if is_declared { Severity::Note } else { Severity::Warning };
    if *scans == 0 && *reads >= READ_OFTEN && *bytes >= WORTH_A_WORD {
        let mebibytes = bytes.div_euclid(1 << 20);
        let evidence =
            format!("{table} was read {reads} times on all servers, never by this index, which takes {mebibytes} MiB");
        return find(of_use, "unused index", evidence);
    }
    if *updates >= UPDATED_OFTEN && hot * 2 < *updates && scans.saturating_mul(10) < *updates {
        let evidence = format!(
            "{} of {updates} updates of {table} had to change its indexes, and this one was read {scans} times",
            updates - hot
        );
        return find(of_use, "index on what is often updated", evidence);
    }
    if is_declared {
        return None;
    }
    if *is_plain && *rows >= SMALL && distinct.is_some_and(|values| values > 0.0 && values < FEW_VALUES) {
        let values = distinct.unwrap_or_default();
        let evidence = format!("its column has {values} values in {rows} rows of {table}: each leads to too many");
        return find(Severity::Warning, "index on few values", evidence);
    }
    if *rows < SMALL && *reads >= READ_OFTEN {
        let evidence = format!("{table} has {rows} rows: reading all is as fast");
        return find(Severity::Note, "index on a small table", evidence);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_serves_the_keys_that_it_begins_with() {
        let index = Index::parse("create index i on comments (post_id, created_at desc, id desc)").unwrap();
        let served = ["comments (post_id)", "comments (post_id, created_at)"].map(|key| serves(&index, key));
        let others =
            ["comments (created_at)", "posts (post_id)", "comments (post_id, id)"].map(|key| serves(&index, key));
        assert_eq!((served, others), ([true; 2], [false; 3]));
    }

    #[test]
    fn an_index_is_judged_by_how_it_is_used() {
        let sound =
            Usage { table: "t".into(), scans: 9000, reads: 10_000, rows: 1e6, bytes: 1 << 24, ..Usage::default() };
        let seen =
            |usage: &Usage, is_declared| judge("i", usage, is_declared).map(|found| (found.severity, found.check));
        let (warning, note) = (Severity::Warning, Severity::Note);
        assert_eq!((seen(&sound, false), seen(&sound, true)), (None, None));
        let unused = Usage { scans: 0, ..sound.clone() };
        assert_eq!(seen(&unused, false), Some((warning, "unused index")));
        assert_eq!(seen(&unused, true), Some((note, "unused index")));
        assert_eq!(seen(&Usage { reads: 10, ..unused.clone() }, false), None, "too early to tell");
        assert_eq!(seen(&Usage { bytes: 8192, ..unused.clone() }, false), None);
        assert_eq!(seen(&Usage { is_needed: true, ..unused }, false), None);
        let hot = Usage { scans: 100, updates: 50_000, hot: 100, ..sound.clone() };
        assert_eq!(seen(&hot, false), Some((warning, "index on what is often updated")));
        assert_eq!(seen(&Usage { hot: 49_000, ..hot.clone() }, false), None, "they need not hear of it");
        assert_eq!(seen(&Usage { scans: 50_000, ..hot }, false), None, "it is worth it");
        let few = Usage { is_plain: true, distinct: Some(3.0), ..sound.clone() };
        assert_eq!((seen(&few, false), seen(&few, true)), (Some((warning, "index on few values")), None));
        assert_eq!(seen(&Usage { distinct: Some(-1.0), ..few.clone() }, false), None);
        assert_eq!(seen(&Usage { is_plain: false, ..few }, false), None);
        let small = Usage { rows: 10.0, ..sound };
        assert_eq!((seen(&small, false), seen(&small, true)), (Some((note, "index on a small table")), None));
    }
}
