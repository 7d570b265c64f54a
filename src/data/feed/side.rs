//! What is asked of the primary beside its log: what its transactions show, and whether its log tells everything.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Row};

use super::PUBLICATION;
use crate::data::databases::Survey;
use crate::data::position::Position;

/// A primary that takes longer to answer cannot be followed.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection of the feed's own.
pub(super) struct Side {
    connection: PgConnection,
    /// The transaction number that follows the latest that is known, to widen those of the log.
    next: u64,
    /// The tables whose files are looked at, which these are.
    tables: Vec<String>,
    files: String,
}

/// What the primary shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Whether it shows all transactions that were asked for.
    pub all: bool,
    /// Whether a table has other files than when it was asked last: it was written anew, and no row of that was told.
    pub is_rewritten: bool,
}

/// How far a table's changes are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub table: String,
    /// Everything on which it depends whether its changes are told, in one text: another text, another answer.
    print: String,
    /// Why they are not all told.
    pub why: Option<String>,
}

/// All that decides whether changes of a table are told. Whole rows of the catalogue, since they have more columns in
/// later versions.
const PRINTS: &str = "
    select t.name as table, concat_ws(' ', c.oid, c.xmin, pg_relation_filenode(c.oid), c.relkind, c.relpersistence,
            c.relreplident, to_jsonb(p) - 'pubowner', p.xmin, to_jsonb(r), r.xmin, current_setting('wal_level')) as print,
        case
            when current_setting('wal_level') <> 'logical' then 'wal_level is not logical'
            when c.oid is null then 'there is no such table'
            when p.oid is null then 'there is no publication ' || $2
            when not p.puballtables and r.oid is null then 'it is not in the publication ' || $2
            when not (p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate)
                then 'the publication ' || $2 || ' does not tell of all operations'
            when to_jsonb(r)->>'prqual' is not null then 'the publication ' || $2 || ' has a row filter for it'
            when to_jsonb(r)->>'prattrs' is not null then 'the publication ' || $2 || ' has a column list for it'
            when c.relkind <> 'r' then 'it is not an ordinary table'
            when c.relpersistence <> 'p' then 'it is not logged'
            when c.relreplident <> 'f' then 'its replica identity is not full'
        end as why
    from unnest($1::text[]) t(name)
    left join pg_class c on c.oid = to_regclass(quote_ident(t.name))
    left join pg_publication p on p.pubname = $2
    left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid
    order by t.name";

/// Whether the primary shows all of these transactions, and which files these tables have. One look-up for each table in
/// what the server has at hand: this is asked for each batch of commits.
const BARRIER: &str = "
    select coalesce(bool_and(pg_visible_in_snapshot(x, s)), true) as visible, max(pg_snapshot_xmax(s)::text) as next,
        (select coalesce(string_agg(coalesce(pg_relation_filenode(to_regclass(quote_ident(t)))::text, '-'), ' '), '')
            from unnest($2::text[]) t) as files
    from (select pg_current_snapshot() s) q left join unnest($1::text[]::xid8[]) x on true";

/// What a new slot waits for: the oldest transaction that has written.
const BLOCKER: &str = "
    select 'the prepared transaction ' || gid as who, prepared as since from pg_prepared_xacts
    union all
    select 'the transaction ' || backend_xid || ' of process ' || pid, xact_start
    from pg_stat_activity where backend_xid is not null
    order by since limit 1";

impl Side {
    /// Connects, to look at the files of these tables besides.
    pub async fn connect(options: &PgConnectOptions, tables: &[&str]) -> Result<Self, sqlx::Error> {
        let connection = patiently(options.connect()).await?;
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        let mut side = Self { connection, next: 0, tables, files: String::new() };
        side.shows(&[]).await?;
        Ok(side)
    }

    pub async fn survey(&mut self) -> Result<Survey, sqlx::Error> {
        patiently(Survey::of(&mut self.connection)).await
    }

    /// How far the changes of these tables are told.
    pub async fn watched(&mut self, tables: &[&str]) -> Result<Vec<Watched>, sqlx::Error> {
        patiently(watched(&mut self.connection, tables)).await
    }

    /// What the primary shows of these transactions, by their numbers as the log has them.
    pub async fn shows(&mut self, transactions: &[u32]) -> Result<Shown, sqlx::Error> {
        let whole: Vec<_> = transactions.iter().map(|number| widened(*number, self.next).to_string()).collect();
        let asked = sqlx::query(BARRIER).bind(whole).bind(&self.tables);
        let row = patiently(asked.fetch_one(&mut self.connection)).await?;
        self.next = parsed(row.try_get("next")?)?;
        let files = std::mem::replace(&mut self.files, row.try_get("files")?);
        Ok(Shown { all: row.try_get("visible")?, is_rewritten: self.files != files })
    }

    /// The number that follows those of all transactions that have begun.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether all transactions below this number have ended.
    pub async fn has_ended(&mut self, below: u64) -> Result<bool, sqlx::Error> {
        let asked = "select pg_snapshot_xmin(pg_current_snapshot())::text as oldest";
        let row = patiently(sqlx::query(asked).fetch_one(&mut self.connection)).await?;
        Ok(parsed::<u64>(row.try_get("oldest")?)? >= below)
    }

    /// Just past the end of the log: past all that is visible, and past every stamp that anybody has given.
    pub async fn past_end(&mut self) -> Result<Position, sqlx::Error> {
        let asked = "select pg_current_wal_insert_lsn()::text as position";
        let row = patiently(sqlx::query(asked).fetch_one(&mut self.connection)).await?;
        let end: Position = parsed(row.try_get("position")?)?;
        Ok(Position(end.0 + 1))
    }

    /// Makes the log go on, whether or not a standby is there to acknowledge it.
    pub async fn nudge(&mut self) -> Result<(), sqlx::Error> {
        let asked =
            "select set_config('synchronous_commit', 'local', true), pg_logical_emit_message(true, 'shoal', '')";
        patiently(sqlx::query(asked).execute(&mut self.connection)).await.map(drop)
    }

    /// Whom a new slot waits for.
    pub async fn blocker(&mut self) -> Result<Option<String>, sqlx::Error> {
        let row = patiently(sqlx::query(BLOCKER).fetch_optional(&mut self.connection)).await?;
        row.map(|row| row.try_get("who")).transpose()
    }
}

/// How far the changes of these tables are told.
pub(super) async fn watched(connection: &mut PgConnection, tables: &[&str]) -> Result<Vec<Watched>, sqlx::Error> {
    let rows = sqlx::query(PRINTS).bind(tables).bind(PUBLICATION).fetch_all(connection).await?;
    let watched = |row: &sqlx::postgres::PgRow| {
        Ok(Watched { table: row.try_get("table")?, print: row.try_get("print")?, why: row.try_get("why")? })
    };
    rows.iter().map(watched).collect()
}

/// What a server tells in words: to go on with a guess would be to believe what may not be so.
fn parsed<T: FromStr>(text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|_| sqlx::Error::Decode(format!("{text:?} is not what was asked for").into()))
}

async fn patiently<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// A transaction number of the log, which has 32 bits, as the database counts: the one that is nearest to `next`, which
/// it may be past.
fn widened(number: u32, next: u64) -> u64 {
    let distance = number.wrapping_sub(next as u32) as i32;
    next.wrapping_add_signed(i64::from(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_widened_around_the_next() {
        assert_eq!(widened(7, 10), 7);
        assert_eq!(widened(12, 10), 12);
        let epoch = 1 << 32;
        assert_eq!(widened(u32::MAX, epoch + 3), epoch - 1);
        assert_eq!(widened(2, epoch + 3), epoch + 2);
        assert_eq!(widened(2, epoch - 3), epoch + 2);
        assert_eq!(widened(5, 7 * epoch + 3), 7 * epoch + 5);
    }
}
