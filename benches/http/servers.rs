//! The database that is asked, and the servers that are measured.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tempfile::TempDir;

use crate::classes::{Class, OPERATIONS, Request};
use crate::load::{self, Figures};

const DATABASE: &str = "shoal_bench";
const SHOAL: &str = env!("CARGO_BIN_EXE_shoal");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Shoal,
    Sql,
    Bytes,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Shoal, Self::Sql, Self::Bytes];
}

/// A database with the data.
pub struct Bench {
    url: url::Url,
    /// The process whose children the backends are.
    postmaster: u32,
    /// The process of Redis, if there is one.
    redis: Option<u32>,
    /// Users have ids 1 to this.
    pub users: i64,
    pub posts: i64,
    pub items: i64,
}

/// Servers that run until this is dropped.
pub struct Servers {
    shoal: Server,
    floors: Server,
    files: TempDir,
}

pub struct Server {
    child: Child,
    address: String,
}

impl Bench {
    /// Loads the data, if they are not there yet.
    pub async fn open(data: Option<&Path>) -> Self {
        let server: url::Url = std::env::var("DATABASE_URL").expect("DATABASE_URL").parse().unwrap();
        let mut url = server.clone();
        url.set_path(DATABASE);
        let mut connection = connect(&server).await;
        let asked = data.map_or("the demo data".into(), |directory| directory.to_string_lossy());
        let sql = format!("select shobj_description(oid, 'pg_database') from pg_database where datname = '{DATABASE}'");
        let found: Option<Option<String>> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(&mut connection).await.unwrap();
        if let Some(loaded) = found {
            let loaded = loaded.unwrap_or_default();
            assert_eq!(loaded, asked, "the database {DATABASE} has other data: drop it, or name what it has");
        } else {
            run(&mut connection, &format!("create database {DATABASE}")).await;
            shoal(&url, &["migrate", "up"]);
            match data {
                Some(directory) => shoal(&url, &["import", directory.to_str().unwrap()]),
                None => shoal(&url, &["import", "--demo"]),
            }
            run(&mut connect(&url).await, "vacuum analyze").await;
            let quoted = asked.replace('\'', "''");
            run(&mut connection, &format!("comment on database {DATABASE} is '{quoted}'")).await;
        }
        // One that was made by an earlier version.
        shoal(&url, &["migrate", "up"]);
        let mut connection = connect(&url).await;
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{backend}/stat")).expect("PostgreSQL runs on this machine");
        let postmaster = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
        let bench = Self { url, postmaster, redis: redis().await, users: 0, posts: 0, items: 0 };
        let (users, posts, items) =
            (bench.count("users").await, bench.count("posts").await, bench.count("order_items").await);
        Self { users, posts, items, ..bench }
    }

    /// Starts the servers, and makes sure that they answer the same.
    pub async fn start(&self, classes: &[Class]) -> Servers {
        let files = TempDir::new().unwrap();
        let answers = files.path().join("answers");
        std::fs::create_dir(&answers).unwrap();
        let mut command = Command::new(SHOAL);
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("SHOAL_GRAPHQL__MAX_PAGE_SIZE", "1000")
            .env("SHOAL_CACHE__OFF", "true");
        let shoal = Server::start(self.environment(&mut command), "serving GraphQL at http://", "/graphql");
        let client = reqwest::Client::new();
        let ask = async |url: String, request: Request| {
            let answer = client.post(url).json(&request.body()).send().await.unwrap();
            answer.bytes().await.unwrap()
        };
        let first = |name| classes.iter().flat_map(|class| &class.requests).find(|found| found.operation.name == name);
        let mut used: Vec<_> = OPERATIONS.iter().filter_map(|operation| first(operation.name)).collect();
        // What writes comes first: the floors, which are asked later, see it.
        used.sort_by_key(|request| !request.writes());
        for request in &used {
            let answer = ask(format!("http://{}/graphql", shoal.address), **request).await;
            std::fs::write(answers.join(request.operation.name), answer).unwrap();
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env("SHOAL_BENCH_FLOORS", "127.0.0.1:0").env("SHOAL_BENCH_ANSWERS", &answers);
        let floors = Server::start(self.environment(&mut command), "floors at ", "");
        for request in &used {
            let name = request.operation.name;
            let shown: Value = serde_json::from_slice(&std::fs::read(answers.join(name)).unwrap()).unwrap();
            assert!(shown.get("errors").is_none(), "{name}: {shown}");
            let floor = ask(format!("http://{}/sql", floors.address), **request).await;
            assert_eq!(
                serde_json::from_slice::<Value>(&floor).unwrap(),
                shown,
                "the floor of {name} answers otherwise"
            );
        }
        for class in classes {
            let bodies: Vec<_> = class.requests.iter().map(|request| request.body().to_string() + "\n").collect();
            std::fs::write(files.path().join(class.name), bodies.concat()).unwrap();
        }
        Servers { shoal, floors, files }
    }

    /// The same database on these servers.
    pub fn replicas(&self, urls: &str) -> String {
        let of_bench = |url: &str| {
            let mut url: url::Url = url.parse().unwrap();
            url.set_path(DATABASE);
            url.to_string()
        };
        urls.split(',').map(of_bench).collect::<Vec<_>>().join(",")
    }

    /// A server with these settings.
    pub fn serve(&self, settings: &[(&str, &str)]) -> Server {
        self.serve_as(Path::new(SHOAL), settings)
    }

    /// The same of another version.
    pub fn serve_as(&self, binary: &Path, settings: &[(&str, &str)]) -> Server {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0"]).env("SHOAL_GRAPHQL__MAX_PAGE_SIZE", "1000");
        let command = self.environment(&mut command).envs(settings.iter().copied());
        Server::start(command, "serving GraphQL at http://", "/graphql")
    }

    /// A process that runs jobs, with these settings.
    pub fn work(&self, settings: &[(&str, &str)]) -> Server {
        let mut command = Command::new(SHOAL);
        let command = self.environment(command.arg("worker")).envs(settings.iter().copied());
        Server::start(command, "jobs are run here, mails go to ", "")
    }

    /// Runs a statement on the database.
    pub async fn execute(&self, sql: &str) {
        run(&mut connect(&self.url).await, sql).await;
    }

    /// How many rows there are of this.
    pub async fn count(&self, of: &str) -> i64 {
        let sql = AssertSqlSafe(format!("select count(*) from {of}"));
        sqlx::query_scalar(sql).fetch_one(&mut connect(&self.url).await).await.unwrap()
    }

    /// Microseconds of CPU that PostgreSQL and Redis have used.
    pub fn cpu_of_stores(&self) -> f64 {
        load::cpu_of_tree(self.postmaster) + self.cpu_of_redis()
    }

    /// Loads a server with the requests of a class, which lie in a file.
    pub async fn load(&self, server: &Server, path: &str, bodies: &Path, seconds: u32) -> Figures {
        let url = format!("http://{}/{path}", server.address);
        let used = || (server.cpu(), self.cpu_of_stores());
        let (statements, before) = (self.statements().await, used());
        let counted = load::run(&url, bodies, seconds);
        let (after, statements) = (used(), self.statements().await - statements);
        Figures {
            requests_per_second: counted.requests / counted.seconds,
            p50: counted.p50,
            p99: counted.p99,
            server: (after.0 - before.0) / counted.requests,
            stores: (after.1 - before.1) / counted.requests,
            statements: statements / counted.requests,
        }
    }

    fn cpu_of_redis(&self) -> f64 {
        self.redis.map_or(0.0, load::cpu_of)
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("DATABASE_URL", self.url.as_str()).env("REPLICA_URLS", "").env("REDIS_URL", "").current_dir("/");
        // One client asks for as much as it can get.
        command.env("SHOAL_RATE__PER_SECOND", "0").env("SHOAL_GRAPHQL__MAX_PRICE", "1000000000")
    }

    async fn statements(&self) -> f64 {
        // But for what no request asks: positions, what a new connection or a COMMIT says, and what the feed looks at.
        let sql = "select coalesce(sum(calls), 0)::float8 from pg_stat_statements(true)
                   where dbid = (select oid from pg_database where datname = $1)
                     and query !~ 'pg_control_system|pg_current_wal|pg_current_snapshot|pg_publication|set_config'";
        let mut server = self.url.clone();
        server.set_path("shoal");
        let mut connection = connect(&server).await;
        sqlx::query_scalar(sql).bind(DATABASE).fetch_one(&mut connection).await.unwrap()
    }
}

impl Servers {
    /// Loads one server with the requests of a class.
    pub async fn load(&self, bench: &Bench, kind: Kind, class: &Class, seconds: u32) -> Figures {
        let (server, path) = match kind {
            Kind::Shoal => (&self.shoal, "graphql"),
            Kind::Sql => (&self.floors, "sql"),
            Kind::Bytes => (&self.floors, "bytes"),
        };
        let figures = bench.load(server, path, &self.file(class), seconds).await;
        // To wrk an error in an answer is an answer.
        let errors = self.shoal.errors().await;
        assert!(errors.is_empty(), "{}: {errors:?}", class.name);
        figures
    }

    /// Where the requests of a class lie.
    pub fn file(&self, class: &Class) -> PathBuf {
        self.files.path().join(class.name)
    }
}

impl Server {
    /// The errors that it has answered, as its metrics count them.
    pub async fn errors(&self) -> Vec<String> {
        let metrics = reqwest::get(format!("http://{}/metrics", self.address)).await.unwrap().text().await.unwrap();
        metrics.lines().filter(|line| line.starts_with("shoal_graphql_errors_total{")).map(str::to_owned).collect()
    }

    /// Its resident memory, in kilobytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Microseconds of CPU that it has used.
    pub fn cpu(&self) -> f64 {
        load::cpu_of(self.child.id())
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Starts a server, and waits for the line in which it says where it is.
    fn start(command: &mut Command, before: &str, after: &str) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = String::new();
        let address = lines.find_map(|line| {
            said += &line;
            let rest = line.split_once(before)?.1;
            Some(rest.split(|c: char| c.is_whitespace()).next()?.trim_end_matches(after).to_owned())
        });
        let address = address.unwrap_or_else(|| panic!("a server did not start: {said}"));
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process of the server of `REDIS_URL`.
async fn redis() -> Option<u32> {
    let client = redis::Client::open(std::env::var("REDIS_URL").ok()?).ok()?;
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.ok()?;
    info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok())
}

async fn connect(url: &url::Url) -> PgConnection {
    url.as_str().parse::<PgConnectOptions>().unwrap().disable_statement_logging().connect().await.unwrap()
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

fn shoal(url: &url::Url, arguments: &[&str]) {
    let status = Command::new(SHOAL).args(arguments).env("DATABASE_URL", url.as_str()).current_dir("/").status();
    assert!(status.unwrap().success(), "shoal {arguments:?}");
}
