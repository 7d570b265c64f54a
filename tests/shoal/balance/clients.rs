//! Clients that write, and look whether it is there, without a pause.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// More than two, so that none of the instances has nobody whatever the way to choose.
const CLIENTS: u8 = 12;
/// How many requests they have in work together: other tests want to run, too.
pub const AT_ONCE: usize = 4;
const CREATE: &str = "mutation ($email: String!, $key: String!) {
  createUser(input: { email: $email, name: \"0\", idempotencyKey: $key }) { user { id } userErrors { code } } }";
const UPDATE: &str = "mutation ($id: ID!, $name: String!, $key: String!) {
  updateUser(input: { id: $id, name: $name, idempotencyKey: $key }) { user { name } userErrors { code } } }";
const READ: &str = "query ($id: ID!) { user(id: $id) { name } }";

/// What clients have done and seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub writes: usize,
    pub reads: usize,
    /// Answers with a code that says to try again; all were tried again.
    pub failures: usize,
    /// The longest that one waited for an answer.
    pub slowest: Duration,
}

struct Shared {
    places: Semaphore,
    writes: AtomicUsize,
    reads: AtomicUsize,
    failures: AtomicUsize,
    last_failure: Mutex<Option<Value>>,
    slowest: Mutex<Duration>,
    is_over: AtomicBool,
}

pub struct Clients {
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// A client with an address of its own.
struct Client {
    shared: Arc<Shared>,
    url: String,
    http: reqwest::Client,
    token: Option<String>,
}

impl Clients {
    /// Begins; each client has a user of its own by then.
    pub async fn start(url: &str) -> Self {
        let shared = Arc::new(Shared {
            places: Semaphore::new(AT_ONCE),
            writes: AtomicUsize::default(),
            reads: AtomicUsize::default(),
            failures: AtomicUsize::default(),
            last_failure: Mutex::default(),
            slowest: Mutex::default(),
            is_over: AtomicBool::default(),
        });
        let mut tasks = Vec::new();
        for number in 0..CLIENTS {
            let mut client = Client::new(url, number, &shared);
            let variables = json!({ "email": format!("client{number}@example.org"), "key": format!("{number}") });
            let created = client.ask(CREATE, &variables).await;
            let id = created["createUser"]["user"]["id"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
            tasks.push(tokio::spawn(async move { client.write_and_read(&id, number).await }));
        }
        Self { shared, tasks }
    }

    pub fn last_failure(&self) -> Option<Value> {
        self.shared.last_failure.lock().unwrap().clone()
    }

    /// Ends, unless a client has met what must not be.
    pub async fn stop(self) -> Counts {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let Shared { writes, reads, failures, .. } = &*self.shared;
        let [writes, reads, failures] = [writes, reads, failures].map(|count| count.load(Ordering::Relaxed));
        let slowest = *self.shared.slowest.lock().unwrap();
        Counts { writes, reads, failures, slowest }
    }
}

impl Client {
    fn new(url: &str, number: u8, shared: &Arc<Shared>) -> Self {
        let http = reqwest::Client::builder()
            .local_address(std::net::IpAddr::from([127, 0, 0, 10 + number]))
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { shared: shared.clone(), url: url.to_owned(), http, token: None }
    }

    /// Writes what nobody has written, and reads it, until all is over.
    async fn write_and_read(mut self, id: &str, number: u8) {
        let mut turn = 0;
        while !self.shared.is_over.load(Ordering::Relaxed) {
            turn += 1;
            let name = format!("{number}-{turn}");
            let written = self.ask(UPDATE, &json!({ "id": id, "name": name, "key": name })).await;
            assert_eq!(written["updateUser"], json!({ "user": { "name": name }, "userErrors": [] }));
            self.shared.writes.fetch_add(1, Ordering::Relaxed);
            for _ in 0..2 {
                let read = self.ask(READ, &json!({ "id": id })).await;
                assert_eq!(read, json!({ "user": { "name": name } }), "what was written is to be seen");
                self.shared.reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Asks until there is an answer. What comes in between has a code that says to try again.
    async fn ask(&mut self, query: &str, variables: &Value) -> Value {
        loop {
            let mut request = self.http.post(&self.url).json(&json!({ "query": query, "variables": variables }));
            if let Some(token) = &self.token {
                request = request.header("shoal-token", token);
            }
            let place = self.shared.places.acquire().await.unwrap();
            let start = Instant::now();
            // nginx is always there, and always ends what it has begun.
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            if let Some(token) = headers.get("shoal-token") {
                self.token = Some(token.to_str().unwrap().to_owned());
            }
            let text = response.text().await.unwrap();
            drop(place);
            let mut slowest = self.shared.slowest.lock().unwrap();
            *slowest = start.elapsed().max(*slowest);
            drop(slowest);
            let mut answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"));
            if answer["errors"].is_null() {
                return answer["data"].take();
            }
            let extensions = &answer["errors"][0]["extensions"];
            assert_eq!(extensions["code"], "UNAVAILABLE", "{status}: {answer}");
            assert_eq!(extensions["requestId"], headers["x-request-id"].to_str().unwrap(), "{answer}");
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            *self.shared.last_failure.lock().unwrap() = Some(answer);
        }
    }
}
