//! The far tier: one Redis, or a cluster of it, for all instances.
//!
//! It never makes a request wait for longer than `timeout_ms`, and none at all once it has failed a few times in a row:
//! behind the breaker a request goes on without it. What it gives is only ever the value of the key that was asked for; if
//! that value may be served is not decided here. A filling that is lost costs a miss, so none is waited for.

mod breaker;
mod connection;
mod filling;
mod gate;
mod line;
mod meters;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisError, RedisResult, Value, cmd};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use connection::{Connection, Origin};
use gate::Gate;
use line::Line;
use meters::{Asked, Meters};

use crate::data::secret::SecretUrl;

/// How long a health check waits: it asks whether there is an answer at all, not whether there is one in time.
const PATIENCE_OF_HEALTH: Duration = Duration::from_millis(500);

/// The far tier, `[redis]` in the settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `redis://…`, or `rediss://…` for TLS; without it there is no far tier.
    pub url: Option<SecretUrl>,
    /// Whether that is a node of a Redis Cluster, whose others it names.
    pub cluster: bool,
    /// Longest wait for an answer, in milliseconds. A tier slower than the databases is of no use.
    pub timeout_ms: u64,
    /// Most entries that wait to be written; more are dropped.
    pub fill_queue: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: None, cluster: false, timeout_ms: 10, fill_queue: 10_000 }
    }
}

/// The far tier. Cheap to clone; what runs in the background ends with the last clone.
#[derive(Clone)]
pub struct Far {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Fill>,
}

/// An entry to be written.
#[derive(Clone)]
pub struct Fill {
    pub key: String,
    pub value: Vec<u8>,
    /// After how long Redis forgets it; at least a millisecond.
    pub ttl: Duration,
}

/// Why the far tier said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It was not asked: it has failed too often.
    Breaker,
    /// It was asked, and gave no answer in time, or an error.
    Failed,
}

/// What a handle shares with the task that writes.
struct Shared {
    line: Arc<Line>,
    gate: Gate,
    meters: Meters,
    patience: Duration,
}

impl Far {
    /// Prepares the far tier, if there is one; it is connected to when first used. Within a Tokio runtime.
    ///
    /// # Errors
    /// For a URL that is none of Redis.
    pub fn open(settings: &Settings) -> RedisResult<Option<Self>> {
        let Some(url) = &settings.url else { return Ok(None) };
        let shared = Arc::new(Shared {
            line: Arc::new(Line::to(Origin::new(url, settings.cluster)?)),
            gate: Gate::new(),
            meters: Meters::new(),
            patience: Duration::from_millis(settings.timeout_ms.max(1)),
        });
        let (queue, queued) = mpsc::channel(settings.fill_queue.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        tokio::spawn(filling::run(shared.clone(), queued));
        Ok(Some(Self { shared, queue }))
    }

    /// The values of keys, in their order; nothing where there is none, or none that is bytes. One MGET.
    ///
    /// A future that is dropped costs nothing but an answer that nobody takes.
    ///
    /// # Errors
    /// When nothing is known of any key.
    pub async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Missed> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = cmd("MGET");
        command.arg(keys);
        let command = &command;
        let request = |mut connection: Connection| async move { values(connection.ask(command).await?, keys.len()) };
        let found = self.shared.ask(&self.shared.meters.get, self.shared.patience, request).await?;
        let bytes = found.iter().flatten().map(Vec::len).sum::<usize>();
        self.shared.meters.read.increment(bytes as u64);
        Ok(found)
    }

    /// Runs a script on a key; its answer, which is integers.
    ///
    /// # Errors
    /// When it is not known whether the script has run.
    pub async fn run<const N: usize>(&self, script: &str, key: &str, arguments: [u64; N]) -> Result<Vec<i64>, Missed> {
        let mut command = cmd("EVAL");
        command.arg(script).arg(1).arg(key).arg(&arguments[..]);
        let command = &command;
        let request = |mut connection: Connection| async move { integers(connection.ask(command).await?) };
        self.shared.ask(&self.shared.meters.script, self.shared.patience, request).await
    }

    /// Queues entries to be written some time soon. Never waits: what does not fit is dropped.
    pub fn fill(&self, entries: impl IntoIterator<Item = Fill>) {
        let dropped = entries.into_iter().filter_map(|entry| self.queue.try_send(entry).err()).count();
        self.shared.meters.dropped.increment(dropped as u64);
    }

    /// Whether Redis answers, which is not whether requests ask it. Of a cluster, those nodes must that are not known to be
    /// gone.
    pub async fn answers(&self) -> bool {
        let ping = &cmd("PING");
        let request = |mut connection: Connection| async move { connection.ask(ping).await };
        self.shared.line.ask(PATIENCE_OF_HEALTH, request).await.is_ok()
    }

    /// What each server tells of its memory, under its address in a cluster, and what time one of them has; none if there
    /// is no answer.
    pub(in crate::data) async fn tells(&self) -> Option<(Vec<(String, String)>, Option<Duration>)> {
        let (info, time) = (&cmd("INFO").arg("memory").clone(), &cmd("TIME"));
        let request = |mut connection: Connection| async move { connection.ask(info).await };
        let told = self.shared.line.ask(PATIENCE_OF_HEALTH, request).await.ok()?;
        let request = |mut connection: Connection| async move { connection.ask(time).await };
        let time = self.shared.line.ask(PATIENCE_OF_HEALTH, request).await.ok();
        Some((texts("redis", told), time.and_then(since_epoch)))
    }

    /// What the breaker is: `closed` while Redis is asked, `open` while it is not, `probing` while one request tries.
    pub fn state(&self) -> &'static str {
        self.shared.gate.state()
    }
}

impl Shared {
    /// Runs a request if the breaker lets it, and tells the breaker how that went.
    async fn ask<T, F: Future<Output = RedisResult<T>>>(
        &self,
        asked: &Asked,
        patience: Duration,
        request: impl Fn(Connection) -> F,
    ) -> Result<T, Missed> {
        let Some(pass) = self.gate.pass() else {
            asked.breaker.increment(1);
            return Err(Missed::Breaker);
        };
        let start = Instant::now();
        let answer = self.line.ask(patience, request).await;
        asked.seconds.record(start.elapsed());
        match answer {
            Ok(answer) => {
                pass.succeeded();
                asked.ok.increment(1);
                Ok(answer)
            }
            Err(trouble) => {
                // A connection may be at fault without knowing it: behind it is a server that is gone without a word, or
                // a node of a cluster that was replaced; the client of a cluster was seen to wait for itself for ever after
                // a batch found that a slot had moved. The breaker paces how often another is tried.
                if pass.failed(&trouble) {
                    self.line.renew(&trouble);
                }
                asked.failed.increment(1);
                Err(Missed::Failed)
            }
        }
    }
}

/// The values that MGET answers.
fn values(answer: Value, keys: usize) -> RedisResult<Vec<Option<Vec<u8>>>> {
    let Value::Array(values) = answer else { return Err(unexpected()) };
    if values.len() != keys {
        return Err(unexpected());
    }
    let value = |value| match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        _ => Err(unexpected()),
    };
    values.into_iter().map(value).collect()
}

/// The texts in an answer, by the nodes that they are of.
fn texts(node: &str, answer: Value) -> Vec<(String, String)> {
    match answer {
        Value::BulkString(bytes) => vec![(node.to_owned(), String::from_utf8_lossy(&bytes).into_owned())],
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => vec![(node.to_owned(), text)],
        Value::Map(of_nodes) => {
            let of_node = |(node, told)| match texts("", node).pop() {
                Some((_, node)) => texts(&node, told),
                None => Vec::new(),
            };
            of_nodes.into_iter().flat_map(of_node).collect()
        }
        _ => Vec::new(),
    }
}

/// What TIME answers: seconds, and microseconds.
fn since_epoch(answer: Value) -> Option<Duration> {
    let Value::Array(parts) = answer else { return None };
    let mut parts = parts.into_iter().flat_map(|part| texts("", part)).filter_map(|(_, text)| text.parse::<u64>().ok());
    Some(Duration::from_secs(parts.next()?) + Duration::from_micros(parts.next()?))
}

/// The integers that a script answers.
fn integers(answer: Value) -> RedisResult<Vec<i64>> {
    let Value::Array(values) = answer else { return Err(unexpected()) };
    let integer = |value| if let Value::Int(integer) = value { Ok(integer) } else { Err(unexpected()) };
    values.into_iter().map(integer).collect()
}

fn unexpected() -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "not an answer to this command"))
}
