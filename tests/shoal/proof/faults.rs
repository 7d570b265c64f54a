//! What is broken, and mended again: each while everybody reads and writes.

use std::process::Command;
use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::log::SAID;
use super::rig::{BOUND_MS, Rig};
use super::shapes::{POSTS, TAGS, USERS};
use super::world::REWRITTEN;
use crate::support::eventually;

/// Longer than an answer may be old.
const LONG: Duration = Duration::from_millis(2 * BOUND_MS);

/// Changes every product, of which the log tells each row.
const RESTOCK: &str = "update products set stock = stock + 1";

/// How many rows a large update changes: more than are told one by one.
const LARGE: usize = 110_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A replica replays nothing, while rows change and the lists that they are in do not.
    ReplayPaused,
    /// A replica is killed after a change of all products, and comes back with less than it has shown.
    ReplicaKilled,
    /// An instance stands still for longer than the bound.
    InstanceStopped,
    /// An instance is killed right after a COMMIT, before it tells anybody.
    WriterKilled,
    /// Redis comes back with what it held a moment before.
    RedisRestored,
    RedisFlushed,
    RedisStalled,
    RedisCut,
    /// The feeds are cut off, again and again.
    FeedCut,
    /// The feeds hear nothing, and are not told so.
    FeedFrozen,
    /// What is committed is in the log, and not visible for a second; nobody but the primary can be asked.
    VisibilityGap,
    /// A transaction changes more rows than are told one by one.
    LargeUpdate,
    Truncated,
    /// An ALTER changes all rows of a table, and tells nobody.
    Rewritten,
    /// The same, while the feeds hear nothing for less than the bound: then they hear it all at once.
    RewrittenUnheard,
    /// An instance does not reach the primary for longer than the bound.
    Partitioned,
    PrimaryKilled,
    /// All links of an instance are slow.
    SlowLinks,
}

impl Fault {
    pub const ALL: [Self; 18] = [
        Self::ReplayPaused,
        Self::ReplicaKilled,
        Self::InstanceStopped,
        Self::WriterKilled,
        Self::RedisRestored,
        Self::RedisFlushed,
        Self::RedisStalled,
        Self::RedisCut,
        Self::FeedCut,
        Self::FeedFrozen,
        Self::VisibilityGap,
        Self::LargeUpdate,
        Self::Truncated,
        Self::Rewritten,
        Self::RewrittenUnheard,
        Self::Partitioned,
        Self::PrimaryKilled,
        Self::SlowLinks,
    ];

    /// As reports and command lines call it: `replay-paused`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// Breaks it, waits, and mends it. `turn` is another each time. Only the last instance is ever killed.
    pub async fn strike(self, rig: &Rig, turn: usize) {
        let instance = match self {
            Self::WriterKilled => rig.instances.last().unwrap(),
            _ => &rig.instances[turn % rig.instances.len()],
        };
        let replica = turn % rig.cluster.stack.replicas.len();
        match self {
            Self::ReplayPaused => {
                rig.on_replica(replica, "select pg_wal_replay_pause()").await;
                rig.on_primary(RESTOCK).await;
                tokio::time::sleep(LONG).await;
                rig.on_replica(replica, "select pg_wal_replay_resume()").await;
            }
            Self::ReplicaKilled => {
                let name = format!("replica{}", replica + 1);
                // In its next life it replays no commit of this one, but for those that are on its disk.
                rig.on_replica(replica, "alter system set recovery_min_apply_delay = '1h'").await;
                rig.on_replica(replica, "checkpoint").await;
                rig.on_primary(RESTOCK).await;
                rig.cluster.stack.wait_for_replicas().await;
                rig.cluster.tell_meanwhile(&["kill", &name]).await;
                rig.cluster.tell_meanwhile(&["start", &name]).await;
                tokio::time::sleep(LONG).await;
                rig.on_replica(replica, "alter system reset recovery_min_apply_delay").await;
                rig.on_replica(replica, "select pg_reload_conf()").await;
            }
            Self::InstanceStopped => {
                let process = instance.process().await;
                signal("STOP", &[process]);
                tokio::time::sleep(LONG + Duration::from_millis(500)).await;
                signal("CONT", &[process]);
            }
            Self::WriterKilled => {
                if cfg!(feature = "fault-points") {
                    instance.start(&rig.database, &[("SHOAL_FAULT_POINT", "adjustStock committed")]).await;
                    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
                    while !instance.log().await.contains("stopped at a fault point")
                        && tokio::time::Instant::now() < deadline
                    {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                instance.kill().await;
                instance.start(&rig.database, &[]).await;
            }
            Self::RedisRestored => {
                rig.redis(&["SAVE"]).await;
                tokio::time::sleep(LONG / 2).await;
                rig.cluster.tell_meanwhile(&["kill", "redis"]).await;
                rig.cluster.tell_meanwhile(&["start", "redis"]).await;
            }
            Self::RedisFlushed => {
                for _ in 0..4 {
                    rig.redis(&["FLUSHALL"]).await;
                    tokio::time::sleep(LONG / 4).await;
                }
            }
            Self::RedisStalled => {
                let milliseconds = LONG.as_millis().to_string();
                rig.redis(&["CLIENT", "PAUSE", &milliseconds, "ALL"]).await;
                tokio::time::sleep(LONG).await;
            }
            Self::RedisCut => {
                rig.instances.iter().for_each(|instance| instance.redis.freeze());
                tokio::time::sleep(LONG).await;
                rig.instances.iter().for_each(|instance| instance.redis.thaw());
            }
            Self::FeedCut => {
                const CUT: &str = "select pg_terminate_backend(pid) from pg_stat_replication
                    where application_name = 'shoal feed'";
                for _ in 0..4 {
                    rig.on_primary(CUT).await;
                    tokio::time::sleep(LONG / 4).await;
                }
            }
            Self::FeedFrozen => {
                let feeds = rig.processes("shoal feed").await;
                signal("STOP", &feeds);
                tokio::time::sleep(LONG + Duration::from_millis(500)).await;
                signal("CONT", &feeds);
            }
            Self::VisibilityGap => {
                for replica in 0..rig.cluster.stack.replicas.len() {
                    rig.on_replica(replica, "select pg_wal_replay_pause()").await;
                }
                // One that changes everything, else few would: each writer waits for its first commit. It has its rows before
                // any of those can wait with them.
                let mut connection = rig.primary().connect(rig.database.name()).await;
                let change = AssertSqlSafe(format!("begin; {}; {RESTOCK}", rename_all()));
                sqlx::raw_sql(change).execute(&mut connection).await.unwrap();
                rig.on_primary("alter system set synchronous_standby_names = 'ghost'").await;
                rig.on_primary("select pg_reload_conf()").await;
                rig.commits_wait().await;
                let shown_at_last = async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    rig.on_primary("alter system reset synchronous_standby_names").await;
                    rig.on_primary("select pg_reload_conf()").await;
                };
                let (committed, ()) = tokio::join!(sqlx::raw_sql("commit").execute(&mut connection), shown_at_last);
                committed.unwrap();
                tokio::time::sleep(Duration::from_millis(BOUND_MS / 2)).await;
                for replica in 0..rig.cluster.stack.replicas.len() {
                    rig.on_replica(replica, "select pg_wal_replay_resume()").await;
                }
            }
            Self::LargeUpdate => {
                rig.on_primary(&format!(
                    "insert into comments (post_id, author_id, body) select 1, 1, 'filler' from generate_series(
                        (select count(*) from comments) + 1, {LARGE})"
                ))
                .await;
                rig.on_primary(&format!(
                    "begin; {}; update comments set body = 'filler ' || txid_current(); commit",
                    rename_all()
                ))
                .await;
                tokio::time::sleep(LONG / 2).await;
            }
            Self::Truncated => {
                rig.on_primary("truncate post_tags").await;
                tokio::time::sleep(LONG / 2).await;
                rig.on_primary(&format!(
                    "insert into post_tags select id, 1 + id % {TAGS} from posts where id <= {POSTS} on conflict do nothing"
                ))
                .await;
            }
            Self::Rewritten => {
                rig.rewrite().await;
                tokio::time::sleep(LONG).await;
            }
            Self::RewrittenUnheard => {
                let feeds = rig.processes("shoal feed").await;
                signal("STOP", &feeds);
                rig.on_primary(RESTOCK).await;
                rig.rewrite().await;
                // Longer than it takes to notice it, and while most of what is kept is still of before.
                tokio::time::sleep(Duration::from_millis(BOUND_MS / 3)).await;
                // Then much is heard at a time.
                rig.instances.iter().for_each(|instance| instance.primary.slow_down(Duration::from_millis(10)));
                signal("CONT", &feeds);
                tokio::time::sleep(LONG).await;
                rig.instances.iter().for_each(|instance| instance.primary.slow_down(Duration::ZERO));
            }
            Self::Partitioned => {
                instance.primary.freeze();
                tokio::time::sleep(LONG + Duration::from_millis(500)).await;
                instance.primary.thaw();
            }
            Self::PrimaryKilled => {
                rig.cluster.tell_meanwhile(&["kill", "primary"]).await;
                rig.cluster.tell_meanwhile(&["start", "primary"]).await;
            }
            Self::SlowLinks => {
                let links = || instance.replicas.iter().chain([&instance.primary, &instance.redis]);
                links().for_each(|gate| gate.slow_down(Duration::from_millis(20)));
                tokio::time::sleep(LONG).await;
                links().for_each(|gate| gate.slow_down(Duration::ZERO));
            }
        }
    }
}

/// Gives every user another name, and nobody one that there was.
fn rename_all() -> String {
    format!("update users set name = 'mass ' || id || ' ' || txid_current() where id <= {USERS}")
}

impl Rig {
    /// Runs statements on the primary, past all gates.
    pub async fn on_primary(&self, sql: &str) {
        let mut connection = self.primary().connect(self.database.name()).await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }

    /// Waits until whoever commits waits for a standby.
    async fn commits_wait(&self) {
        let mut connection = self.primary().connect(self.database.name()).await;
        const WAITS: &str = "select exists (select from pg_stat_activity where wait_event = 'SyncRep')";
        let one_waits = eventually("a commit to wait", async || {
            sqlx::query_scalar(WAITS).fetch_one(&mut connection).await.unwrap()
        });
        let committing = async {
            loop {
                self.on_primary("select pg_logical_emit_message(true, 'filler', '')").await;
            }
        };
        tokio::select! { () = one_waits => {}, () = committing => {} }
    }

    /// Adds one to the stock of every product, of which the log tells no row.
    async fn rewrite(&self) {
        self.on_primary(&format!(
            "begin; select pg_logical_emit_message(true, '{SAID}', '{REWRITTEN}');
            alter table products alter column stock type int using stock + 1; commit"
        ))
        .await;
    }

    pub async fn on_replica(&self, place: usize, sql: &str) {
        let mut connection = self.cluster.stack.replicas[place].connect(self.database.name()).await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }

    pub async fn redis(&self, command: &[&str]) {
        let client = redis::Client::open(self.cluster.stack.redis.clone()).unwrap();
        // However busy the machine is.
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(30)))
            .set_response_timeout(Some(Duration::from_secs(30)));
        let mut connection = client.get_multiplexed_async_connection_with_config(&patient).await.unwrap();
        let (name, arguments) = command.split_first().unwrap();
        let _: redis::Value = redis::cmd(name).arg(arguments).query_async(&mut connection).await.unwrap();
    }

    /// The processes of the primary that send its log to this.
    pub async fn processes(&self, application: &str) -> Vec<u32> {
        let mut connection = self.primary().connect(self.database.name()).await;
        let asked = "select pid from pg_stat_replication where application_name = $1";
        let found: Vec<i32> = sqlx::query_scalar(asked).bind(application).fetch_all(&mut connection).await.unwrap();
        found.into_iter().map(|pid| pid as u32).collect()
    }
}

/// Signals processes; one that has ended meanwhile is none of our concern.
pub fn signal(signal: &str, processes: &[u32]) {
    for process in processes {
        let _ = Command::new("kill").args(["-s", signal, &process.to_string()]).status();
    }
}
