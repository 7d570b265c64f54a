//! SIGHUP: what can change without a restart does, what cannot is named, and a bad file changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use super::signal;
use crate::support::{Backend, Database, TestApp, eventually};

/// A server with a file of settings.
struct Configured {
    app: TestApp,
    file: PathBuf,
    _dir: TempDir,
}

impl Configured {
    async fn start(content: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("settings.toml");
        std::fs::write(&file, content).unwrap();
        let database = Arc::new(Database::demo(Backend::Sqlite).await);
        let app = TestApp::start_with(database, &[], &["--config", file.to_str().unwrap()]).await;
        eventually("the last line of the start", async || app.log().contains("acts as admin")).await;
        Self { app, file, _dir: dir }
    }

    /// Has other settings read; what is logged of that, up to this.
    async fn reload(&self, content: &str, until: &str) -> String {
        std::fs::write(&self.file, content).unwrap();
        let before = self.app.log().len();
        signal(&self.app, "HUP");
        eventually(until, async || self.app.log_after(before).contains(until)).await;
        self.app.log_after(before)
    }

    async fn rows(&self) -> usize {
        let posts: Value = self.app.query("{ posts { nodes { id } } }").await;
        posts["posts"]["nodes"].as_array().unwrap().len()
    }

    async fn max_age(&self) -> String {
        let answer = self.app.get("/graphql?query=%7B%20products%20%7B%20nodes%20%7B%20id%20%7D%20%7D%20%7D").await;
        answer.headers()["cache-control"].to_str().unwrap().to_owned()
    }
}

const DONE: &str = "the settings were read again";

#[tokio::test]
async fn limits_and_times_change_at_once() {
    let server = Configured::start("[graphql]\npage_size = 7").await;
    assert_eq!((server.rows().await, server.max_age().await.contains("max-age=10")), (7, true));
    let log = server
        .reload("[graphql]\npage_size = 3\nmax_price = 50\n[http.cache]\nmax_age_s = 5\n[cache]\nttl_s = 60", DONE)
        .await;
    for setting in ["graphql.page_size", "graphql.max_price", "http.cache.max_age_s", "cache.ttl_s"] {
        let line = log.lines().find(|line| line.contains(setting)).unwrap_or_else(|| panic!("{setting}: {log}"));
        assert!(line.contains("a setting has changed"), "{line}");
    }
    assert!(log.contains(r#"old="7" new="3""#) && log.contains("need_a_restart=0"), "{log}");
    // Also of what was asked before, and kept.
    assert_eq!(server.rows().await, 3);
    assert!(server.max_age().await.contains("max-age=5"));
    let (code, _) = server.app.refusal("{ posts(first: 60) { nodes { author { name } } } }", Value::Null).await;
    assert_eq!(code, "QUERY_TOO_COMPLEX");
    // What is not in the file any more is as it is by default.
    server.reload("", DONE).await;
    assert_eq!(server.rows().await, 20);
}

#[tokio::test]
async fn what_takes_a_restart_is_named_without_its_secrets() {
    let server = Configured::start("[mail]\nsmtp_url = \"smtp://shop:hunter2@127.0.0.1:1\"").await;
    let log = server
        .reload("[mail]\nsmtp_url = \"smtp://shop:hunter3@127.0.0.1:1\"\n[http]\nmax_connections = 77", DONE)
        .await;
    for (setting, values) in [
        ("mail.smtp_url", r#"running="smtp://shop:***@127.0.0.1:1" wanted="smtp://shop:***@127.0.0.1:1""#),
        ("http.max_connections", r#"running="10000" wanted="77""#),
    ] {
        let line = log.lines().find(|line| line.contains(setting)).unwrap_or_else(|| panic!("{setting}: {log}"));
        assert!(line.contains("takes a restart") && line.contains(values), "{line}");
    }
    assert!(!server.app.log().contains("hunter"), "a password in the log");
    // It is said again as long as it is wanted.
    let log = server.reload("[http]\nmax_connections = 77", DONE).await;
    assert!(log.contains("max_connections") && log.contains("need_a_restart=2"), "{log}");
}

#[tokio::test]
async fn a_bad_file_changes_nothing() {
    let server = Configured::start("[graphql]\npage_size = 7").await;
    for bad in [
        "[graphql]\npage_size = -1",
        "[graphql]\npage_siz = 3",
        "[graphql\npage_size = 3",
        "[graphql]\npage_size = 3\n[log]\nfilter = \"shoal=loudly\"",
        "[graphql]\npage_size = 3\n[cache.resources.nothing]\nttl_s = 3",
        "[graphql]\npage_size = 3\n[database]\nurl = \"hunter2\"",
    ] {
        let log = server.reload(bad, "the settings stay as they are").await;
        assert!(log.contains("ERROR") && !log.contains("hunter2"), "{bad}: {log}");
        assert_eq!(server.rows().await, 7, "{bad}");
    }
    std::fs::remove_file(&server.file).unwrap();
    let before = server.app.log().len();
    signal(&server.app, "HUP");
    eventually("the file to be missed", async || server.app.log_after(before).contains("stay as they are")).await;
}

#[tokio::test]
async fn the_log_says_more_or_less() {
    let server = Configured::start("").await;
    let before = server.app.log().len();
    std::fs::write(&server.file, "[log]\nfilter = \"error\"\n[graphql]\npage_size = 3").unwrap();
    signal(&server.app, "HUP");
    eventually("the settings to be read", async || server.rows().await == 3).await;
    let log = server.reload("[log]\nfilter = \"info\"\n[graphql]\npage_size = 3", DONE).await;
    assert!(log.contains("log.filter") && !log.contains("page_size"), "{log}");
    assert_eq!(server.app.log_after(before), log, "nothing was said meanwhile");
}
