//! One life of the feed: a slot, and what it tells until it ends.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use metrics::counter;
use pgwire_replication::{Lsn, ReplicationClient, ReplicationConfig, ReplicationEvent};

use super::pgoutput::{Message, Reader};
use super::rows::Rows;
use super::side::{Side, Watched};
use super::{Lost, NotKept, PUBLICATION, Shared, tls};
use crate::data::cache::{Fresh, History};
use crate::data::coherence::{Commit, MOST_SLOTS, Slot};
use crate::data::databases::Primary;
use crate::data::events::Batch;
use crate::data::mutant::{self, Mutant};
use crate::data::pause::pause;
use crate::data::position::{Position, random};

/// How often the catalogue is looked at, and how far the feed is behind.
const LOOK: Duration = Duration::from_millis(250);
/// How long the feed may be behind what the primary was seen at before the log is nudged.
const BEHIND: Duration = Duration::from_millis(300);
/// How long a new slot may take, and how long until it is asked whom it waits for.
const SLOT: Duration = Duration::from_secs(30);
const IMPATIENCE: Duration = Duration::from_secs(1);
/// The pause between two looks at transactions that are not visible yet.
const BARRIER: Duration = Duration::from_millis(1);
/// The most commits that pass the barrier together.
const TOGETHER: usize = 1000;

/// One life of the feed.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    primary: &'a Primary,
    has_followed: bool,
}

/// What was told and is not known to be visible yet.
#[derive(Default)]
struct Pending {
    transactions: Vec<u32>,
    /// Rows that have changed and are often served.
    rows: Rows,
    events: Batch,
    /// How far everything was told.
    position: Position,
}

/// The transaction that is being told.
#[derive(Default)]
struct Open {
    transaction: u32,
    /// None once it is too much, or cannot be told by slots.
    touched: Option<HashSet<Slot, foldhash::fast::RandomState>>,
}

/// What follows the log.
struct Following<'a> {
    shared: &'a Shared,
    history: Arc<History>,
    side: Side,
    client: ReplicationClient,
    reader: Reader<'a>,
    watched: Vec<Watched>,
    /// When something was last told, when the catalogue was last looked at, and when the log was last nudged.
    heard: Instant,
    looked: Instant,
    nudged: Instant,
    open: Open,
    pending: Pending,
    /// Through where everything was told and is visible.
    passed: Position,
}

impl<'a> Session<'a> {
    pub fn new(shared: &'a Shared, primary: &'a Primary) -> Self {
        Self { shared, primary, has_followed: false }
    }

    /// Whether it came to follow the log.
    pub fn has_followed(&self) -> bool {
        self.has_followed
    }

    /// Follows the log until something is lost.
    pub async fn follow(&mut self) -> Result<Infallible, Lost> {
        let mut following = self.begin().await?;
        self.has_followed = true;
        loop {
            following.step().await?;
        }
    }

    async fn begin(&self) -> Result<Following<'a>, Lost> {
        let shared = self.shared;
        let tables: Vec<_> = shared.cache.declared().tables().collect();
        let mut side = Side::connect(&self.primary.options, &tables).await?;
        let survey = side.survey().await?;
        let universe = survey.universe().ok_or(Lost::Because("the primary is a replica"))?;
        if !shared.databases.is_now(universe) {
            return Err(Lost::Because("the primary is not the one that is watched"));
        }
        let (history, is_new) = shared.cache.histories().begin(universe);
        if is_new {
            shared.cache.clear();
        }
        let slot = format!("shoal_{:032x}", u128::from_ne_bytes(random()));
        let mut client = ReplicationClient::connect_gated(self.config(&slot)?).await?;
        let system = client.identify_system().await?;
        if system.system_id.parse() != Ok(survey.incarnation.system as u64)
            || Some(system.timeline) != survey.timeline()
        {
            return Err(Lost::Because("the log is not that of the primary that is watched"));
        }
        let start = self.slot(&mut client, &mut side, &slot).await?;
        // What the log told before this slot is lost.
        if !mutant::is(Mutant::NoGapDetection) {
            history.fences.raise_floor(start);
        }
        counter!("shoal_feed_floor_raises_total", "reason" => "new_slot").increment(1);
        client.start().await?;
        client.wait_started().await?;
        // What was in the log before the slot, and is not visible yet.
        side.shows(&[]).await?;
        let below = side.next();
        while !side.has_ended(below).await? {
            let blocker = side.blocker().await?.unwrap_or_else(|| "a transaction".to_owned());
            shared.waits(&format!("it waits for {blocker} to end"));
            pause(LOOK).await;
        }
        let watched = side.watched(&tables).await?;
        // A rewrite that nothing told of lies below. The log has to go on before anything passes, see `look`.
        if !mutant::is(Mutant::NoGapDetection) {
            history.fences.raise_floor(side.past_end().await?);
            side.nudge().await?;
        }
        let now = Instant::now();
        let following = Following {
            shared,
            history,
            side,
            client,
            reader: Reader::new(&shared.cache.declared().tables),
            watched,
            heard: now,
            looked: now,
            nudged: now,
            open: Open::default(),
            pending: Pending { position: start, ..Pending::default() },
            passed: start,
        };
        following.history.advance(start);
        following.tell();
        Ok(following)
    }

    /// Makes a slot of its own that ends with the connection; the position at which it starts to tell.
    async fn slot(&self, client: &mut ReplicationClient, side: &mut Side, name: &str) -> Result<Position, Lost> {
        let create = format!("CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL pgoutput (SNAPSHOT 'nothing')");
        let mut created = std::pin::pin!(client.simple_query(&create));
        let start = Instant::now();
        let rows = loop {
            match tokio::time::timeout(IMPATIENCE, &mut created).await {
                Ok(rows) => break rows?,
                Err(_) if start.elapsed() > SLOT => {
                    return Err(Lost::Because("a new slot waits for open transactions"));
                }
                Err(_) => {
                    let blocker = side.blocker().await?.unwrap_or_else(|| "open transactions".to_owned());
                    self.shared.waits(&format!("a new slot waits for {blocker}"));
                }
            }
        };
        let start = rows.first().and_then(|row| row.get(1)?.as_ref());
        start
            .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok())
            .ok_or(Lost::Because("a new slot does not tell where it starts"))
    }

    fn config(&self, slot: &str) -> Result<ReplicationConfig, Lost> {
        let Primary { host, port, user, password, database, options } = self.primary;
        let config = ReplicationConfig::new(host, user, password, database, slot, PUBLICATION)
            .with_port(*port)
            .with_tls(tls::of(options)?)
            .with_binary(true)
            .with_application_name("shoal feed")
            .with_status_interval(Duration::from_secs(1))
            .with_wakeup_interval(Duration::from_secs(1));
        Ok(config)
    }
}

impl Following<'_> {
    /// Takes what there is, lets it pass the barrier, and looks around from time to time.
    async fn step(&mut self) -> Result<(), Lost> {
        if let Ok(event) = tokio::time::timeout(LOOK, self.client.recv()).await {
            self.heard = Instant::now();
            self.take(event?)?;
            while self.pending.transactions.len() < TOGETHER {
                let Some(event) = self.client.recv().now_or_never() else { break };
                self.take(event?)?;
            }
        }
        self.pass().await?;
        if self.looked.elapsed() >= LOOK {
            self.look().await?;
            self.looked = Instant::now();
            // Not with each commit: the server writes down what it is told, and the slot ends with this connection.
            self.client.update_applied_lsn(Lsn::from_u64(self.passed.0));
        }
        Ok(())
    }

    fn take(&mut self, event: Option<ReplicationEvent>) -> Result<(), Lost> {
        match event.ok_or(Lost::Because("the primary has ended the log"))? {
            ReplicationEvent::Begin { xid, .. } => {
                self.open = Open { transaction: xid, touched: Some(HashSet::default()) };
                self.pending.events.begin();
                self.pending.rows.begin();
            }
            ReplicationEvent::XLogData { data, .. } => self.changed(&data)?,
            ReplicationEvent::Commit { end_lsn, .. } => self.committed(Position(end_lsn.as_u64())),
            ReplicationEvent::KeepAlive { wal_end, .. } => {
                // Everything up to here was told: it covers what waits at the barrier. A client's token lies here, too,
                // and not where its commit ends, if others were writing.
                self.pending.position = self.pending.position.max(Position(wal_end.as_u64()));
            }
            ReplicationEvent::Message { .. } => {}
            ReplicationEvent::StoppedAt { .. } => return Err(Lost::Because("the log was stopped")),
        }
        Ok(())
    }

    fn changed(&mut self, message: &[u8]) -> Result<(), Lost> {
        // Relations are to be known even when their rows are too many to be told.
        let change = match self.reader.read(message)? {
            Message::Changed(change) => change,
            Message::Truncated => {
                self.open.touched = None;
                return Ok(());
            }
            Message::Other => return Ok(()),
        };
        self.pending.events.note(&self.shared.events, &change);
        let Some(touched) = &mut self.open.touched else { return Ok(()) };
        let cache = &self.shared.cache;
        if let Some(table) = cache.declared().tables.find(change.table) {
            if let ([key], [column]) = (&change.key[..], &table.key[..]) {
                let is_hot = change.new.is_some() && cache.is_hot(table.name, key);
                let now = if is_hot { self.reader.row(message)? } else { None };
                self.pending.rows.note(&change, column, now);
            }
            table.touched(&change, false, &mut |slot| {
                touched.insert(slot);
            });
        }
        if touched.len() > MOST_SLOTS {
            self.open.touched = None;
        }
        Ok(())
    }

    fn committed(&mut self, position: Position) {
        let Open { transaction, mut touched } = std::mem::take(&mut self.open);
        if mutant::is(Mutant::NoFence) {
            touched = Some(HashSet::default());
        }
        counter!("shoal_feed_commits_total").increment(1);
        if touched.is_none() {
            counter!("shoal_feed_floor_raises_total", "reason" => "large_or_truncated").increment(1);
        }
        // At once, and before it is known to be visible: too high a fence costs a miss.
        match touched {
            Some(slots) => self.history.fences.raise(slots, position),
            None => self.history.fences.raise_floor(position),
        }
        self.pending.rows.commit(position);
        self.pending.events.commit(position);
        self.pending.transactions.push(transaction);
        self.pending.position = self.pending.position.max(position);
    }

    /// Lets what was told pass, once the primary shows it: a commit is in the log before it is visible.
    async fn pass(&mut self) -> Result<(), Lost> {
        let (previous, position) = (self.passed, self.pending.position);
        if position <= previous {
            return Ok(());
        }
        let mut shown = self.shows().await?;
        // All fences up to here are raised.
        if !self.history.apply(&Commit { previous, position, touched: Some(Vec::new()) }) {
            counter!("shoal_feed_floor_raises_total", "reason" => "gap").increment(1);
        }
        while !shown && !mutant::is(Mutant::NoBarrier) {
            counter!("shoal_feed_barrier_waits_total").increment(1);
            pause(BARRIER).await;
            shown = self.shows().await?;
        }
        self.pending.transactions.clear();
        self.passed = position;
        // First, so that whoever waits for this finds them.
        for (table, rows) in self.pending.rows.take(position, &self.history.fences) {
            self.shared.refresh.keep(Fresh { history: self.history.clone(), table, rows, stamp: position });
        }
        self.history.advance(position);
        self.shared.events.publish(&mut self.pending.events);
        Ok(())
    }

    /// Whether the primary shows all that was told. What was written anew in silence is void from then on.
    async fn shows(&mut self) -> Result<bool, Lost> {
        let shown = self.side.shows(&self.pending.transactions).await?;
        if shown.is_rewritten {
            self.look().await?;
        }
        Ok(shown.all)
    }

    /// Looks whether the log still tells everything, and whether it goes on.
    async fn look(&mut self) -> Result<(), Lost> {
        let tables: Vec<_> = self.watched.iter().map(|watched| watched.table.as_str()).collect();
        let (shared, watched) = (self.shared, self.side.watched(&tables).await?);
        if watched != self.watched {
            counter!("shoal_feed_fingerprint_changes_total").increment(1);
            tracing::warn!("a table or its publication has changed: what is kept of before is void");
            // First all is void that may have changed in silence: a table that is told again has been kept before. Rows
            // that the log told may be stamped with its very end, so the log has to go on before anything passes again.
            self.history.fences.raise_floor(self.side.past_end().await?);
            let changed = watched.iter().filter(|watched| !self.watched.contains(watched));
            shared.events.lose(changed.map(|watched| watched.table.as_str()));
            self.watched = watched;
            self.tell();
            counter!("shoal_feed_floor_raises_total", "reason" => "fingerprint").increment(1);
            self.side.nudge().await?;
        }
        let Some(lag) = shared.databases.lag(self.history.universe, self.history.fences.applied()) else {
            return Err(Lost::Because("the primary is another, or on another timeline"));
        };
        let patience = shared.databases.max_staleness().max(BEHIND * 2);
        if lag > patience && self.heard.elapsed() > patience {
            return Err(Lost::Because("the log does not go on"));
        }
        // An open transaction may have left the end of the log in the middle of a record.
        if lag > BEHIND && self.nudged.elapsed() > BEHIND {
            self.side.nudge().await?;
            self.nudged = Instant::now();
        }
        Ok(())
    }

    /// Tells which tables may be kept.
    fn tell(&self) {
        let is_told =
            |table: &&str| self.watched.iter().any(|watched| watched.why.is_none() && watched.table == *table);
        let tables = self.shared.cache.declared().tables();
        let told: HashSet<_> = tables.filter(is_told).collect();
        self.shared.events.tell(told.clone());
        self.history.tells(told);
        let not_kept = self
            .watched
            .iter()
            .filter_map(|watched| Some(NotKept { table: watched.table.clone(), why: watched.why.clone()? }));
        self.shared.follows(not_kept.collect());
    }
}
