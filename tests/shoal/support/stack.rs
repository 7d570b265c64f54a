//! The private PostgreSQL primary, its replicas and Redis that `./test` starts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use shoal::config::Config;
use shoal::data::databases::Settings;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use url::Url;

/// What a server under test keeps its data in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Postgres,
    Sqlite,
}

/// The servers of the stack.
pub struct Stack {
    pub primary: Node,
    pub replicas: Vec<Node>,
    pub redis: Url,
}

/// One PostgreSQL server.
#[derive(Clone)]
pub struct Node {
    url: Url,
}

/// A database of a test's own, or the one with demo data that tests share to read.
pub enum Database {
    Postgres { stack: Arc<Stack>, name: String },
    Sqlite { dir: TempDir },
}

impl Stack {
    /// # Panics
    /// Without the environment that `./test` and `eval "$(./shoal-stack env)"` set.
    #[allow(clippy::disallowed_methods)]
    pub fn get() -> Self {
        Self::of(|name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run ./test")))
    }

    /// The servers that an environment names.
    pub fn of(variable: impl Fn(&str) -> String) -> Self {
        let node = |url: &str| Node { url: url.parse().unwrap() };
        Self {
            primary: node(&variable("DATABASE_URL")),
            replicas: variable("REPLICA_URLS").split(',').map(node).collect(),
            redis: variable("REDIS_URL").parse().unwrap(),
        }
    }

    /// Waits until the replicas show what the primary shows now.
    pub async fn wait_for_replicas(&self) {
        let mut primary = self.primary.connect("shoal").await;
        let flushed: String =
            sqlx::query_scalar("select pg_current_wal_flush_lsn()::text").fetch_one(&mut primary).await.unwrap();
        for replica in &self.replicas {
            let mut connection = replica.connect("shoal").await;
            eventually("a replica to catch up", async || {
                sqlx::query_scalar("select pg_last_wal_replay_lsn() >= $1::pg_lsn")
                    .bind(&flushed)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap()
            })
            .await;
        }
    }
}

impl Node {
    /// The URL of a database on this server.
    pub fn url(&self, database: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(database);
        url
    }

    pub async fn connect(&self, database: &str) -> PgConnection {
        self.try_connect(database).await.unwrap()
    }

    /// The same with a server that may be down.
    pub async fn try_connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options: PgConnectOptions = self.url(database).as_str().parse().unwrap();
        options.disable_statement_logging().connect().await
    }
}

impl Database {
    /// A database of its own, with the tables and nothing in them.
    pub async fn empty(backend: Backend) -> Self {
        Self::copy_of(backend, Content::Nothing).await
    }

    /// The one database of a stack of its own, with the demo data.
    pub fn alone_on(stack: Arc<Stack>) -> Self {
        let database = Self::Postgres { stack, name: "shoal".to_owned() };
        shoal(&database, &["migrate", "up"]);
        shoal(&database, &["import", "--demo"]);
        database
    }

    /// Another database of a stack, with the tables and nothing in them.
    pub async fn made_on(stack: Arc<Stack>, name: &str) -> Self {
        let sql = format!("create database {name}");
        let mut connection = stack.primary.connect("shoal").await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        let database = Self::Postgres { stack, name: name.to_owned() };
        shoal(&database, &["migrate", "up"]);
        database
    }

    /// A database of its own, with the demo data.
    pub async fn demo(backend: Backend) -> Self {
        Self::copy_of(backend, Content::Demo).await
    }

    /// What the environment of a server on this database is.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Postgres { stack, name } => {
                let replicas: Vec<_> = stack.replicas.iter().map(|node| node.url(name).to_string()).collect();
                vec![
                    ("DATABASE_URL", stack.primary.url(name).into()),
                    ("REPLICA_URLS", replicas.join(",")),
                    ("REDIS_URL", stack.redis.to_string()),
                ]
            }
            Self::Sqlite { dir } => vec![("SHOAL_DATA_DIR", dir.path().display().to_string())],
        }
    }

    /// The same for whoever opens it without a server: the primary alone.
    pub fn settings(&self) -> Settings {
        let mut settings = Config::default().database;
        match self {
            Self::Postgres { stack, name } => settings.url = Some(stack.primary.url(name).as_str().parse().unwrap()),
            Self::Sqlite { dir } => settings.data_dir = dir.path().to_owned(),
        }
        settings
    }

    pub fn backend(&self) -> Backend {
        match self {
            Self::Postgres { .. } => Backend::Postgres,
            Self::Sqlite { .. } => Backend::Sqlite,
        }
    }

    /// The name of the PostgreSQL database.
    pub fn name(&self) -> &str {
        match self {
            Self::Postgres { name, .. } => name,
            Self::Sqlite { .. } => panic!("an embedded database has no name"),
        }
    }

    /// The file of the embedded database.
    pub fn file(&self) -> PathBuf {
        match self {
            Self::Postgres { .. } => panic!("a PostgreSQL database is not a file"),
            Self::Sqlite { dir } => dir.path().join("shoal.db"),
        }
    }

    /// Runs statements on the primary or on the embedded database, as another service would; each in a transaction.
    pub async fn execute(&self, sql: &str) {
        match self {
            Self::Postgres { stack, name } => {
                let mut connection = stack.primary.connect(name).await;
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Sqlite { .. } => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file());
                let mut connection = options.busy_timeout(Duration::from_secs(10)).connect().await.unwrap();
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// The text that a query of one column finds in its one row.
    pub async fn text(&self, sql: &str) -> Option<String> {
        let query = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres { stack, name } => {
                let mut connection = stack.primary.connect(name).await;
                sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
            }
            Self::Sqlite { .. } => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file());
                let mut connection = options.busy_timeout(Duration::from_secs(10)).connect().await.unwrap();
                sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
            }
        }
    }

    async fn copy_of(backend: Backend, content: Content) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let template = content.template(backend).await;
        match &*template {
            Self::Postgres { stack, name: template } => {
                let name = format!("shoal_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
                let mut connection = stack.primary.connect("shoal").await;
                let sql = format!("create database {name} template {template}");
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                stack.wait_for_replicas().await;
                Self::Postgres { stack: stack.clone(), name }
            }
            Self::Sqlite { dir: template } => {
                let dir = TempDir::new().unwrap();
                std::fs::copy(template.path().join("shoal.db"), dir.path().join("shoal.db")).unwrap();
                Self::Sqlite { dir }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Content {
    Nothing,
    Demo,
}

impl Content {
    /// A database to copy, made once by the binary's own commands.
    async fn template(self, backend: Backend) -> Arc<Database> {
        static TEMPLATES: [OnceCell<Arc<Database>>; 4] = [const { OnceCell::const_new() }; 4];
        let place = 2 * usize::from(backend == Backend::Sqlite) + usize::from(matches!(self, Self::Demo));
        TEMPLATES[place].get_or_init(|| async move { Arc::new(self.make(backend).await) }).await.clone()
    }

    async fn make(self, backend: Backend) -> Database {
        match backend {
            Backend::Postgres => {
                let name = match self {
                    Self::Nothing => "shoal_test_empty",
                    Self::Demo => "shoal_test_demo",
                };
                let mut connection = Stack::get().primary.connect("shoal").await;
                for sql in [format!("drop database if exists {name} with (force)"), format!("create database {name}")] {
                    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                }
                let database = Database::Postgres { stack: Arc::new(Stack::get()), name: name.to_owned() };
                shoal(&database, &["migrate", "up"]);
                if matches!(self, Self::Demo) {
                    shoal(&database, &["import", "--demo"]);
                }
                database
            }
            Backend::Sqlite => {
                let database = Database::Sqlite { dir: TempDir::new().unwrap() };
                shoal(&database, &["migrate", "up"]);
                if matches!(self, Self::Demo) {
                    shoal(&database, &["import", "--demo"]);
                }
                database
            }
        }
    }
}

/// Runs a command of the binary to its end.
fn shoal(database: &Database, arguments: &[&str]) {
    let output = command(database).args(arguments).output().unwrap();
    assert!(output.status.success(), "shoal {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The binary with the environment of a database, and none of the caller's settings.
pub fn command(database: &Database) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_shoal")));
    for name in ["DATABASE_URL", "REPLICA_URLS", "REDIS_URL", "SHOAL_DATA_DIR", "SHOAL_LISTEN"] {
        command.env_remove(name);
    }
    // Where no shoal.toml lies.
    command.current_dir("/").envs(database.environment());
    // All tests are one client.
    command.env("SHOAL_RATE__PER_SECOND", "0");
    // No balancer has to notice that one stops.
    command.env("SHOAL_HTTP__SHUTDOWN_DELAY_MS", "0");
    // Tests look for lines.
    command.env("SHOAL_LOG__PER_SECOND", "0");
    // Nobody asks for plans: where utilities are not counted, PostgreSQL counts what is explained as if it was run.
    command.env("SHOAL_DATABASE__SLOW_MS", "0");
    // No job comes of itself.
    command.env("SHOAL_JOBS__RETENTION", "0 0 29 2 *");
    command
}

/// Waits until `condition` holds; for things that another process does.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port that nobody listens on, and that the system gives to nobody who connects: one can be closed and opened again.
pub fn free_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(10_000..20_000))
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}
