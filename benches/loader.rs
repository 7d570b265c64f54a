//! What batching, decoding and cursors cost a request, beside what they would cost it elsewhere.
//!
//! `cargo bench --bench loader`, about a minute. Ratios within a group say more than times, which are of one machine.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::parser::{parse_query, types::ExecutableDocument};
use async_graphql::runtime::Timer;
use async_graphql::{Context, EmptyMutation, EmptySubscription, Object, Request, Response, Schema, SimpleObject};
use chrono::DateTime;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use entity::{post, user};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, FutureObj};
use futures_util::task::{Spawn, SpawnError};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Set, Statement};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryResult, QueryTrait};
use shoal::data::condition::Condition;
use shoal::data::find::{Pages, Source};
use shoal::data::list::{List, Listing, Path};
use shoal::data::loader::Loaders;
use shoal::data::page::{PageArgs, PageLimits, PageSpec};
use shoal::data::scalar::Scalar;
use shoal::data::sql::Dialect;
use shoal::data::table::Tables;
use tokio::runtime::Runtime;
use tokio::task::unconstrained;

criterion_main!(benches);
criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = batching, decoding, cursors, statements
}

/// A request for rows that each load another: its resolvers answer by themselves, through Shoal's dispatcher, and
/// through async-graphql's.
fn batching(criterion: &mut Criterion) {
    let runtime = runtime();
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let authors = Arc::new(Authors);
    let mut group = criterion.benchmark_group("batching");
    for count in [50, 1_000] {
        let document =
            |field: &str| parse_query(format!("{{ rows(count: {count}) {{ {field} {{ name }} }} }}")).unwrap();
        let request = |document: &ExecutableDocument| {
            let mut request = Request::new("");
            request.set_parsed_query(document.clone());
            request
        };

        let inline = document("inline");
        group.bench_function(BenchmarkId::new("inline", count), |bencher| {
            bencher.iter(|| answered(runtime.block_on(unconstrained(schema.execute(request(&inline))))));
        });
        let shoal = document("shoal");
        group.bench_function(BenchmarkId::new("shoal", count), |bencher| {
            bencher.iter(|| {
                let loaders = Loaders::default();
                let request = request(&shoal).data(loaders.clone()).data(authors.clone());
                answered(runtime.block_on(loaders.drive(unconstrained(schema.execute(request)))))
            });
        });
        let data_loader = document("dataLoader");
        for (name, delay) in [("DataLoader, no delay", Duration::ZERO), ("DataLoader", Duration::from_millis(1))] {
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| {
                    let loader = DataLoader::new(Authors, OnTokio(runtime.handle().clone()), OnTokioTime).delay(delay);
                    answered(runtime.block_on(schema.execute(request(&data_loader).data(loader))))
                });
            });
        }
    }
}

/// A page of 100 rows from a database's rows: Shoal's, with its cursors; only its records; and SeaORM's whole models.
fn decoding(criterion: &mut Criterion) {
    let runtime = runtime();
    let database = runtime.block_on(posts());
    let rows = |statement: &Statement| runtime.block_on(database.query_all_raw(statement.clone())).unwrap();
    let parents = [Scalar::Int(1)];
    let source = Pages { listing: listing(), page: page(&PageArgs { first: Some(100), ..PageArgs::default() }) };
    let page = source.statement(Dialect::Sqlite, &parents);
    let models = post::Entity::find()
        .filter(post::Column::AuthorId.eq(1))
        .order_by_desc(post::Column::CreatedAt)
        .limit(100)
        .build(database.get_database_backend());

    let mut group = criterion.benchmark_group("decoding");
    group.bench_function("page", |bencher| {
        let decode = |rows: Vec<QueryResult>| source.values(&parents, rows, &Tables::default()).unwrap();
        assert_eq!(decode(rows(&page))[&parents[0]].rows.len(), 100);
        bencher.iter_batched(|| rows(&page), decode, BatchSize::SmallInput);
    });
    group.bench_function("records", |bencher| {
        bencher.iter_batched(|| rows(&page), decoded::<post::Row>, BatchSize::SmallInput);
    });
    group.bench_function("SeaORM models", |bencher| {
        assert_eq!(decoded::<post::Model>(rows(&models)).len(), 100);
        bencher.iter_batched(|| rows(&models), decoded::<post::Model>, BatchSize::SmallInput);
    });
}

fn decoded<R: FromQueryResult>(rows: Vec<QueryResult>) -> Vec<R> {
    rows.iter().map(|row| R::from_query_result(row, "").unwrap()).collect()
}

/// The place of one row, to a client and back.
fn cursors(criterion: &mut Criterion) {
    let runtime = runtime();
    let database = runtime.block_on(posts());
    let parents = [Scalar::Int(1)];
    let source = Pages { listing: listing(), page: page(&PageArgs::default()) };
    let rows = database.query_all_raw(source.statement(Dialect::Sqlite, &parents));
    let found = source.values(&parents, runtime.block_on(rows).unwrap(), &Tables::default()).unwrap();
    let cursor = &found[&parents[0]].cursors[0];
    let args = PageArgs { after: Some(cursor.encode(&source.listing)), ..PageArgs::default() };

    let mut group = criterion.benchmark_group("cursor");
    group.bench_function("encode", |bencher| bencher.iter(|| cursor.encode(black_box(&source.listing))));
    group.bench_function("decode", |bencher| bencher.iter(|| page(black_box(&args))));
}

/// The statement of a page after a cursor.
fn statements(criterion: &mut Criterion) {
    let source = Pages { listing: listing(), page: page(&PageArgs::default()) };
    let mut group = criterion.benchmark_group("statement");
    for (name, dialect) in [("PostgreSQL", Dialect::Postgres), ("SQLite", Dialect::Sqlite)] {
        for count in [1, 100] {
            let parents: Vec<_> = (1..=count).map(Scalar::Int).collect();
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| source.statement(dialect, black_box(&parents)));
            });
        }
    }
}

struct Query;

#[Object]
impl Query {
    async fn rows(&self, count: i64) -> Vec<Row> {
        (0..count).map(Row).collect()
    }
}

struct Row(i64);

#[Object]
impl Row {
    async fn inline(&self) -> Author {
        Author::of(self.0)
    }

    async fn shoal(&self, ctx: &Context<'_>) -> Option<Author> {
        let load = ctx.data_unchecked::<Loaders>().load(ctx.data_unchecked::<Arc<Authors>>(), self.0);
        load.await.unwrap()
    }

    async fn data_loader(&self, ctx: &Context<'_>) -> Option<Author> {
        ctx.data_unchecked::<DataLoader<Authors>>().load_one(self.0).await.unwrap()
    }
}

#[derive(Clone, SimpleObject)]
struct Author {
    name: Arc<str>,
}

impl Author {
    fn of(key: i64) -> Self {
        Self { name: format!("author {key}").into() }
    }
}

/// Answers at once: what is left is the cost of the dispatcher.
struct Authors;

impl Loader<i64> for Authors {
    type Value = Author;
    type Error = Infallible;

    async fn load(&self, keys: &[i64]) -> Result<HashMap<i64, Author>, Infallible> {
        Ok(keys.iter().map(|key| (*key, Author::of(*key))).collect())
    }
}

/// What async-graphql offers with its feature `tokio`.
struct OnTokio(tokio::runtime::Handle);

impl Spawn for OnTokio {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.0.spawn(future);
        Ok(())
    }
}

struct OnTokioTime;

impl Timer for OnTokioTime {
    fn delay(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

fn answered(response: Response) -> Response {
    assert!(response.is_ok(), "{:?}", response.errors);
    response
}

/// On one thread: what the dispatchers cost, not what two threads say to each other.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The published posts of an author, newest first.
fn listing() -> Listing<post::Row> {
    static POSTS: LazyLock<List<post::Row>> = LazyLock::new(|| {
        List::children("bench.posts", post::Column::AuthorId)
            .path(Path::by(post::Column::CreatedAt).also(post::Column::Status))
    });
    POSTS.select(vec![Condition::is(post::Column::Status, post::Status::Published)], None).unwrap()
}

fn page(args: &PageArgs) -> PageSpec {
    PageSpec::new(args, PageLimits { default: 20, max: 100 }, &listing()).unwrap()
}

/// A database in memory, with 100 posts of one author.
async fn posts() -> DatabaseConnection {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    let database = Database::connect(options).await.unwrap();
    Migrator::up(&database, None).await.unwrap();
    let time = |minute: i64| DateTime::from_timestamp(1_700_000_000 + 60 * minute, 0).unwrap();
    let author = user::ActiveModel {
        id: Set(1),
        email: Set("author@example.org".to_owned()),
        name: Set("An Author".to_owned()),
        role: Set(user::Role::Author),
        active: Set(true),
        created_at: Set(time(0)),
        updated_at: Set(time(0)),
    };
    user::Entity::insert(author).exec(&database).await.unwrap();
    let posts = (1..=100).map(|key| post::ActiveModel {
        id: Set(key),
        author_id: Set(1),
        title: Set(format!("The title of post {key}")),
        body: Set("What it says. ".repeat(50)),
        status: Set(post::Status::Published),
        published_at: Set(Some(time(key))),
        created_at: Set(time(key)),
        updated_at: Set(time(key)),
    });
    post::Entity::insert_many(posts).exec(&database).await.unwrap();
    database
}
