//! What is kept, and what is not by any accident.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryResult, Statement};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::*;
use crate::data::cache::Space;
use crate::data::coherence::{Dependency, Slots};
use crate::data::databases;
use crate::data::declared::Declared;
use crate::data::find::{Counts, Pages, Rows, Source};
use crate::data::list::{List, Path};
use crate::data::page::{PageArgs, PageLimits, PageSpec};
use crate::data::record::Record;
use crate::data::scalar::Scalar;
use crate::data::sql::{Dialect, Sql};
use crate::data::table::Tables;

mod part {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
    #[sea_orm(table_name = "parts")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub whole_id: i64,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Record for Model {
        type Entity = Entity;
        type Key = i64;

        fn key(&self) -> i64 {
            self.id
        }
    }
}

fn list(name: &'static str) -> &'static List<part::Model> {
    let list = List::children(name, part::Column::WholeId).path(Path::by(part::Column::Id).ascending());
    Box::leak(Box::new(list))
}

/// An embedded database, and what reads of it through the tiers.
struct World {
    _dir: TempDir,
    sources: Sources,
    /// Whether nobody will ask what an answer depends on.
    forgets: bool,
}

impl World {
    async fn of(declare: impl FnOnce(&mut Declarations)) -> Self {
        let dir = TempDir::new().unwrap();
        let settings = databases::Settings { data_dir: dir.path().to_owned(), ..databases::Settings::default() };
        let databases = Databases::open(&settings).await.unwrap();
        for sql in [
            "create table parts (id integer primary key, whole_id integer not null, name text not null)",
            "insert into parts values (1, 7, 'a'), (2, 7, 'b'), (3, 8, 'c')",
            "create table secrets (id integer primary key)",
        ] {
            sea_orm::ConnectionTrait::execute_unprepared(databases.writer(), sql).await.unwrap();
        }
        let mut declarations = Declarations::default();
        declare(&mut declarations);
        let (sources, _) = Sources::open(databases, declarations, cache::Settings::default(), None).unwrap();
        Self { _dir: dir, sources, forgets: false }
    }

    /// Asks so often; the statements of each.
    async fn times<S: Cached, const N: usize>(&self, source: &S, keys: &[S::Key]) -> [u32; N] {
        let mut statements = [0; N];
        for statements in &mut statements {
            let ledger = Arc::new(Ledger::default());
            let fetcher = Fetcher::new(self.sources.clone(), Needs::default(), ledger.clone());
            if self.forgets {
                fetcher.forgets();
            }
            fetcher.fetch(source, keys).await.unwrap();
            *statements = ledger.batches().iter().map(|batch| batch.statements).sum();
        }
        statements
    }
}

fn page(list: &'static List<part::Model>) -> Pages<part::Model> {
    let listing = list.select(Vec::new(), None).unwrap();
    let page = PageSpec::new(&PageArgs::default(), PageLimits { default: 2, max: 2 }, &listing).unwrap();
    Pages { listing, page }
}

#[tokio::test]
async fn what_is_declared_is_kept_and_what_is_not_is_read_each_time() {
    let (known, unknown) = (list("whole.parts"), list("whole.other_parts"));
    let world = World::of(|declarations| {
        declarations.rows::<part::Model>().list(known);
    })
    .await;
    let whole = [Scalar::Int(7)];
    assert_eq!(world.times(&Rows::<part::Model>::new(), &[3, 4]).await, [1, 0], "found or not");
    // With its rows.
    assert_eq!(world.times(&page(known), &whole).await, [1, 0]);
    assert_eq!(world.times(&page(unknown), &whole).await, [1, 1, 1]);
    let count = |list: &'static List<part::Model>| Counts { listing: list.select(Vec::new(), None).unwrap(), cap: 10 };
    assert_eq!(world.times(&count(known), &whole).await, [1, 0]);
    assert_eq!(world.times(&count(unknown), &whole).await, [1, 1]);

    let nothing = World::of(|_| ()).await;
    assert_eq!(nothing.times(&Rows::<part::Model>::new(), &[3]).await, [1, 1]);
    assert_eq!(nothing.times(&page(known), &whole).await, [1, 1]);
}

/// What is asked for once costs little: it is not kept while nothing is asked for twice.
#[tokio::test]
async fn where_nothing_is_asked_for_again_little_is_kept() {
    for forgets in [false, true] {
        let world = World::of(|declarations| {
            declarations.rows::<part::Model>();
        })
        .await;
        let world = World { forgets, ..world };
        let rows = Rows::<part::Model>::new();
        let many: Vec<_> = (1000..3000).collect();
        for keys in many.chunks(500) {
            assert_eq!(world.times(&rows, keys).await, [1]);
        }
        let (mut kept, mut asked) = (0, 2000);
        for key in 3000..3032 {
            let [first, _, third] = world.times(&rows, &[key]).await;
            assert_eq!(first, 1);
            kept += 1 - third;
            asked += 3;
        }
        assert!((1..=6).contains(&kept), "{kept} of 32");
        let usage = world.sources.cache.usage();
        assert_eq!(usage.near_hits + usage.misses, asked, "each is counted, however it was read");
        // What is asked for again and again is noticed.
        for _ in 0..5000 {
            let [statements] = world.times(&rows, &[3]).await;
            kept += 1 - statements;
        }
        assert!(kept > 4900, "{kept} of 5000");
        assert_eq!(world.times(&rows, &[4000]).await, [1, 0]);
    }
}

/// It knows where it would like to be kept, and reads of a table that nobody has declared.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Planted {
    reads_of: &'static [&'static str],
    /// Whether the first answer of a database cannot be read.
    fails_first: bool,
}

/// How many answers that were to fail first have been read.
static ANSWERS: AtomicU32 = AtomicU32::new(0);

impl Planted {
    fn of(reads_of: &'static [&'static str]) -> Self {
        Self { reads_of, fails_first: false }
    }
}

impl Source for Planted {
    type Key = i64;
    type Value = i64;

    fn name(&self) -> &'static str {
        "parts"
    }

    fn kind(&self) -> &'static str {
        "planted"
    }

    fn statement(&self, dialect: Dialect, _: &[i64]) -> Statement {
        let mut sql = Sql::new(dialect);
        sql.push("select count(*) as n from secrets");
        sql.statement()
    }

    fn values(&self, keys: &[i64], rows: Vec<QueryResult>, _: &Tables) -> Result<HashMap<i64, i64>, DbErr> {
        if self.fails_first && ANSWERS.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(DbErr::Custom("the first".to_owned()));
        }
        let count = rows[0].try_get_by::<i64, _>("n")?;
        Ok(keys.iter().map(|key| (*key, count)).collect())
    }
}

impl Cached for Planted {
    type Kept = i64;

    fn space(&self, _: &Declared) -> Option<Space> {
        Some(Space::of("parts", "planted"))
    }

    fn tables(&self) -> Vec<&'static str> {
        self.reads_of.to_vec()
    }

    fn scalar(&self, key: &i64) -> Scalar {
        (*key).into()
    }

    fn dependencies(&self, _: &i64) -> Slots {
        Slots::one(Dependency::Table("parts"))
    }

    fn keep(&self, value: &i64) -> i64 {
        *value
    }
}

#[tokio::test]
async fn what_reads_of_an_undeclared_table_is_never_kept() {
    let world = World::of(|declarations| {
        declarations.rows::<part::Model>();
    })
    .await;
    assert_eq!(world.times(&Planted::of(&["parts", "secrets"]), &[1]).await, [1, 1]);
    assert_eq!(world.times(&Planted::of(&["parts"]), &[1]).await, [1, 0]);
}

#[tokio::test]
async fn what_fails_for_one_is_tried_once_for_all_who_waited() {
    let world = World::of(|declarations| {
        declarations.rows::<part::Model>();
    })
    .await;
    let source = Planted { reads_of: &["parts"], fails_first: true };
    let fetchers: Vec<_> =
        (0..50).map(|_| Fetcher::new(world.sources.clone(), Needs::default(), Arc::new(Ledger::default()))).collect();
    let all = futures_util::future::join_all(fetchers.iter().map(|fetcher| fetcher.fetch(&source, &[1]))).await;
    assert_eq!(all.iter().filter(|found| found.is_err()).count(), 1, "who asked first");
    assert!(all.iter().flatten().all(|found| found[&1] == 0));
    // Who hears of the failure when the second has landed already begins another; not each of the fifty does.
    let answers = ANSWERS.load(Ordering::Relaxed);
    assert!((2..10).contains(&answers), "{answers}");
}

#[tokio::test]
async fn what_shows_a_write_never_comes_from_a_tier() {
    let world = World::of(|declarations| {
        declarations.rows::<part::Model>();
    })
    .await;
    let rows = Rows::<part::Model>::new();
    assert_eq!(world.times(&rows, &[1]).await, [1, 0]);
    for needs in [Needs::default().after_write(true), Needs::default().latest(true)] {
        let ledger = Arc::new(Ledger::default());
        Fetcher::new(world.sources.clone(), needs, ledger.clone()).fetch(&rows, &[1]).await.unwrap();
        assert_eq!(ledger.batches()[0].statements, 1);
    }
}
