//! Everything but the database dies again and again while users are created: each that was committed is written to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{OFTEN, SHORT_LEASE, Worker};
use crate::support::cluster::Cluster;
use crate::support::sink::{Manner, Sink};
use crate::support::{TestApp, eventually};

/// For longer runs by hand.
const SECONDS: &str = "SHOAL_TEST_CHAOS_SECONDS";

#[allow(clippy::disallowed_methods)]
fn seconds() -> u64 {
    std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(15)
}

/// Creates users, one after the other, until it is told to stop; some twice, which is refused.
async fn create(url: Arc<Mutex<String>>, number: Arc<AtomicU32>, stop: Arc<AtomicBool>) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let user = number.fetch_add(1, Ordering::Relaxed);
        for _ in 0..=u32::from(user.is_multiple_of(5)) {
            let mutation = format!(
                r#"mutation {{ createUser(input: {{ email: "u{user}@example.org", name: "U" }}) {{ userErrors {{ code }} }} }}"#
            );
            let url = url.lock().unwrap().clone();
            // Whether it was committed is for the database to say.
            let sent = client.post(url).json(&json!({ "query": mutation })).send().await;
            if sent.is_err() {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_committed_is_written_to_whatever_dies() {
    let cluster = Cluster::alone().await;
    let sink = Sink::open().await;
    // Slow enough that some are always on their way.
    sink.behave(Manner::Take(Duration::from_millis(20)));
    let smtp = sink.url();
    let settings = [OFTEN, SHORT_LEASE, ("SHOAL_MAIL__SMTP_URL", smtp.as_str()), ("SHOAL_JOBS__BACKOFF_MS", "100")];
    let database = cluster.database.clone();
    let mut app = TestApp::start(database.clone(), &[]).await;
    let mut workers = [(); 2].map(|()| Worker::start(&database, &settings));
    let url = Arc::new(Mutex::new(app.at("/graphql")));
    let (number, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (0..2).map(|_| tokio::spawn(create(url.clone(), number.clone(), stop.clone()))).collect();
    let (start, mut rounds) = (Instant::now(), 0);
    while start.elapsed().as_secs() < seconds() {
        rounds += 1;
        eventually("more users", {
            let before = number.load(Ordering::Relaxed);
            let number = number.clone();
            async move || number.load(Ordering::Relaxed) > before + fastrand::u32(3..30)
        })
        .await;
        match fastrand::u8(..5) {
            0 => {
                drop(app);
                app = TestApp::start(database.clone(), &[]).await;
                *url.lock().unwrap() = app.at("/graphql");
            }
            1 | 2 => {
                let which = fastrand::usize(..2);
                workers[which] = Worker::start(&database, &settings);
            }
            3 => {
                tokio::task::block_in_place(|| {
                    cluster.tell(&["kill", "redis"]);
                    cluster.tell(&["start", "redis"]);
                });
            }
            _ => {
                let redis = redis::Client::open(cluster.stack.redis.as_str()).unwrap();
                let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
                redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let waiting = "select count(*)::text from jobs where finished_at is null";
    let mut left = u64::MAX;
    while left > 0 {
        // At the pace of the sink, but on and on.
        eventually("mails to be sent", async || {
            let now = database.text(waiting).await.unwrap().parse::<u64>().unwrap();
            let is_less = now < left;
            left = left.min(now);
            is_less
        })
        .await;
    }
    let of_users = "select json_object_agg(jobs.id, users.email)::text from users
                    join jobs on (jobs.task::json ->> 'user')::bigint = users.id where jobs.state = 'done'";
    let due: HashMap<String, String> = serde_json::from_str(&database.text(of_users).await.unwrap()).unwrap();
    let users = database.text("select count(*)::text from users where email like 'u%@example.org'").await.unwrap();
    assert_eq!(due.len().to_string(), users, "one for each who was committed");
    for (job, email) in &due {
        let mails = sink.mails(&format!("job-{job}@localhost"));
        assert!(!mails.is_empty(), "{email} was not written to");
        assert!(mails.iter().all(|mail| mail.to == [email.as_str()] && mail.content == mails[0].content), "{mails:?}");
    }
    let (all, different) = sink.counts();
    assert_eq!(different, due.len(), "nobody else was written to");
    println!("{rounds} rounds: {users} users, {all} mails");
}
