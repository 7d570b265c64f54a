//! A stack of a test's own, with a gate in front of each PostgreSQL server: it may break all of it.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::PgConnection;
use tempfile::TempDir;

use super::app::CACHES_OFF;
use super::{Answer, Database, Gate, Stack, TestApp, eventually};

pub struct Cluster {
    pub stack: Arc<Stack>,
    pub database: Arc<Database>,
    /// In front of the primary.
    pub primary: Gate,
    pub replicas: Vec<Gate>,
    servers: Option<Servers>,
}

/// Servers that stop with their owner.
struct Servers(TempDir);

impl Cluster {
    /// Servers that nobody else uses.
    pub async fn alone() -> Self {
        let servers = Servers(TempDir::new().unwrap());
        servers.tell(&["up"]);
        let environment = servers.tell(&["env"]);
        let variable = |name: &str| {
            let line = environment.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.unwrap().to_owned()
        };
        let stack = Arc::new(Stack::of(variable));
        let database = Arc::new(Database::alone_on(stack.clone()));
        Self { servers: Some(servers), ..Self::on(stack, database).await }
    }

    /// The servers of all tests, which are to stay as they are.
    pub async fn shared(database: Database) -> Self {
        Self::on(Arc::new(Stack::get()), Arc::new(database)).await
    }

    async fn on(stack: Arc<Stack>, database: Arc<Database>) -> Self {
        stack.wait_for_replicas().await;
        let primary = Gate::open(stack.primary.url(database.name())).await;
        let mut replicas = Vec::new();
        for replica in &stack.replicas {
            replicas.push(Gate::open(replica.url(database.name())).await);
        }
        Self { stack, database, primary, replicas, servers: None }
    }

    /// A server of ours without caches, which reaches the others through the gates.
    pub async fn instance(&self, settings: &[(&str, &str)]) -> TestApp {
        self.start(&[settings, &[CACHES_OFF]].concat()).await
    }

    /// The same with caches that are true and in use.
    pub async fn caching(&self, settings: &[(&str, &str)]) -> TestApp {
        let app = self.start(settings).await;
        app.caches().await;
        app
    }

    /// The same with caches, in use or not.
    pub async fn start(&self, settings: &[(&str, &str)]) -> TestApp {
        let replicas: Vec<_> = self.replicas.iter().map(|gate| gate.url().as_str()).collect();
        let replicas = replicas.join(",");
        let gates = [("DATABASE_URL", self.primary.url().as_str()), ("REPLICA_URLS", replicas.as_str())];
        let app = TestApp::start(self.database.clone(), &[&gates[..], settings].concat()).await;
        app.all_usable().await;
        app
    }

    /// A connection to a replica, past its gate.
    pub async fn replica(&self, place: usize) -> PgConnection {
        self.stack.replicas[place].connect(self.database.name()).await
    }

    /// Runs a statement on a replica, past its gate.
    pub async fn on_replica(&self, place: usize, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.replica(place).await).await.unwrap();
    }

    /// Tells the script that made the servers what to do with one.
    pub fn tell(&self, arguments: &[&str]) {
        self.servers.as_ref().expect("only servers of its own").tell(arguments);
    }

    /// The same, while others go on.
    pub async fn tell_meanwhile(&self, arguments: &[&str]) {
        let servers = self.servers.as_ref().expect("only servers of its own");
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let directory = servers.0.path().to_owned();
        let told = tokio::task::spawn_blocking(move || {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            tell(&directory, &arguments)
        });
        told.await.unwrap();
    }
}

impl Servers {
    fn tell(&self, arguments: &[&str]) -> String {
        tell(self.0.path(), arguments)
    }
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("shoal-stack");
    Command::new(script).args(arguments).env("SHOAL_STACK_DIR", directory).output().unwrap()
}

fn tell(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Drop for Servers {
    fn drop(&mut self) {
        run(self.0.path(), &["down"]);
    }
}

/// What `/health` says of one server.
pub async fn health_of(app: &TestApp, node: &str) -> Value {
    let health = app.health().await;
    health["databases"].as_array().unwrap().iter().find(|known| known["node"] == node).unwrap().clone()
}

/// Waits until one server is not used, for this reason.
pub async fn is_out(app: &TestApp, node: &str, why: &str) {
    eventually(why, async || {
        let health = health_of(app, node).await;
        health["usable"] == false && health["why"].as_str().is_some_and(|said| said.contains(why))
    })
    .await;
}

pub async fn is_back(app: &TestApp, node: &str) {
    eventually("a server to be used again", async || health_of(app, node).await["usable"] == true).await;
}

/// Asks for the stock of a product.
pub const STOCK: &str = "{ product(id: \"UHJvZHVjdDox\") { stock } }";

/// Asks that, as whoever has this token; the answer, and the node that gave it.
pub async fn stock(app: &TestApp, token: Option<&str>) -> (Answer, String) {
    let body = json!({ "query": STOCK });
    let answer = app.ask_as(token, &body, &[("shoal-trace", "1")]).await;
    let node = answer.json["extensions"]["shoal"]["batches"][0]["node"].as_str().unwrap_or_default().to_owned();
    (answer, node)
}

pub fn stock_in(answer: &Answer) -> i64 {
    answer.json["data"]["product"]["stock"].as_i64().unwrap_or_else(|| panic!("{}", answer.json))
}

/// Adds one to the stock of the same product; what the answer is.
pub async fn restock(app: &TestApp, key: &str) -> Answer {
    let query =
        "mutation ($key: String!) { adjustStock(input: { id: \"UHJvZHVjdDox\", delta: 1, idempotencyKey: $key })
        { product { stock } userErrors { message } } }";
    app.ask_as(None, &json!({ "query": query, "variables": { "key": key } }), &[]).await
}

/// The same, as soon as the primary takes it: one that is slow, or has just come back, may refuse some, also after it has
/// taken one.
pub async fn restocked_at_last(app: &TestApp, key: &str) -> (i64, String) {
    let mut taken = None;
    super::eventually("the primary to take a write", async || {
        let answer = restock(app, key).await;
        let is_answered = answer.json["errors"].is_null() || answer.refusal().0 != "UNAVAILABLE";
        taken = is_answered.then_some(answer);
        is_answered
    })
    .await;
    shown(taken.unwrap())
}

/// The same, which must succeed; the stock after it, and the token that shows it.
pub async fn restocked(app: &TestApp, key: &str) -> (i64, String) {
    shown(restock(app, key).await)
}

fn shown(answer: Answer) -> (i64, String) {
    let stock = answer.json["data"]["adjustStock"]["product"]["stock"].as_i64();
    (stock.unwrap_or_else(|| panic!("{}", answer.json)), answer.token.unwrap())
}
