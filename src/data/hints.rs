//! Which rows of a table may be worth a look, for whoever works on them: in this process, and in Redis for all others.
//!
//! Hints only make it fast. Each may be lost, come twice or be about a row that somebody else has dealt with: the rows are
//! the truth, and whoever works on them looks at all of them from time to time. Promises that nobody waits for Redis but who
//! asks for hints.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};

use super::cache::Far;
use super::change::Change;
use super::position::Token;
use super::scalar::Scalar;
use super::write::AfterCommit;

/// Most hints that wait to be sent; what is more is dropped.
const QUEUE: usize = 10_000;
/// Hints in Redis that nobody takes are forgotten after so long, in milliseconds.
const KEPT_MS: u64 = 3_600_000;
/// Adds a hint: the key of its row, when that is due (milliseconds since 1970), how long hints are kept.
const ADD: &str = "
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {}
";
/// Takes the first hints that are due by Redis's clock.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keys = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for i, key in ipairs(keys) do
    redis.call('ZREM', KEYS[1], key)
    keys[i] = tonumber(key)
end
return keys
";

/// Of which rows hints are given.
#[derive(Clone, Copy, Debug)]
pub struct Hinted {
    pub table: &'static str,
    /// A row is worth a look while this column has this value.
    pub state: (&'static str, &'static str),
    /// The column that says for whom.
    pub lane: &'static str,
    /// The column that says when.
    pub due: &'static str,
}

/// What is sent to Redis.
enum Hint {
    /// The key of a row, and when it is due in milliseconds since 1970, under a key of Redis.
    Row { under: String, key: u64, due: u64 },
    /// All before it are sent.
    Told(oneshot::Sender<()>),
}

/// Gives hints and takes them. Cheap to clone.
#[derive(Clone)]
pub struct Hints {
    shared: Arc<Shared>,
}

struct Shared {
    hinted: Hinted,
    /// One for each lane of this process.
    near: HashMap<&'static str, Notify>,
    /// What is to be sent to Redis; none where there is no Redis.
    far: Option<(Far, mpsc::Sender<Hint>)>,
    prefix: String,
}

impl Hints {
    /// Hints in Redis are under keys that begin with `prefix`.
    pub fn new(hinted: Hinted, lanes: &[&'static str], far: Option<Far>, prefix: String) -> Self {
        let near = lanes.iter().map(|lane| (*lane, Notify::new())).collect();
        let far = far.map(|far| {
            let (queue, waiting) = mpsc::channel(QUEUE);
            tokio::spawn(send(far.clone(), waiting));
            (far, queue)
        });
        Self { shared: Arc::new(Shared { hinted, near, far, prefix }) }
    }

    /// Up to so many keys of rows that may be due; none where there are none, or Redis does not answer.
    pub async fn take(&self, lane: &str, limit: usize) -> Vec<i64> {
        let Some((far, _)) = &self.shared.far else { return Vec::new() };
        far.run(TAKE, &self.key(lane), [limit as u64]).await.unwrap_or_default()
    }

    /// Waits until somebody in this process has given a hint.
    pub async fn given(&self, lane: &str) {
        match self.shared.near.get(lane) {
            Some(near) => near.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until what was given so far is sent, as far as Redis takes it: for a process that ends.
    pub async fn sent(&self) {
        let Some((_, queue)) = &self.shared.far else { return };
        let (told, sent) = oneshot::channel();
        if queue.send(Hint::Told(told)).await.is_ok() {
            let _ = sent.await;
        }
    }

    /// Whether others can give hints.
    pub fn are_shared(&self) -> bool {
        self.shared.far.is_some()
    }

    fn key(&self, lane: &str) -> String {
        format!("{}:{lane}", self.shared.prefix)
    }
}

impl AfterCommit for Hints {
    fn committed(&self, _: Token, changes: &[Change]) {
        let Hinted { table, state: (column, worth), lane, due } = self.shared.hinted;
        for change in changes.iter().filter(|change| change.table == table) {
            let (Some(new), Some(Scalar::Int(key))) = (&change.new, change.key.first()) else { continue };
            let is_worth = matches!(new.get(column), Some(Scalar::Text(state)) if state == worth);
            let (true, Some(Scalar::Text(lane))) = (is_worth, new.get(lane)) else { continue };
            if let Some(near) = self.shared.near.get(lane.as_str()) {
                near.notify_one();
            }
            if let (Some((_, queue)), Some(Scalar::Time(due))) = (&self.shared.far, new.get(due)) {
                let [key, due] = [*key, due / 1000].map(|number| u64::try_from(number).unwrap_or_default());
                // One that is dropped is like one that is lost.
                let _ = queue.try_send(Hint::Row { under: self.key(lane), key, due });
            }
        }
    }
}

async fn send(far: Far, mut waiting: mpsc::Receiver<Hint>) {
    while let Some(hint) = waiting.recv().await {
        match hint {
            Hint::Row { under, key, due } => {
                let _ = far.run(ADD, &under, [key, due, KEPT_MS]).await;
            }
            Hint::Told(told) => {
                let _ = told.send(());
            }
        }
    }
}
