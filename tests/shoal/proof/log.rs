//! The order of all commits, as the primary itself has it: a logical slot of the checker's own, which nothing under test
//! knows of.
//!
//! Protocol: <https://www.postgresql.org/docs/15/protocol-logicalrep-message-formats.html>, version 1, as text.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{PgConnection, Row as _};

use super::history::{Clock, Micros};
use super::world::{TABLES, World};
use crate::support::Node;

/// A transaction that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The end of its commit record.
    pub position: u64,
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Row {
        table: String,
        old: Option<Row>,
        new: Option<Row>,
    },
    Truncated {
        table: String,
    },
    /// A message of the checker's own in the log.
    Said(String),
}

/// A row, as text, by column.
pub type Row = HashMap<String, Option<String>>;

/// A commit, and when: it was not flushed before `after`, and the primary shows it since `by` at the latest.
#[derive(Clone, Debug)]
pub struct Told {
    pub commit: Commit,
    pub after: Micros,
    pub by: Micros,
    /// Its lower half.
    transaction: u32,
}

/// Of what the primary does not show yet.
const NOT_YET: Micros = Micros::MAX / 2;

const NAME: &str = "proof";

/// The prefix of messages of the checker's own.
pub const SAID: &str = "proof";

/// Reads what was committed.
pub struct Log {
    connection: PgConnection,
    clock: Clock,
    relations: HashMap<u32, (String, Vec<String>)>,
    /// When it was last asked, and through where it has told.
    asked: Micros,
    position: u64,
    told: Vec<Told>,
}

impl Log {
    /// From now on, and what there is now. Nobody may write meanwhile.
    pub async fn begin(node: &Node, database: &str, clock: Clock) -> (Self, World) {
        let mut connection = node.connect(database).await;
        let tables = TABLES.map(|(table, _)| table).join(", ");
        let publication = format!("create publication {NAME} for table {tables}");
        // After a failover it is there, and the slot is not.
        let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(publication)).execute(&mut connection).await;
        let slot = "select (pg_create_logical_replication_slot($1, 'pgoutput')).lsn::text";
        let _: String = sqlx::query_scalar(slot).bind(NAME).fetch_one(&mut connection).await.unwrap();
        let mut log =
            Self { connection, clock, relations: HashMap::new(), asked: clock.now(), position: 0, told: Vec::new() };
        let world = log.world().await;
        (log, world)
    }

    /// What the tables hold.
    pub async fn world(&mut self) -> World {
        let mut world = World::default();
        for (table, columns) in TABLES {
            let texts: Vec<_> = columns.iter().map(|column| format!("{column}::text")).collect();
            let query = format!("select {} from {table}", texts.join(", "));
            let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut self.connection).await.unwrap();
            for row in rows {
                let values = columns.iter().enumerate().map(|(index, column)| ((*column).to_owned(), row.get(index)));
                world.put(table, &values.collect());
            }
        }
        world
    }

    /// Takes what was committed since it was last asked.
    ///
    /// # Errors
    /// Where the primary cannot be asked.
    pub async fn read(&mut self) -> Result<(), sqlx::Error> {
        const CHANGES: &str = "select data from pg_logical_slot_get_binary_changes($1, null, null,
            'proto_version', '1', 'publication_names', $1, 'messages', 'true')";
        let asked = self.clock.now();
        let rows = sqlx::query_scalar::<_, Vec<u8>>(CHANGES).bind(NAME).fetch_all(&mut self.connection).await?;
        let after = std::mem::replace(&mut self.asked, asked);
        let (mut changes, mut transaction) = (Vec::new(), 0);
        for row in rows {
            match self.message(&row) {
                Message::Begin(number) => {
                    transaction = number;
                    changes.clear();
                }
                Message::Change(change) => changes.push(change),
                Message::Commit(position) => {
                    let commit = Commit { position, changes: std::mem::take(&mut changes) };
                    // After a crash of the primary the slot may tell again what it has told.
                    if position > self.position {
                        self.position = position;
                        self.told.push(Told { commit, after, by: NOT_YET, transaction });
                    }
                }
                Message::Other => {}
            }
        }
        self.look().await
    }

    /// Notes what the primary shows by now. What is committed is in the log before that: for long, where it waits for a
    /// synchronous standby.
    async fn look(&mut self) -> Result<(), sqlx::Error> {
        if self.told.iter().rev().take(1000).all(|told| told.by != NOT_YET) {
            return Ok(());
        }
        // As `xmin:xmax:xip,xip…`, https://www.postgresql.org/docs/15/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
        let asked = "select pg_current_snapshot()::text";
        let snapshot: String = sqlx::query_scalar(asked).fetch_one(&mut self.connection).await?;
        let now = self.clock.now();
        let mut parts = snapshot.split(':');
        let (_, next) = (parts.next(), parts.next().unwrap().parse::<u64>().unwrap() as u32);
        let running: Vec<_> =
            parts.next().unwrap().split(',').filter_map(|number| number.parse::<u64>().ok()).collect();
        let is_shown = |transaction: u32| {
            (transaction.wrapping_sub(next) as i32) < 0 && !running.iter().any(|running| *running as u32 == transaction)
        };
        for told in self.told.iter_mut().filter(|told| told.by == NOT_YET && is_shown(told.transaction)) {
            told.by = now;
        }
        Ok(())
    }

    /// All that it has told.
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// After the primary was restarted.
    pub async fn connect_again(&mut self, node: &Node, database: &str) -> Result<(), sqlx::Error> {
        self.connection = node.try_connect(database).await?;
        Ok(())
    }

    /// Leaves no slot behind.
    pub async fn end(mut self) {
        let drop = "select pg_drop_replication_slot($1)";
        // One that is still being read from, after a crash, is not to be waited for.
        let dropped = sqlx::query(drop).bind(NAME).execute(&mut self.connection);
        let _ = tokio::time::timeout(Duration::from_secs(5), dropped).await;
    }

    fn message(&mut self, bytes: &[u8]) -> Message {
        let mut bytes = Bytes(bytes);
        match bytes.byte() {
            b'B' => {
                bytes.take(8 + 8);
                Message::Begin(bytes.number())
            }
            b'C' => {
                bytes.take(1 + 8);
                Message::Commit(u64::from_be_bytes(bytes.take(8).try_into().unwrap()))
            }
            b'R' => {
                let oid = bytes.number();
                bytes.text();
                let table = bytes.text();
                bytes.take(1);
                let columns = (0..bytes.short()).map(|_| {
                    bytes.take(1);
                    let name = bytes.text();
                    bytes.take(4 + 4);
                    name
                });
                let columns = columns.collect();
                self.relations.insert(oid, (table, columns));
                Message::Other
            }
            kind @ (b'I' | b'U' | b'D') => {
                let (table, columns) = &self.relations[&bytes.number()];
                let (mut old, mut new) = (None, None);
                while !bytes.0.is_empty() {
                    match bytes.byte() {
                        b'N' => new = Some(bytes.tuple(columns)),
                        b'O' | b'K' => old = Some(bytes.tuple(columns)),
                        other => panic!("a tuple of kind {other} in a message of kind {kind}"),
                    }
                }
                Message::Change(Change::Row { table: table.clone(), old, new })
            }
            b'T' => {
                let count = bytes.number();
                bytes.take(1);
                assert_eq!(count, 1, "one table is truncated at a time");
                let (table, _) = &self.relations[&bytes.number()];
                Message::Change(Change::Truncated { table: table.clone() })
            }
            b'M' => {
                bytes.take(1 + 8);
                let prefix = bytes.text();
                let length = bytes.number() as usize;
                let said = String::from_utf8_lossy(bytes.take(length)).into_owned();
                if prefix == SAID { Message::Change(Change::Said(said)) } else { Message::Other }
            }
            _ => Message::Other,
        }
    }
}

enum Message {
    Begin(u32),
    Change(Change),
    Commit(u64),
    Other,
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn number(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap();
        let text = String::from_utf8_lossy(self.take(length)).into_owned();
        self.take(1);
        text
    }

    fn tuple(&mut self, columns: &[String]) -> Row {
        let mut row = Row::new();
        let count = self.short() as usize;
        for column in &columns[..count] {
            let value = match self.byte() {
                b't' => {
                    let length = self.number() as usize;
                    Some(String::from_utf8_lossy(self.take(length)).into_owned())
                }
                // Large values that did not change are left out; nobody looks at those.
                b'u' => continue,
                _ => None,
            };
            row.insert(column.clone(), value);
        }
        row
    }
}
