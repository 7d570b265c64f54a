//! Two instances and a worker behind a real nginx, with the configurations that are shipped: instances are restarted and killed under
//! load, again and again.
//!
//! A restart loses no request. What a kill breaks off is answered by another instance, or with a code. Whoever shows their token sees
//! what they have done, whichever instance they get and whatever dies.

mod clients;
mod nginx;
mod passing;

use std::sync::Arc;

use clients::Clients;
use nginx::Nginx;

use crate::jobs::Worker;
use crate::support::{Backend, Database, TestApp, eventually, free_port};

/// How often instances are restarted, and killed: more by hand.
const TIMES: &str = "SHOAL_TEST_RESTARTS";

#[allow(clippy::disallowed_methods)]
fn times() -> usize {
    std::env::var(TIMES).ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// An instance that always listens on the same port.
struct Instance {
    database: Arc<Database>,
    port: u16,
    app: Option<TestApp>,
    /// What those that have ended had logged.
    log: String,
}

impl Instance {
    async fn start(database: &Arc<Database>, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let app = Self::run(database, port, settings).await;
        Self { database: database.clone(), port, app: Some(app), log: String::new() }
    }

    async fn run(database: &Arc<Database>, port: u16, settings: &[(&str, &str)]) -> TestApp {
        let listen = format!("127.0.0.1:{port}");
        // Longer than nginx keeps a connection that it does not use.
        let own = [
            ("SHOAL_LISTEN", listen.as_str()),
            ("SHOAL_HTTP__SHUTDOWN_DELAY_MS", "1500"),
            // A machine that is busy with other tests is no failure of these.
            ("SHOAL_DATABASE__POOL__ACQUIRE_TIMEOUT_MS", "30000"),
            ("SHOAL_GRAPHQL__TIMEOUT_MS", "60000"),
            ("SHOAL_HTTP__DRAIN_TIMEOUT_MS", "60000"),
        ];
        TestApp::start(database.clone(), &[&own, settings].concat()).await
    }

    fn app(&self) -> &TestApp {
        self.app.as_ref().unwrap()
    }

    /// What has been logged of a request.
    fn said_of(&self, request_id: &str) -> String {
        let log = format!("{}{}", self.log, self.app().log());
        log.lines().filter(|line| line.contains(request_id)).collect()
    }

    /// How many requests for the graph it has answered since it was started.
    async fn answered(&self) -> f64 {
        self.app().metric("shoal_http_requests_total", "route=\"/graphql\"").await
    }

    /// Waits until nginx sends it requests. Those that were on their way to it before it was started are no sign of that: nginx leaves
    /// it alone for a while after it could not be reached.
    async fn is_used(&self) {
        let on_their_way = f64::from(u32::try_from(clients::AT_ONCE).unwrap());
        eventually("requests to come back", async || self.answered().await > on_their_way).await;
    }

    /// Tells it to stop, waits until it has, and starts it anew.
    async fn restart(&mut self) {
        let mut app = self.app.take().unwrap();
        let process = app.process().to_string();
        assert!(std::process::Command::new("kill").args(["-s", "TERM", &process]).status().unwrap().success());
        eventually("it to end", async || app.has_ended()).await;
        assert_eq!(app.wait(), Some(0), "{}", app.log());
        assert!(!app.log().contains("cut off"), "{}", app.log());
        self.log.push_str(&app.log());
        self.app = Some(Self::run(&self.database, self.port, &[]).await);
        self.is_used().await;
    }

    /// Kills it in the midst of what it does, and starts it anew.
    async fn kill(&mut self) {
        drop(self.app.take());
        self.app = Some(Self::run(&self.database, self.port, &[]).await);
        self.is_used().await;
    }
}

/// Restarts and kills under load.
async fn stands(variant: &str) {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let mut instances = [Instance::start(&database, &[]).await, Instance::start(&database, &[]).await];
    let mut worker = Worker::start(&database, &[]);
    let nginx = Nginx::start(variant, &instances.each_ref().map(|instance| instance.port)).await;
    let clients = Clients::start(&nginx.url("/graphql")).await;
    for instance in &instances {
        instance.is_used().await;
    }
    for turn in 0..times() {
        instances[turn % 2].restart().await;
    }
    if let Some(failure) = clients.last_failure() {
        let request_id = failure["errors"][0]["extensions"]["requestId"].as_str().unwrap();
        let said = instances.each_ref().map(|instance| instance.said_of(request_id));
        panic!("a restart is not to be noticed: {failure}: {said:?}");
    }
    for turn in 0..times() {
        instances[turn % 2].kill().await;
        worker = Worker::start(&database, &[]);
    }
    let counts = clients.stop().await;
    println!(
        "{variant}: {} times each: {} writes and {} reads; {} failed with a code; nginx asked a second instance {} times; the slowest took {:?}",
        times(),
        counts.writes,
        counts.reads,
        counts.failures,
        nginx.retries(),
        counts.slowest,
    );
    // Each client began with a job.
    eventually("all jobs to be done", async || {
        database.text("select count(*)::text from jobs where state <> 'done'").await.as_deref() == Some("0")
    })
    .await;
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_least_connections() {
    stands("least-connections").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_round_robin() {
    stands("round-robin").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_client_hash() {
    stands("client-hash").await;
}
