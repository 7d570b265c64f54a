//! Against real servers, which are started, frozen and killed. Time is never measured: what happened is.

mod breaking;
mod cluster;
mod filling;
mod freezing;
mod rules;
mod secrets;
mod servers;
mod single;
mod tls;

use std::time::Duration;

use super::{Far, Fill, Missed, Settings};

/// Longer than anything here takes: tests wait for what is to happen, and this is when they give up.
const FOREVER: Duration = Duration::from_secs(60);
/// Of entries that are to stay.
const TTL: Duration = Duration::from_secs(3600);

/// A far tier that waits for as long as a busy machine needs.
fn patient(url: &str) -> Settings {
    Settings { url: Some(url.parse().unwrap()), timeout_ms: 5_000, ..Settings::default() }
}

/// One that soon gives up.
fn hasty(url: &str) -> Settings {
    Settings { timeout_ms: 50, ..patient(url) }
}

fn open(settings: &Settings) -> Far {
    Far::open(settings).unwrap().expect("a far tier is configured")
}

/// Tries until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut interval = tokio::time::interval(Duration::from_millis(5));
    let tried = async {
        while !is_so().await {
            interval.tick().await;
        }
    };
    tokio::time::timeout(FOREVER, tried).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Asks until there is an answer.
async fn read(far: &Far, keys: &[String]) -> Vec<Option<Vec<u8>>> {
    let mut answer = None;
    until("an answer", async || {
        answer = far.get(keys).await.ok();
        answer.is_some()
    })
    .await;
    answer.unwrap()
}

fn keys(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

fn fill(key: &str, value: impl AsRef<[u8]>) -> Fill {
    Fill { key: key.to_owned(), value: value.as_ref().to_vec(), ttl: TTL }
}

/// `key:0` to `key:n`, each with a value of its own.
fn numbered(count: usize) -> (Vec<String>, Vec<Vec<u8>>) {
    (0..count).map(|n| (format!("key:{n}"), format!("value of {n}").into_bytes())).unzip()
}

/// Writes entries until they are there: a filling may be lost.
async fn write(far: &Far, keys: &[String], values: &[Vec<u8>]) {
    let expected: Vec<_> = values.iter().cloned().map(Some).collect();
    let mut tries = 0;
    until("what was filled", async || {
        if tries % 100 == 0 {
            far.fill(keys.iter().zip(values).map(|(key, value)| fill(key, value)));
        }
        tries += 1;
        far.get(keys).await.as_ref() == Ok(&expected)
    })
    .await;
}

/// Asks until the breaker has opened; what is missed until then has failed, and is not of the breaker.
async fn break_open(far: &Far) {
    let mut failures = 0;
    loop {
        match far.get(&keys(["key:0"])).await {
            Ok(_) => {}
            Err(Missed::Failed) => failures += 1,
            Err(Missed::Breaker) => break,
        }
    }
    assert!(failures >= 5, "{failures}");
    assert_ne!(far.state(), "closed");
}
