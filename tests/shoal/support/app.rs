//! The binary as a server, and requests to it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::stack::{Backend, Database, command};

/// What tells a server to do without caches: for tests that look at what it asks its databases.
pub const CACHES_OFF: (&str, &str) = ("SHOAL_CACHE__OFF", "true");

/// What lets replicas answer that lag behind what other tests write.
pub const PATIENT: (&str, &str) = ("SHOAL_DATABASE__MAX_STALENESS_MS", "600000");

/// What allows larger requests than people write, and gives them time: for tests that ask for everything at once.
pub const LARGE_REQUESTS: [(&str, &str); 9] = [
    PATIENT,
    ("SHOAL_DATABASE__POOL__ACQUIRE_TIMEOUT_MS", "60000"),
    ("SHOAL_GRAPHQL__TIMEOUT_MS", "60000"),
    ("SHOAL_GRAPHQL__MAX_PRICE", "1000000000"),
    ("SHOAL_GRAPHQL__LIMITS__TOKENS", "50000"),
    ("SHOAL_GRAPHQL__LIMITS__ROOT_FIELDS", "1000"),
    ("SHOAL_GRAPHQL__LIMITS__ALIASES", "1000"),
    ("SHOAL_GRAPHQL__LIMITS__VARIABLES", "1000"),
    ("SHOAL_GRAPHQL__LIMITS__DIRECTIVES", "1000"),
];

/// A running server. It is killed when this is dropped.
pub struct TestApp {
    pub database: Arc<Database>,
    url: String,
    client: reqwest::Client,
    /// What it has seen, as a browser keeps it.
    token: Mutex<Option<String>>,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// What a client got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The header by which the log knows the request.
    pub request_id: String,
    /// The token that it brought, if any.
    pub token: Option<String>,
    pub json: Value,
}

impl TestApp {
    /// A server on a database of its own with the demo data.
    pub async fn demo(backend: Backend) -> Self {
        Self::start(Arc::new(Database::demo(backend).await), &[]).await
    }

    /// A server on a database of its own with nothing in it.
    pub async fn empty(backend: Backend) -> Self {
        Self::start(Arc::new(Database::empty(backend).await), &[]).await
    }

    /// The same, for requests of any size.
    pub async fn for_large_requests(backend: Backend) -> Self {
        Self::start(Arc::new(Database::empty(backend).await), &LARGE_REQUESTS).await
    }

    /// The same, with replicas that may answer whatever is not asked for with a token, until it is dropped: they lag behind
    /// what other tests write, and are not asked to be within seconds of it.
    pub async fn with_replicas(database: Database) -> Self {
        let app = Self::start(Arc::new(database), &[PATIENT, CACHES_OFF]).await;
        app.all_usable().await;
        app
    }

    /// A server on a database, with more settings in its environment.
    pub async fn start(database: Arc<Database>, environment: &[(&str, &str)]) -> Self {
        Self::start_with(database, environment, &[]).await
    }

    /// The same with more flags.
    pub async fn start_with(database: Arc<Database>, environment: &[(&str, &str)], flags: &[&str]) -> Self {
        let mut child = command(&database)
            .arg("serve")
            .args(flags)
            .env("SHOAL_LISTEN", "127.0.0.1:0")
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = tokio::sync::oneshot::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let reader = std::thread::spawn({
            let (log, mut found) = (log.clone(), Some(found));
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    if let Some((_, rest)) = line.split_once("serving GraphQL at ")
                        && let Some((url, _)) = rest.split_once("/graphql")
                        && let Some(found) = found.take()
                    {
                        let _ = found.send(url.to_owned());
                    }
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        let Ok(url) = address.await else {
            panic!("the server did not start: {}", log.lock().unwrap());
        };
        Self {
            database,
            url,
            client: reqwest::Client::new(),
            token: Mutex::default(),
            child,
            log,
            reader: Some(reader),
        }
    }

    /// Asks a query that must answer without errors; its data.
    pub async fn query(&self, query: &str) -> Value {
        self.query_with(query, json!({})).await
    }

    /// The same with variables.
    pub async fn query_with(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(&json!({ "query": query, "variables": variables })).await;
        assert_eq!(answer.json.get("errors"), None, "{query} {variables}: {}", answer.json);
        answer.json["data"].take()
    }

    /// Asks a query that must be refused; its code and message.
    pub async fn refusal(&self, query: &str, variables: Value) -> (String, String) {
        self.ask(&json!({ "query": query, "variables": variables })).await.refusal()
    }

    /// Sends a GraphQL request.
    pub async fn ask(&self, body: &Value) -> Answer {
        self.ask_with(body, &[]).await
    }

    /// The same with headers.
    pub async fn ask_with(&self, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let token = self.token.lock().unwrap().clone();
        let answer = self.ask_as(token.as_deref(), body, headers).await;
        if answer.token.is_some() {
            self.token.lock().unwrap().clone_from(&answer.token);
        }
        answer
    }

    /// The same as whoever has this token, or none.
    pub async fn ask_as(&self, token: Option<&str>, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.post(self.at("/graphql")).json(body);
        for (name, value) in headers.iter().copied().chain(token.map(|token| ("shoal-token", token))) {
            request = request.header(name, value);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    /// Sends bytes as they are.
    pub async fn send(&self, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.post(self.at("/graphql")).header("content-type", content_type).body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.at(path)).send().await.unwrap()
    }

    /// What `/health` says.
    pub async fn health(&self) -> Value {
        self.get("/health").await.json().await.unwrap()
    }

    /// Waits until every database server may answer.
    pub async fn all_usable(&self) {
        super::eventually("all servers to be usable", async || {
            self.health().await["databases"].as_array().unwrap().iter().all(|node| node["usable"] == true)
        })
        .await;
    }

    /// Waits until the caches are in use: something keeps them true.
    pub async fn caches(&self) {
        super::eventually("the caches to be in use", async || {
            let health = self.health().await;
            health["feed"].is_null() || health["feed"]["follows"] == true
        })
        .await;
    }

    /// The sum of a counter, over all of its labels that contain this.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let metrics = self.get("/metrics").await.text().await.unwrap();
        let of = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(label)
        };
        metrics.lines().filter(of).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the server has logged this.
    #[cfg(feature = "fault-points")]
    pub async fn logs(&self, text: &str) {
        super::eventually(text, async || self.log().contains(text)).await;
    }

    /// What it has logged since its log had this many bytes.
    pub fn log_after(&self, bytes: usize) -> String {
        self.log.lock().unwrap()[bytes..].to_owned()
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether the server has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the server to end by itself; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (request_id, token) = (header("x-request-id").unwrap(), header("shoal-token"));
        Self { status: response.status().as_u16(), request_id, token, json: response.json().await.unwrap() }
    }

    /// Code and message of the one error.
    pub fn refusal(&self) -> (String, String) {
        let errors = self.json["errors"].as_array().unwrap_or_else(|| panic!("no errors in {}", self.json));
        assert_eq!(errors.len(), 1, "{}", self.json);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&errors[0]["extensions"]["code"]), text(&errors[0]["message"]))
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
