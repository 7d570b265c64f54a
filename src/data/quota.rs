//! Token buckets: how much each client may ask for, of all instances together.
//!
//! A bucket is in Redis, and fills up as time goes by. An instance takes more out of it than a request needs, and spends
//! the rest on those that follow: most requests wait for nobody. While Redis cannot be reached each instance has buckets
//! of its own. Promises that no client gets more than its bucket holds, or that from each instance then, and that whoever
//! is refused is told when to come again. Remembers a bounded number of clients.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use metrics::counter;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use super::cache::Far;
use super::current::Current;

/// Most clients that are remembered.
const CLIENTS: u64 = 100_000;
/// What an instance takes of a bucket at once: so many parts of it.
const PARTS: u64 = 50;
/// Takes `want`, or no less than `need`, out of a bucket; answers what it took, and after how many milliseconds there is
/// what is needed. The clock is Redis's own: those of the instances may differ.
const TAKE: &str = "
local burst, rate, need, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'left', 'at')
local left, at = tonumber(state[1]) or burst, tonumber(state[2]) or now
left = math.min(burst, left + math.max(0, now - at) * rate / 1000)
local taken = 0
if left >= need then taken = math.floor(math.min(left, want)) end
redis.call('HSET', KEYS[1], 'left', left - taken, 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst * 1000 / rate) + 1000)
return { taken, math.ceil(math.max(0, need - left) * 1000 / rate) }
";

/// How much a client may ask for, `[rate]` in the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What a client may ask for per second, in the units of prices; 0 for no limit.
    pub per_second: u64,
    /// What it may ask for at once, after it has rested.
    pub burst: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { per_second: 50_000, burst: 1_000_000 }
    }
}

/// The buckets of all clients. Cheap to clone.
#[derive(Clone)]
pub struct Quota {
    rules: Current<Rules>,
    far: Option<Far>,
    prefix: Arc<str>,
}

/// How much there is, and what this instance knows of the buckets of that size.
struct Rules {
    settings: Settings,
    known: Cache<IpAddr, Arc<Bucket>>,
}

/// What an instance has of a client's bucket.
struct Bucket {
    state: Mutex<State>,
    /// Held by whoever takes more out of the shared one.
    asking: tokio::sync::Mutex<()>,
}

/// What it knows of it.
struct State {
    /// What was taken out of the shared one, and is not spent.
    taken: u64,
    /// Until when there is less than so much in it: until then nobody needs to ask.
    empty: Option<(u64, Instant)>,
    /// Whether Redis gave no answer in time. What it takes for one that comes too late is lost.
    is_late: bool,
    /// The bucket that is used without Redis.
    own: Own,
}

/// A bucket of one instance.
#[derive(Clone, Copy)]
struct Own {
    left: f64,
    at: Instant,
}

impl Quota {
    /// Buckets in the far tier, under keys that begin with `prefix`.
    pub fn new(settings: Settings, far: Option<Far>, prefix: &str) -> Self {
        Self { rules: Current::new(Rules::new(settings)), far, prefix: prefix.into() }
    }

    /// Goes by other settings from now on. What was taken out of a bucket and is not spent is lost.
    pub fn change(&self, settings: Settings) {
        if self.rules.get().settings != settings {
            self.rules.set(Rules::new(settings));
        }
    }

    /// Takes so much from a client's bucket.
    ///
    /// # Errors
    /// With the time until there is so much in it.
    pub async fn take(&self, client: IpAddr, price: u64) -> Result<(), Duration> {
        let rules = self.rules.get();
        let Settings { per_second, burst } = rules.settings;
        if per_second == 0 {
            return Ok(());
        }
        // Nobody could ever pay more.
        let price = price.min(burst);
        let client = network(client);
        let bucket = rules.known.get_with(client, || {
            let own = Own { left: burst as f64, at: Instant::now() };
            let state = Mutex::new(State { taken: 0, empty: None, is_late: false, own });
            Arc::new(Bucket { state, asking: tokio::sync::Mutex::default() })
        });
        if lock(&bucket.state).spend(price)? {
            return Ok(());
        }
        // One at a time: each takes more than it needs, and many at once would find nothing left of what is theirs.
        let _asking = bucket.asking.lock().await;
        loop {
            let (missing, want) = {
                let mut state = lock(&bucket.state);
                if state.spend(price)? {
                    return Ok(());
                }
                let missing = price - state.taken;
                (missing, state.want(missing, burst))
            };
            let answer = match &self.far {
                Some(far) => {
                    let key = format!("{}:{client}", self.prefix);
                    far.run(TAKE, &key, [burst, per_second, missing, want]).boxed().await.ok()
                }
                None => None,
            };
            let mut state = lock(&bucket.state);
            state.is_late = self.far.is_some() && answer.is_none();
            let (taken, wait) = match answer.as_deref() {
                Some([taken, wait]) => {
                    (u64::try_from(*taken).unwrap_or_default(), u64::try_from(*wait).unwrap_or_default())
                }
                _ => state.own.take(missing, burst, per_second),
            };
            state.taken += taken;
            // Whoever found enough in the meantime has spent of what was there: then what is missing is taken once more.
            if taken < missing && state.taken < price {
                // The next may need less.
                let wait = Duration::from_millis(wait.max(1));
                state.empty = Some((price - state.taken, Instant::now() + wait));
                return Err(refused(wait));
            }
        }
    }
}

impl Rules {
    fn new(settings: Settings) -> Self {
        // By then a bucket is full.
        let full = Duration::from_secs(settings.burst / settings.per_second.max(1) + 1);
        let known = Cache::builder().max_capacity(CLIENTS).time_to_idle(full).build();
        Self { settings, known }
    }
}

impl State {
    /// How much is taken out of the shared bucket where so much is missing: more than that, or each request would ask; but no
    /// more while what is taken may be lost, or a slow Redis would empty buckets that nobody has used.
    fn want(&self, missing: u64, burst: u64) -> u64 {
        if self.is_late { missing } else { missing.saturating_add(burst / PARTS) }
    }

    /// Spends what was taken before; whether that was enough.
    ///
    /// # Errors
    /// When it is known that the bucket does not have what is missing.
    fn spend(&mut self, price: u64) -> Result<bool, Duration> {
        if let Some(rest) = self.taken.checked_sub(price) {
            self.taken = rest;
            return Ok(true);
        }
        let empty = self.empty.filter(|(need, _)| price - self.taken >= *need);
        match empty.and_then(|(_, until)| until.checked_duration_since(Instant::now())) {
            Some(wait) if !wait.is_zero() => Err(refused(wait)),
            _ => Ok(false),
        }
    }
}

fn refused(wait: Duration) -> Duration {
    counter!("shoal_rate_limited_total").increment(1);
    wait
}

impl Own {
    /// As the script does, but without more than is needed.
    fn take(&mut self, need: u64, burst: u64, per_second: u64) -> (u64, u64) {
        let (rate, now) = (per_second as f64, Instant::now());
        self.left = (self.left + now.duration_since(self.at).as_secs_f64() * rate).min(burst as f64);
        self.at = now;
        let missing = need as f64 - self.left;
        if missing > 0.0 {
            return (0, (missing * 1000.0 / rate).ceil() as u64);
        }
        self.left -= need as f64;
        (need, 0)
    }
}

/// Who counts as one client: an address, of IPv6 the network of a subscriber.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::cache::far;

    #[tokio::test]
    async fn a_bucket_is_empty_at_some_time() {
        let quota = Quota::new(Settings { per_second: 1, burst: 100 }, None, "test");
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse::<IpAddr>().unwrap());
        assert_eq!(quota.take(one, 60).await, Ok(()));
        assert_eq!(quota.take(one, 40).await, Ok(()));
        let wait = quota.take(one, 50).await.unwrap_err();
        assert!(wait > Duration::from_secs(45) && wait <= Duration::from_secs(50), "{wait:?}");
        assert_eq!(quota.take(other, 100).await, Ok(()));
        assert!(quota.take(other, 1).await.is_err());
    }

    #[tokio::test]
    async fn what_costs_more_than_a_bucket_holds_takes_all_of_it() {
        let quota = Quota::new(Settings { per_second: 1, burst: 100 }, None, "test");
        let one = "2001:db8::1".parse().unwrap();
        assert_eq!(quota.take(one, 1_000_000).await, Ok(()));
        assert!(quota.take("2001:db8::2".parse().unwrap(), 10).await.is_err(), "it is the same network");
        assert_eq!(quota.take("2001:db8:0:1::2".parse().unwrap(), 10).await, Ok(()));
    }

    #[tokio::test]
    async fn without_a_rate_there_is_no_limit() {
        let quota = Quota::new(Settings { per_second: 0, burst: 0 }, None, "test");
        assert_eq!(quota.take("192.0.2.1".parse().unwrap(), u64::MAX).await, Ok(()));
    }

    #[test]
    fn while_redis_is_late_no_more_is_taken_than_is_missing() {
        let own = Own { left: 0.0, at: Instant::now() };
        let state = |is_late| State { taken: 0, empty: None, is_late, own };
        assert_eq!(state(false).want(11, 20_000), 11 + 400);
        assert_eq!(state(true).want(11, 20_000), 11);
    }

    #[tokio::test]
    async fn what_others_spend_meanwhile_is_taken_once_more() {
        // It never answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", silent.local_addr().unwrap()).parse().unwrap();
        let far = far::Settings { url: Some(url), timeout_ms: 100, ..Default::default() };
        let quota = Quota::new(Settings { per_second: 1, burst: 100 }, Far::open(&far).unwrap(), "test");
        let client = "192.0.2.1".parse().unwrap();
        let own = Own { left: 100.0, at: Instant::now() };
        let state = Mutex::new(State { taken: 5, empty: None, is_late: false, own });
        let bucket = Bucket { state, asking: tokio::sync::Mutex::default() };
        quota.rules.get().known.insert(network(client), Arc::new(bucket));
        let (first, second) = tokio::join!(quota.take(client, 10), quota.take(client, 1));
        assert_eq!((first, second), (Ok(()), Ok(())));
    }

    #[tokio::test]
    async fn the_rate_may_change() {
        let quota = Quota::new(Settings { per_second: 1, burst: 10 }, None, "test");
        let client = "192.0.2.1".parse().unwrap();
        assert_eq!(quota.take(client, 10).await, Ok(()));
        assert!(quota.take(client, 10).await.is_err());
        quota.change(Settings { per_second: 1, burst: 10 });
        assert!(quota.take(client, 10).await.is_err(), "nothing has changed");
        quota.clone().change(Settings { per_second: 1, burst: 100 });
        assert_eq!(quota.take(client, 100).await, Ok(()));
        assert!(quota.take(client, 1).await.is_err());
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let network = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
