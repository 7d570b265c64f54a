//! What is under test: instances, a primary, two replicas and Redis, with a gate on each link of each instance.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use tokio::sync::Mutex;

use super::shapes;
use crate::support::cluster::Cluster;
use crate::support::{Database, Gate, Node, TestApp, eventually};

/// How old an answer may be, in these runs: shorter than it is by default, so that they are.
pub const BOUND_MS: u64 = 1000;

/// How many instances there are.
const INSTANCES: usize = 2;

pub struct Rig {
    pub cluster: Cluster,
    pub database: Arc<Database>,
    pub instances: Vec<Instance>,
    /// Whether the first replica has taken the primary's place.
    has_failed_over: AtomicBool,
}

/// An instance, and its links.
pub struct Instance {
    pub primary: Gate,
    pub replicas: Vec<Gate>,
    pub redis: Gate,
    app: Mutex<Option<TestApp>>,
    url: RwLock<String>,
    settings: Vec<(&'static str, String)>,
    /// What those that ran before had counted: hits of tiers, and statements.
    counted: std::sync::Mutex<(f64, f64)>,
}

impl Rig {
    /// Servers and instances of its own.
    pub async fn start() -> Self {
        let cluster = Cluster::alone().await;
        let database = Arc::new(Database::made_on(cluster.stack.clone(), "proof").await);
        database.execute(&shapes::seed()).await;
        cluster.stack.wait_for_replicas().await;
        let mut rig = Self { cluster, database, instances: Vec::new(), has_failed_over: AtomicBool::new(false) };
        rig.add_instances(&[]).await;
        rig
    }

    /// Starts all instances anew, with these settings, and rows as at the beginning.
    pub async fn begin_anew(&mut self, settings: &[(&'static str, &str)]) {
        self.instances.clear();
        let rows =
            format!("truncate users, posts, tags, post_tags, products restart identity cascade; {}", shapes::seed());
        self.database.execute(&rows).await;
        self.redis(&["FLUSHALL"]).await;
        self.cluster.stack.wait_for_replicas().await;
        self.add_instances(settings).await;
    }

    async fn add_instances(&mut self, settings: &[(&'static str, &str)]) {
        for _ in 0..INSTANCES {
            let instance = Instance::new(self, settings).await;
            instance.start(&self.database, &[]).await;
            self.instances.push(instance);
        }
    }

    /// The server that takes writes, past all gates.
    pub fn primary(&self) -> &Node {
        let stack = &self.cluster.stack;
        if self.has_failed_over.load(Ordering::Relaxed) { &stack.replicas[0] } else { &stack.primary }
    }

    /// Leads everybody to the first replica, which takes writes by now.
    pub fn fail_over(&self) {
        self.has_failed_over.store(true, Ordering::Relaxed);
        let url = self.primary().url(self.database.name());
        self.instances.iter().for_each(|instance| instance.primary.lead_to(&url));
    }

    /// Waits until all instances use everything again.
    pub async fn is_well(&self) {
        for instance in &self.instances {
            let app = instance.app.lock().await;
            let app = app.as_ref().unwrap();
            app.caches().await;
            eventually("the primary to be used", async || {
                let health = app.health().await;
                health["databases"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|node| node["node"] == "primary" && node["usable"] == true)
            })
            .await;
        }
    }

    /// The processes of all instances.
    pub async fn instance_processes(&self) -> Vec<u32> {
        let mut processes = Vec::new();
        for instance in &self.instances {
            processes.push(instance.process().await);
        }
        processes
    }

    /// The sum of a counter over all instances.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let mut sum = 0.0;
        for instance in &self.instances {
            sum += instance.metric(name, label).await;
        }
        sum
    }
}

impl Instance {
    async fn new(rig: &Rig, settings: &[(&'static str, &str)]) -> Self {
        let stack = &rig.cluster.stack;
        let name = rig.database.name();
        let primary = Gate::open(stack.primary.url(name)).await;
        let mut replicas = Vec::new();
        for replica in &stack.replicas {
            replicas.push(Gate::open(replica.url(name)).await);
        }
        let redis = Gate::open(stack.redis.clone()).await;
        let replica_urls: Vec<_> = replicas.iter().map(|gate| gate.url().as_str()).collect();
        let mut all = vec![
            ("DATABASE_URL", primary.url().to_string()),
            ("REPLICA_URLS", replica_urls.join(",")),
            ("REDIS_URL", redis.url().to_string()),
            ("SHOAL_DATABASE__MAX_STALENESS_MS", BOUND_MS.to_string()),
        ];
        all.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let (app, url) = (Mutex::new(None), RwLock::default());
        Self { primary, replicas, redis, app, url, settings: all, counted: std::sync::Mutex::default() }
    }

    /// Starts it, in place of the one that ran; with more in its environment.
    pub async fn start(&self, database: &Arc<Database>, more: &[(&str, &str)]) {
        self.kill().await;
        let mut app = self.app.lock().await;
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let started = TestApp::start(database.clone(), &[&settings, more].concat()).await;
        *self.url.write().unwrap() = started.at("/graphql");
        started.caches().await;
        *app = Some(started);
    }

    /// A metric of it; nothing while it does not run.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        match &*self.app.lock().await {
            Some(app) => app.metric(name, label).await,
            None => 0.0,
        }
    }

    /// Kills it.
    pub async fn kill(&self) {
        if let Some(app) = self.app.lock().await.take() {
            let (hits, statements) = tiers(&app).await;
            let mut counted = self.counted.lock().unwrap();
            *counted = (counted.0 + hits, counted.1 + statements);
        }
    }

    /// Hits of its tiers, and statements it has sent, in all of its lives.
    pub async fn counted(&self) -> (f64, f64) {
        let before = *self.counted.lock().unwrap();
        let now = match &*self.app.lock().await {
            Some(app) => tiers(app).await,
            None => (0.0, 0.0),
        };
        (before.0 + now.0, before.1 + now.1)
    }

    pub async fn process(&self) -> u32 {
        self.app.lock().await.as_ref().unwrap().process()
    }

    /// What it has logged, if it runs.
    pub async fn log(&self) -> String {
        self.app.lock().await.as_ref().map(TestApp::log).unwrap_or_default()
    }

    pub fn url(&self) -> String {
        self.url.read().unwrap().clone()
    }
}

async fn tiers(app: &TestApp) -> (f64, f64) {
    (app.metric("shoal_cache_hits_total", "").await, app.metric("shoal_sql_statements_total", "").await)
}
