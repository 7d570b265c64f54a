//! What is said of failures, and what is not.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use super::servers::{Server, arguments, free_port};
use super::{break_open, fill, keys, open, patient, read, until, write};
use crate::data::cache::far::Settings;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Of this thread, on which a test and all its tasks run, in all detail.
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        (log.clone(), subscriber.with_writer(log).finish().set_default())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn count(&self, text: &str) -> usize {
        self.text().matches(text).count()
    }
}

const OPENS: &str = "the far tier fails and is left alone";
const CLOSES: &str = "the far tier answers again";

#[tokio::test]
async fn passwords_keys_and_values_are_never_logged() {
    let (log, _guard) = Log::start();
    let mut server = Server::with(|_, port| {
        arguments(&["--port", &port.to_string(), "--requirepass", "hunter2", "--rename-command", "MGET", ""])
    })
    .await;
    let settings = patient(&format!("redis://:hunter2@127.0.0.1:{}/", server.port));
    let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
    assert!(shown.contains("redis://:***@127.0.0.1") && !shown.contains("hunter2"), "{shown}");
    let far = open(&settings);
    assert!(far.answers().await, "the password is sent");
    // Redis says which command it does not know, and with which arguments.
    far.fill([fill("a-secret-key", "a-secret-value")]);
    while far.state() == "closed" {
        assert!(far.get(&keys(["a-secret-key"])).await.is_err());
    }
    assert!(log.text().contains("cause=response error (ERR)"), "{}", log.text());
    server.stop();
    assert!(!far.answers().await);

    let wrong = format!("redis://somebody:hunter3@127.0.0.1:{}/", server.port);
    server.restart().await;
    for cluster in [false, true] {
        let far = open(&Settings { cluster, ..patient(&wrong) });
        break_open(&far).await;
    }
    assert!(log.text().contains("authentication failed"), "{}", log.text());
    assert_eq!(log.count(OPENS), 3);
    for secret in ["hunter2", "hunter3", "a-secret-key", "a-secret-value"] {
        assert_eq!(log.count(secret), 0, "{}", log.text());
    }
}

#[tokio::test]
async fn each_change_is_logged_once() {
    let (log, _guard) = Log::start();
    let port = free_port();
    let far = open(&patient(&format!("redis://127.0.0.1:{port}/")));
    for outage in 1..3 {
        break_open(&far).await;
        let mut probes = 0;
        until("two probes have failed", async || {
            probes += usize::from(far.get(&keys(["key"])).await == Err(super::Missed::Failed));
            probes == 2
        })
        .await;
        assert_eq!((log.count(OPENS), log.count(CLOSES)), (outage, outage - 1), "{}", log.text());
        let _server = Server::on(port).await;
        read(&far, &keys(["key"])).await;
        write(&far, &keys(["key"]), &[b"value".to_vec()]).await;
        assert_eq!((log.count(OPENS), log.count(CLOSES)), (outage, outage), "{}", log.text());
    }
    assert!(log.text().contains("Connection refused"), "{}", log.text());
}
