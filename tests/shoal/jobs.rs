//! Jobs: none is lost, whatever dies meanwhile; and what operators see of them.

mod chaos;
mod graphql;
mod import;
mod mails;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::on_both;
use crate::support::{Backend, Database, TestApp, command, eventually};

on_both!(what_is_old_is_removed_when_its_time_comes, what_nobody_understands_is_a_dead_letter);

pub const OFTEN: (&str, &str) = ("SHOAL_JOBS__POLL_MS", "50");
const HERE: (&str, &str) = ("SHOAL_JOBS__IN_SERVER", "always");
/// Of workers that are to be lost.
pub const SHORT_LEASE: (&str, &str) = ("SHOAL_JOBS__LEASE_MS", "1000");
/// Of workers that are to keep what they run, on a machine that may be busy; in milliseconds.
pub const LEASE: i64 = 6_000;
pub const LONG_LEASE: (&str, &str) = ("SHOAL_JOBS__LEASE_MS", "6000");

/// A worker process; killed when this is dropped.
pub struct Worker(Child);

impl Worker {
    pub fn start(database: &Database, environment: &[(&str, &str)]) -> Self {
        let mut command = command(database);
        command.arg("worker").envs(environment.iter().copied()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Asks it to stop, and waits until it has.
    fn stop(mut self) {
        let id = i32::try_from(self.0.id()).unwrap();
        assert!(std::process::Command::new("kill").arg(id.to_string()).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `shoal jobs …` says, and whether it succeeds.
fn jobs(database: &Database, arguments: &[&str]) -> (bool, String) {
    let output = command(database).arg("jobs").args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Adds a job for retention; its id.
pub fn added(database: &Database) -> String {
    let (done, said) = jobs(database, &["add", "retention"]);
    assert!(done, "{said}");
    said.split_whitespace().next().unwrap().to_owned()
}

fn shown(database: &Database, id: &str) -> Value {
    let (done, said) = jobs(database, &["show", id]);
    assert!(done, "{said}");
    serde_json::from_str(&said).unwrap()
}

/// Waits until a job of a PostgreSQL is in a state; the job.
async fn is(database: &Database, id: &str, state: &str) -> Value {
    eventually(state, async || {
        database.text(&format!("select state from jobs where id = {id}")).await.as_deref() == Some(state)
    })
    .await;
    shown(database, id)
}

/// Keeps others from what retention removes, until it is closed.
pub async fn locked(database: &Database) -> sqlx::PgConnection {
    let mut connection = crate::support::Stack::get().primary.connect(database.name()).await;
    sqlx::raw_sql("begin; lock table idempotency_keys").execute(&mut connection).await.unwrap();
    connection
}

pub async fn unlock(mut connection: sqlx::PgConnection) {
    sqlx::raw_sql("rollback").execute(&mut connection).await.unwrap();
}

async fn empty() -> Arc<Database> {
    Arc::new(Database::empty(Backend::Postgres).await)
}

async fn what_is_old_is_removed_when_its_time_comes(backend: Backend) {
    let database = Arc::new(Database::empty(backend).await);
    for (key, time) in [("old", "2020-01-01T00:00:00+00:00"), ("new", "2999-01-01T00:00:00+00:00")] {
        let row = format!("('nobody', 'createUser', '{key}', '', '{{}}', '{time}')");
        let columns = "viewer, mutation, key, fingerprint, answer, created_at";
        database.execute(&format!("insert into idempotency_keys ({columns}) values {row}")).await;
        let row = format!("('retention', '{{}}', '{key}', 'done', 1, '{time}')");
        let columns = "kind, task, worker, state, max_attempts, finished_at";
        database.execute(&format!("insert into jobs ({columns}) values {row}")).await;
    }
    let dead = "insert into jobs (kind, task, worker, state, max_attempts, finished_at)
                values ('mail', '{}', 'dead', 'dead', 1, '2020-01-01T00:00:00+00:00')";
    database.execute(dead).await;
    // Each second.
    let _app = TestApp::start(database.clone(), &[OFTEN, HERE, ("SHOAL_JOBS__RETENTION", "* * * * * *")]).await;
    let count = async |sql: &str| database.text(&format!("select cast(count(*) as text) from {sql}")).await.unwrap();
    eventually("what is old to be gone", async || {
        let (keys, jobs) = (count("idempotency_keys").await, count("jobs where worker in ('old', 'new')").await);
        (keys.as_str(), jobs.as_str()) == ("1", "1")
    })
    .await;
    assert_eq!(count("idempotency_keys where key = 'new'").await, "1");
    assert_eq!(count("jobs where worker = 'new'").await, "1");
    assert_eq!(count("jobs where worker = 'dead'").await, "1", "somebody is to look at it");
    eventually("the job to be done", async || count("jobs where state = 'done' and report is not null").await != "0")
        .await;
    let report = "select report from jobs where report is not null order by id limit 1";
    assert_eq!(database.text(report).await.unwrap(), r#"{"idempotencyKeys":1,"jobs":1,"uploads":0}"#);
}

/// It is not tried again, and holds up nobody.
async fn what_nobody_understands_is_a_dead_letter(backend: Backend) {
    let database = Arc::new(Database::empty(backend).await);
    let poison = r#"('retention', '{"task":"of_another_version"}', 5)"#;
    database.execute(&format!("insert into jobs (kind, task, max_attempts) values {poison}, {poison}")).await;
    database
        .execute(r#"insert into jobs (kind, task, max_attempts) values ('retention', '{"task":"retention"}', 5)"#)
        .await;
    let app = TestApp::start(database.clone(), &[OFTEN, HERE]).await;
    eventually("all to have ended", async || {
        let states = "select cast(count(*) as text) from jobs where finished_at is not null";
        database.text(states).await.as_deref() == Some("3")
    })
    .await;
    let dead = "select cast(count(*) as text) from jobs where state = 'dead' and attempt = 1
                and error = 'it is of another version'";
    assert_eq!(database.text(dead).await.as_deref(), Some("2"));
    assert!(app.metric("shoal_jobs_total", r#"outcome="failed""#).await >= 2.0);
    assert_eq!(app.health().await["queue"], serde_json::json!({}));
}

#[tokio::test]
async fn what_fails_is_tried_again() {
    let database = empty().await;
    let id = added(&database);
    // Long enough for whatever comes between here.
    database.execute("update jobs set max_attempts = 1000").await;
    database.execute("alter table idempotency_keys rename to elsewhere").await;
    let backoff = [("SHOAL_JOBS__BACKOFF_MS", "100"), ("SHOAL_JOBS__MAX_BACKOFF_MS", "100")];
    let _worker = Worker::start(&database, &[&[OFTEN], &backoff[..]].concat());
    let error = format!("select error from jobs where id = {id}");
    eventually("it to have failed", async || database.text(&error).await.is_some()).await;
    database.execute("alter table elsewhere rename to idempotency_keys").await;
    let job = is(&database, &id, "done").await;
    assert!(job["attempt"].as_i64().unwrap() > 1 && job["error"].is_null(), "{job}");
}

#[tokio::test]
async fn what_fails_too_often_is_a_dead_letter_that_may_be_revived() {
    let database = empty().await;
    let id = added(&database);
    database.execute("alter table idempotency_keys rename to elsewhere").await;
    let _worker = Worker::start(&database, &[OFTEN, ("SHOAL_JOBS__BACKOFF_MS", "1")]);
    let job = is(&database, &id, "dead").await;
    assert_eq!((&job["attempt"], &job["error"]), (&5.into(), &"a statement failed".into()), "{job}");
    database.execute("alter table elsewhere rename to idempotency_keys").await;
    // Another that does the same comes first.
    let other = added(&database);
    is(&database, &other, "done").await;
    assert!(jobs(&database, &["retry", &id]).0);
    let job = is(&database, &id, "done").await;
    assert_eq!((&job["attempt"], &job["max_attempts"]), (&6.into(), &10.into()), "{job}");
}

#[tokio::test]
async fn what_a_killed_worker_was_at_is_run_by_another() {
    let database = empty().await;
    let id = added(&database);
    let lock = locked(&database).await;
    let worker = Worker::start(&database, &[OFTEN, SHORT_LEASE]);
    is(&database, &id, "running").await;
    drop(worker);
    let _other = Worker::start(&database, &[OFTEN, SHORT_LEASE]);
    eventually("the other to have it", async || shown(&database, &id)["attempt"] == 2).await;
    unlock(lock).await;
    is(&database, &id, "done").await;
}

/// A job that takes longer than a lease stays with its worker.
#[tokio::test]
async fn what_takes_long_is_run_by_nobody_else() {
    let database = empty().await;
    let id = added(&database);
    let lock = locked(&database).await;
    let _workers = [(); 2].map(|()| Worker::start(&database, &[OFTEN, LONG_LEASE]));
    is(&database, &id, "running").await;
    let lease = async || shown(&database, &id)["leased_until"].as_i64().unwrap();
    let first = lease().await;
    // After the first lease, in microseconds, would have ended.
    eventually("leases to be extended", async || lease().await > first + (LEASE + 1_000) * 1_000).await;
    assert_eq!(shown(&database, &id)["attempt"], 1);
    assert_eq!(jobs(&database, &["add", "retention"]).1, "it waits or runs already\n");
    unlock(lock).await;
    assert_eq!(is(&database, &id, "done").await["attempt"], 1);
}

#[tokio::test]
async fn a_job_that_runs_can_be_cancelled() {
    let database = empty().await;
    let id = added(&database);
    let lock = locked(&database).await;
    let _worker = Worker::start(&database, &[OFTEN, SHORT_LEASE]);
    is(&database, &id, "running").await;
    assert!(jobs(&database, &["cancel", &id]).0);
    is(&database, &id, "cancelled").await;
    unlock(lock).await;
    // What was cancelled may be tried again.
    assert!(jobs(&database, &["retry", &id]).0);
    is(&database, &id, "done").await;
}

/// That it was begun does not count.
#[tokio::test]
async fn a_worker_that_stops_gives_back_what_it_cannot_end() {
    let database = empty().await;
    let id = added(&database);
    let lock = locked(&database).await;
    let worker = Worker::start(&database, &[OFTEN, ("SHOAL_JOBS__DRAIN_TIMEOUT_MS", "10")]);
    is(&database, &id, "running").await;
    worker.stop();
    let job = shown(&database, &id);
    let attempts = (&job["attempt"], &job["max_attempts"]);
    assert_eq!((&job["state"], attempts), (&"queued".into(), (&1.into(), &6.into())), "{job}");
    unlock(lock).await;
    let worker = Worker::start(&database, &[OFTEN]);
    is(&database, &id, "done").await;
    worker.stop();
}

#[tokio::test]
async fn a_time_of_a_schedule_is_met_once_by_three_workers() {
    let database = empty().await;
    let _workers = [(); 3].map(|()| Worker::start(&database, &[OFTEN, ("SHOAL_JOBS__RETENTION", "* * * * * *")]));
    let count = async |sql: &str| database.text(&format!("select count(*)::text from {sql}")).await.unwrap();
    eventually("four times to come", async || count("jobs where state = 'done'").await.parse::<u32>().unwrap() >= 4)
        .await;
    assert_eq!(count("jobs where slot is null or attempt > 1").await, "0");
    assert_eq!(count("(select slot from jobs group by slot having count(*) > 1) twice").await, "0");
}

/// The table is looked at far too seldom for it.
#[tokio::test]
async fn a_worker_elsewhere_hears_of_a_job_through_redis() {
    let database = empty().await;
    let seldom = ("SHOAL_JOBS__POLL_MS", "3600000");
    // A hint that is waited for in vain may be lost, and the machine may be busy.
    let patient = ("SHOAL_REDIS__TIMEOUT_MS", "5000");
    let _worker = Worker::start(&database, &[seldom, patient]);
    for _ in 0..2 {
        let mut add = command(&database);
        let output = add.args(["jobs", "add", "retention"]).env(patient.0, patient.1).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let id = said.split_whitespace().next().unwrap().to_owned();
        is(&database, &id, "done").await;
    }
}

#[tokio::test]
async fn a_worker_of_its_own_answers_probes() {
    let database = empty().await;
    let mut command = command(&database);
    let environment = [OFTEN, ("SHOAL_JOBS__PROBES", "127.0.0.1:0")];
    let mut child = command.arg("worker").envs(environment).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let (process, _worker) = (child.id().to_string(), Worker(child));
    let url =
        log.find_map(|line| Some(line.split_once("probes and metrics are at ")?.1.trim_end_matches('/').to_owned()));
    let url = url.unwrap();
    // Nobody is to wait for it.
    let said = Arc::new(Mutex::new(Vec::new()));
    std::thread::spawn({
        let said = said.clone();
        move || log.for_each(|line| said.lock().unwrap().push(line))
    });
    let get = async |path: &str| {
        let response = reqwest::get(format!("{url}{path}")).await.ok()?;
        Some((response.status().as_u16(), response.text().await.unwrap()))
    };
    eventually("it to be there", async || get("/livez").await.is_some()).await;
    eventually("it to be ready", async || get("/readyz").await.unwrap().0 == 200).await;
    let id = added(&database);
    is(&database, &id, "done").await;
    eventually("it to be counted", async || {
        let (_, metrics) = get("/metrics").await.unwrap();
        metrics.contains(r#"shoal_jobs_total{kind="retention",outcome="done"} 1"#)
    })
    .await;
    let (status, health) = get("/health").await.unwrap();
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!((status, &health["status"]), (200, &"ok".into()), "{health}");
    assert!(health["cache"].is_null() && health["queue"].is_object(), "{health}");
    assert_eq!(get("/graphql").await.unwrap().0, 404);
    let mut probe = crate::support::command(&database);
    let probed =
        probe.args(["probe", "--worker"]).env("SHOAL_JOBS__PROBES", url.replace("http://", "")).output().unwrap();
    assert!(probed.status.success(), "{probed:?}");
    // It reads its settings again, and lives.
    assert!(std::process::Command::new("kill").args(["-s", "HUP", &process]).status().unwrap().success());
    let is_said = |text: &str| said.lock().unwrap().iter().any(|line: &String| line.contains(text));
    eventually("that to be said", async || is_said("the settings were read again")).await;
    assert_eq!(get("/livez").await.unwrap().0, 200);
}

#[tokio::test]
async fn without_redis_it_goes_on() {
    let database = empty().await;
    let _worker = Worker::start(&database, &[OFTEN, ("REDIS_URL", "")]);
    let id = added(&database);
    is(&database, &id, "done").await;
}

#[tokio::test]
async fn operators_see_and_change_what_waits() {
    let database = empty().await;
    let app = TestApp::start(database.clone(), &[]).await;
    let id = added(&database);
    assert_eq!(jobs(&database, &["add", "retention"]).1, "it waits or runs already\n");
    let (_, list) = jobs(&database, &["list", "--state", "queued"]);
    assert!(list.lines().count() == 2 && list.contains("retention  queued"), "{list}");
    assert_eq!(app.health().await["queue"]["retention"]["jobs"], 1);
    assert_eq!(app.metric("shoal_jobs_waiting", "retention").await, 1.0);
    assert!(jobs(&database, &["cancel", &id]).1.contains("cancelled"));
    assert_eq!(jobs(&database, &["list", "--kind", "retention", "--state", "queued"]).1.lines().count(), 1);
    assert_eq!(jobs(&database, &["purge", "--days", "1"]).1, "removed 0\n");
    database.execute("update jobs set finished_at = '2020-01-01'").await;
    assert_eq!(jobs(&database, &["purge", "--days", "1"]).1, "removed 1\n");
    for (wrong, said) in [
        (&["show", &id][..], "there is no such Job"),
        (&["retry", &id], "there is no such Job"),
        (&["list", "--state", "lost"], "there is no state lost: there are queued, running"),
        (&["list", "--kind", "lost"], "there is no kind lost: there are mail, retention, import"),
        (&["add", "lost"], "there is no task lost: there are retention"),
    ] {
        let (done, text) = jobs(&database, wrong);
        assert!(!done && text.contains(said), "{wrong:?}: {text}");
    }
    let done = added(&database);
    database.execute("update jobs set state = 'done', finished_at = now()").await;
    let (_, text) = jobs(&database, &["cancel", &done]);
    assert!(text.contains("the job is done, it cannot be cancelled"), "{text}");
}

#[tokio::test]
async fn a_time_that_is_none_is_refused_at_start() {
    let database = Database::empty(Backend::Sqlite).await;
    let output = command(&database).args(["serve"]).env("SHOAL_JOBS__RETENTION", "at tea time").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("jobs.retention: "), "{said}");
}
