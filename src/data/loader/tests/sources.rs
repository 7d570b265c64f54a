//! Loads of sources: what the data layer asks its databases.

use futures_util::future::join_all;
use sea_orm::{DbErr, QueryResult, Statement};

use super::*;
use crate::data::cache::{self, Space};
use crate::data::coherence::Slots;
use crate::data::databases::{Databases, Needs, Settings};
use crate::data::declared::Declared;
use crate::data::error::Error;
use crate::data::fetch::{Cached, Declarations, Fetcher, Sources};
use crate::data::find::Source;
use crate::data::ledger::Ledger;
use crate::data::scalar::Scalar;
use crate::data::sql::{Dialect, Sql};
use crate::data::table::Tables;

/// Multiples, of a table that may not be there.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Times {
    factor: i64,
    table: &'static str,
}

const TIMES: Times = Times { factor: 10, table: "(select 1)" };

impl Source for Times {
    type Key = i64;
    type Value = i64;

    fn name(&self) -> &'static str {
        "times"
    }

    fn kind(&self) -> &'static str {
        "rows"
    }

    fn statement(&self, dialect: Dialect, keys: &[i64]) -> Statement {
        let mut sql = Sql::new(dialect);
        sql.push("select k.key as \"_key\" from ").push(self.table).push(" cross join ");
        sql.keys_table(keys.iter().copied().map(Into::into));
        sql.statement()
    }

    fn values(&self, _: &[i64], rows: Vec<QueryResult>, _: &Tables) -> Result<HashMap<i64, i64>, DbErr> {
        let key = |row: &QueryResult| row.try_get_by::<i64, _>("_key");
        rows.iter().map(|row| key(row).map(|key| (key, key * self.factor))).collect()
    }
}

/// Nothing tells when it changes.
impl Cached for Times {
    type Kept = i64;

    fn space(&self, _: &Declared) -> Option<Space> {
        None
    }

    fn tables(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn scalar(&self, key: &i64) -> Scalar {
        (*key).into()
    }

    fn dependencies(&self, _: &i64) -> Slots {
        Slots::default()
    }

    fn keep(&self, value: &i64) -> i64 {
        *value
    }
}

/// A fetcher on an empty database, and what it did.
async fn fetcher(data_dir: &tempfile::TempDir) -> (Arc<Fetcher>, Arc<Ledger>) {
    let settings = Settings { data_dir: data_dir.path().to_owned(), ..Settings::default() };
    let ledger = Arc::new(Ledger::default());
    let databases = Databases::open(&settings).await.unwrap();
    let (sources, _) = Sources::open(databases, Declarations::default(), cache::Settings::default(), None).unwrap();
    (Arc::new(Fetcher::new(sources, Needs::default(), ledger.clone())), ledger)
}

#[tokio::test]
async fn equal_sources_share_batches_and_others_do_not() {
    let data_dir = tempfile::tempdir().unwrap();
    let (fetcher, ledger) = fetcher(&data_dir).await;
    let loaders = Loaders::default();
    let asked = [(10, 1), (10, 2), (100, 1), (10, 1)];
    let answers = loaders.drive(join_all(asked.map(async |(factor, key)| {
        loaders.fetch(&fetcher, Times { factor, ..TIMES }, key, || None).await.map_err(Error::from)
    })));
    let answers = answers.await.into_iter().map(|answer| answer.unwrap()).collect::<Vec<_>>();
    assert_eq!(answers, [Some(10), Some(20), Some(100), Some(10)]);
    let mut batches = ledger.batches().iter().map(|batch| (batch.keys, batch.statements)).collect::<Vec<_>>();
    batches.sort_unstable();
    assert_eq!(batches, [(1, 1), (2, 1)]);
}

#[tokio::test]
async fn a_statement_that_fails_fails_everyone_who_waits() {
    let data_dir = tempfile::tempdir().unwrap();
    let (fetcher, ledger) = fetcher(&data_dir).await;
    let loaders = Loaders::default();
    let broken = Times { table: "nowhere", ..TIMES };
    let answers = loaders.drive(join_all([1, 2].map(async |key| {
        let failed = loaders.fetch(&fetcher, broken.clone(), key, || None).await;
        (failed.map_err(Error::from), loaders.fetch(&fetcher, TIMES, key, || None).await.map_err(Error::from))
    })));
    for (failed, answered) in answers.await {
        assert!(matches!(failed, Err(Error::Database(_))), "{failed:?}");
        assert!(matches!(answered, Ok(Some(10 | 20))), "{answered:?}");
    }
    assert_eq!(ledger.batches().len(), 2);
}

#[tokio::test]
async fn a_load_that_nobody_drives_is_our_fault() {
    let data_dir = tempfile::tempdir().unwrap();
    let (fetcher, _) = fetcher(&data_dir).await;
    let answer = Loaders::default().fetch(&fetcher, TIMES, 1, || None).await.map_err(Error::from);
    assert!(matches!(answer, Err(Error::Database(_))), "{answer:?}");
}
