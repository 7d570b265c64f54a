//! The far tier: shared by all instances, and free to lie, to hang and to forget.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::Commands;

use super::{BOUND, USER, rename, see, warm};
use crate::support::cluster::Cluster;
use crate::support::{Backend, Database, TestApp, eventually};

fn redis(cluster: &Cluster) -> redis::Connection {
    redis::Client::open(cluster.stack.redis.clone()).unwrap().get_connection().unwrap()
}

/// All keys of a namespace of the test's own are told apart by what they hold; here nobody else uses the server.
fn all(redis: &mut redis::Connection) -> Vec<(String, Vec<u8>)> {
    let keys: Vec<String> = redis.keys("s2:*").unwrap();
    keys.into_iter()
        .filter_map(|key| redis.get::<_, Option<Vec<u8>>>(&key).unwrap().map(|value| (key, value)))
        .collect()
}

async fn far_hits(app: &TestApp) -> f64 {
    app.metric("shoal_cache_hits_total", "tier=\"far\"").await
}

#[tokio::test]
async fn what_one_instance_has_read_serves_the_others() {
    let cluster = Cluster::alone().await;
    // What is asked is what comes from where, not how long a busy machine takes.
    let patient = [("SHOAL_REDIS__TIMEOUT_MS", "5000")];
    let (here, there) = (cluster.caching(&patient).await, cluster.caching(&patient).await);
    // What was read before an instance began is behind its floor.
    cluster.database.execute("update users set name = 'later'; update posts set title = 'later'").await;
    cluster.stack.wait_for_replicas().await;
    eventually("it to be told", async || see(&here, None, USER).await.name() == "later").await;
    let data = warm(&here, USER).await;
    let (user, page, count) = (1, 1, 1);
    eventually("the far tier to be filled", async || all(&mut redis(&cluster)).len() >= user + page + count).await;
    let seen = see(&there, None, USER).await;
    assert_eq!((seen.statements, seen.near), (0, 0), "all of it came from the far tier");
    assert_eq!(seen.data, data);
    // By now it is near.
    assert_eq!(see(&there, None, USER).await.far, 0);
    // A namespace of its own shares nothing.
    let other = cluster.caching(&[("SHOAL_CACHE__NAMESPACE", "blue")]).await;
    assert_eq!(see(&other, None, USER).await.far, 0);
    let ttl: i64 = redis::cmd("PTTL").arg(&all(&mut redis(&cluster))[0].0).query(&mut redis(&cluster)).unwrap();
    assert!((1..=3_600_000).contains(&ttl), "{ttl}");
}

/// A fill that comes late, and a server that was restored from yesterday, look like this.
#[tokio::test]
async fn old_values_that_come_back_are_not_served() {
    let cluster = Cluster::alone().await;
    let (here, there) = (cluster.caching(&[]).await, cluster.caching(&[]).await);
    for turn in 0..5 {
        warm(&here, USER).await;
        eventually("the far tier to be filled", async || all(&mut redis(&cluster)).len() >= 3).await;
        let old = all(&mut redis(&cluster));
        let name = format!("new {turn}");
        let token = rename(&here, &name).await;
        let put_back = || {
            let mut redis = redis(&cluster);
            for (key, value) in &old {
                let _: () = redis.set(key, value).unwrap();
            }
        };
        put_back();
        for app in [&here, &there] {
            assert_eq!(see(app, Some(&token), USER).await.name(), name);
            eventually(&name, async || see(app, None, USER).await.name() == name).await;
            put_back();
            for _ in 0..5 {
                assert_eq!(see(app, None, USER).await.name(), name);
            }
        }
        // Who comes later knows nothing of what was before.
        put_back();
        let late = cluster.caching(&[]).await;
        assert_eq!(see(&late, None, USER).await.name(), name);
    }
}

// Several threads: it waits for servers to start and to go on, and the gates must not wait with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_everything_goes_on() {
    let cluster = Cluster::alone().await;
    let (here, there) = (cluster.caching(&BOUND).await, cluster.caching(&BOUND).await);
    let stop = AtomicBool::new(false);
    // Readers all the while: none sees an error, and none sees the past.
    let readers = async {
        let mut last = 0;
        while !stop.load(Ordering::Relaxed) {
            let seen = see(&there, None, USER).await;
            let turn: u32 = seen.name().rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
            assert!(turn >= last, "after {last} came {turn}");
            last = turn;
        }
    };
    let incidents = async {
        let mut turn = 0;
        let mut works = async |what: &str| {
            for _ in 0..3 {
                turn += 1;
                let name = format!("{what} {turn}");
                let token = rename(&here, &name).await;
                assert_eq!(see(&there, Some(&token), USER).await.name(), name);
                eventually(&name, async || see(&there, None, USER).await.name() == name).await;
                warm(&there, USER).await;
            }
        };
        works("whole").await;
        cluster.tell(&["kill", "redis"]);
        works("killed").await;
        eventually("the loss to be told", async || here.health().await["state"] == "no redis").await;
        assert_eq!(here.get("/readyz").await.status(), 200);
        cluster.tell(&["start", "redis"]);
        eventually("its return to be told", async || here.health().await["state"] != "no redis").await;
        works("back").await;
        let before = far_hits(&there).await;
        eventually("the far tier to serve again", async || {
            works("shared").await;
            let list = "{ users(first: 5) { nodes { name } } }";
            warm(&here, list).await;
            see(&there, None, list).await;
            far_hits(&there).await > before
        })
        .await;
        let _: () = redis::cmd("FLUSHALL").query(&mut redis(&cluster)).unwrap();
        works("flushed").await;
        // It takes connections and answers nobody.
        let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(3000).arg("ALL").query(&mut redis(&cluster)).unwrap();
        works("stalled").await;
        // It answers once it goes on.
        let _: () = redis::cmd("PING").query(&mut redis(&cluster)).unwrap();
        works("thawed").await;
        stop.store(true, Ordering::Relaxed);
    };
    futures_util::future::join(readers, incidents).await;
    for app in [&here, &there] {
        assert_eq!(app.metric("shoal_cache_audit_mismatch_total", "").await, 0.0);
    }
}

/// If the far tier holds what never was, with a stamp that says it is true, only a comparison can tell.
#[tokio::test]
async fn a_comparison_with_the_primary_finds_what_is_wrong() {
    let cluster = Cluster::alone().await;
    let here = cluster.caching(&[]).await;
    let query = "{ user(id: \"VXNlcjox\") { name } }";
    let name = warm(&here, query).await["user"]["name"].as_str().unwrap().to_owned();
    let mut forged = Vec::new();
    eventually("the far tier to be filled", async || {
        forged = all(&mut redis(&cluster)).into_iter().filter(|(key, _)| key.ends_with(":users:1:row")).collect();
        !forged.is_empty()
    })
    .await;
    let (key, value) = forged.pop().unwrap();
    let place = value.windows(name.len()).position(|part| part == name.as_bytes()).unwrap();
    let mut wrong = value.clone();
    wrong[place] ^= 1;
    let there = cluster.caching(&[("SHOAL_CACHE__AUDIT_PER_MILLE", "1000")]).await;
    // Read after the other began, so that it is not behind its floor.
    cluster.database.execute("update users set active = not active where id = 1").await;
    eventually("it to be read again", async || {
        see(&here, None, query).await;
        let mut redis = redis(&cluster);
        let now: Option<Vec<u8>> = redis.get(&key).unwrap();
        now.is_some_and(|now| {
            if now == value || now == wrong {
                return false;
            }
            wrong = now;
            wrong[place] ^= 1;
            let _: () = redis.set(&key, &wrong).unwrap();
            true
        })
    })
    .await;
    eventually("the mismatch to be counted", async || {
        see(&there, None, query).await;
        there.metric("shoal_cache_audit_mismatch_total", "users").await > 0.0
    })
    .await;
    assert!(there.metric("shoal_cache_audits_total", "outcome=\"changed\"").await > 0.0);
    eventually("it to be in the log", async || there.log().contains("a cached value is not what the primary has"))
        .await;
}

/// Settings of one resource are of that one.
#[tokio::test]
async fn resources_have_settings_of_their_own() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("shoal.toml");
    std::fs::write(
        &file,
        "[cache.resources.users]\noff = true\n[cache.resources.posts]\nnear_percent = 10\nttl_s = 60\n",
    )
    .unwrap();
    let app = TestApp::start_with(cluster.database.clone(), &[], &["--config", file.to_str().unwrap()]).await;
    app.caches().await;
    let query = "{ user(id: \"VXNlcjox\") { name } post(id: \"UG9zdDox\") { title } }";
    warm(&app, "{ post(id: \"UG9zdDox\") { title } }").await;
    for _ in 0..3 {
        let seen = see(&app, None, query).await;
        assert_eq!((seen.statements, seen.near), (1, 1));
    }
    let misses = app.metric("shoal_cache_misses_total", "resource=\"users\",tier=\"near\",reason=\"disabled\"").await;
    assert_eq!(misses, 3.0);

    std::fs::write(&file, "[cache.resources.userz]\noff = true\n").unwrap();
    let output = crate::support::command(&cluster.database)
        .args(["serve", "--listen", "127.0.0.1:0", "--config", file.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cache.resources.userz") && said.contains("user.orders"), "{said}");
}
