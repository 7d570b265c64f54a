//! Takes jobs, runs them, and sees to it that they stay its own meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use entity::job;
use metrics::{counter, histogram};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::handler::{self, Failure, Means, Run};
use super::held::{Ended, Held};
use super::settle::{self, Settled};
use super::{Schedules, Settings, write};
use crate::data::hints::Hints;
use crate::data::pause::pause;
use crate::data::trace::{About, Choice, Trace};
use crate::data::write::Writes;
use crate::domain::job::works::{Attempt, Claim, Extend, Fire, Outcome, Rescue};
use crate::domain::job::{Kind, Task, tries};
use crate::mail::Mailer;

/// How many parts of a lease pass until it is extended.
const PARTS: u32 = 4;
/// How far apart jobs are taken that come one by one, and how long places that come free one by one wait for others: a
/// transaction for each job costs more than the job.
const GATHER: Duration = Duration::from_millis(25);
/// How long what became of the last jobs may take to be written down.
const FAREWELL: Duration = Duration::from_secs(5);

/// A worker that runs, until it is told to stop.
pub struct Worker {
    kinds: JoinSet<()>,
    settler: JoinHandle<()>,
    /// Ends with the worker.
    _care: JoinSet<()>,
}

struct Shared {
    means: Means,
    hints: Hints,
    /// What it calls itself.
    name: String,
    held: Arc<Held>,
    traces: Choice,
}

impl Worker {
    /// Begins to run jobs, until `stopping` says otherwise.
    pub fn start(
        settings: Settings,
        schedules: Schedules,
        means: (Writes, Mailer, Choice),
        hints: Hints,
        stopping: &watch::Receiver<bool>,
    ) -> Self {
        let (writes, mailer, traces) = means;
        let name = format!("{}-{:08x}", std::process::id(), fastrand::u32(..));
        tracing::info!(worker = name, "jobs are run here, mails go to {}", mailer.describe());
        let held = Arc::new(Held::default());
        let (settled, queue) = mpsc::channel(100);
        let settler = tokio::spawn(settle::run(writes.clone(), held.clone(), queue));
        let shared = Arc::new(Shared { means: Means { writes, mailer, settings }, hints, name, held, traces });
        let (mut kinds, mut care) = (JoinSet::new(), JoinSet::new());
        for kind in Kind::ALL {
            kinds.spawn(shared.clone().work(kind, settled.clone(), stopping.clone()));
        }
        care.spawn(shared.clone().extend());
        care.spawn(shared.look_after(schedules));
        Self { kinds, settler, _care: care }
    }

    /// Waits until it has been told to stop and has. What it was at then is done, or given back to others.
    pub async fn stopped(mut self) {
        while self.kinds.join_next().await.is_some() {}
        if timeout(FAREWELL, self.settler).await.is_err() {
            tracing::warn!("what became of the last jobs could not be written down: others run them again");
        }
    }
}

impl Shared {
    /// Runs the jobs of a kind.
    async fn work(self: Arc<Self>, kind: Kind, settled: mpsc::Sender<Settled>, mut stopping: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(self.means.settings.concurrency.of(kind)));
        let mut attempts = JoinSet::new();
        tokio::select! {
            () = self.find(kind, &places, &settled, &mut attempts) => {}
            _ = stopping.wait_for(|stops| *stops) => {}
        }
        let drain = self.means.settings.drain_timeout();
        if timeout(drain, async { while attempts.join_next().await.is_some() {} }).await.is_err() {
            self.held.stop();
            while attempts.join_next().await.is_some() {}
        }
    }

    /// Finds jobs of a kind and begins them, for ever. What it was about to take when it is dropped is found by others
    /// once its lease has ended.
    async fn find(
        self: &Arc<Self>,
        kind: Kind,
        places: &Arc<Semaphore>,
        settled: &mpsc::Sender<Settled>,
        attempts: &mut JoinSet<()>,
    ) {
        let settings = &self.means.settings;
        let (mut next_look, mut enough) = (Instant::now(), 1);
        loop {
            let Some(mut free) = free_places(places, enough).await else { return };
            while attempts.try_join_next().is_some() {}
            let ids = match Instant::now() >= next_look {
                true => None,
                false => Some(self.hints.take(kind.name(), free.len()).await),
            };
            let (is_look, wanted) = (ids.is_none(), free.len());
            let jobs = match ids {
                Some(ids) if ids.is_empty() => Vec::new(),
                ids => match self.claim(kind, ids, wanted).await {
                    // Others had dealt with those: the next hints may be better.
                    Some(jobs) if jobs.is_empty() && !is_look => continue,
                    jobs => jobs.unwrap_or_default(),
                },
            };
            if is_look && jobs.len() < wanted {
                next_look = Instant::now() + settings.poll();
            }
            let (is_idle, are_all) = (jobs.is_empty(), jobs.len() < wanted);
            // Where there are more than can be run, those that wait are not to wait for all that run.
            enough = if are_all { 1 } else { settings.concurrency.of(kind).div_ceil(2) };
            for ((job, until), place) in jobs.into_iter().zip(free.drain(..)) {
                attempts.spawn(self.clone().attempt(job, until, place, settled.clone()));
            }
            drop(free);
            if !is_idle {
                if are_all {
                    pause(GATHER).await;
                }
            } else if !(is_look && next_look <= Instant::now()) {
                let until_look = next_look.saturating_duration_since(Instant::now());
                let longest = if self.hints.are_shared() { until_look.min(settings.hint()) } else { until_look };
                if timeout(longest, self.hints.given(kind.name())).await.is_ok() {
                    next_look = Instant::now();
                }
            }
        }
    }

    /// Takes jobs, each with the time until which it is this worker's; none, if the table cannot be looked at.
    async fn claim(&self, kind: Kind, ids: Option<Vec<i64>>, limit: usize) -> Option<Vec<(job::Model, Instant)>> {
        let settings = &self.means.settings;
        let (worker, lease_ms) = (self.name.clone(), settings.lease_ms());
        let until = Instant::now() + settings.lease();
        match write(&self.means.writes, Claim { kind, ids, limit, worker, lease_ms }).await {
            Ok(jobs) => Some(jobs.into_iter().map(|job| (job, until)).collect()),
            Err(error) => {
                tracing::warn!(error, kind = kind.name(), "the jobs cannot be looked at");
                None
            }
        }
    }

    /// Runs a job once, and has it written down how that went.
    async fn attempt(
        self: Arc<Self>,
        job: job::Model,
        until: Instant,
        place: OwnedSemaphorePermit,
        settled: mpsc::Sender<Settled>,
    ) {
        let (attempt, tries, start) = (Attempt::of(&job), tries(&job), Instant::now());
        let kind = Kind::named(&job.kind).map_or("unknown", Kind::name);
        let span = self.traces.root(|| described(&job, kind));
        let (shared, trace) = (self.clone(), span.trace().clone());
        let task = tokio::spawn(async move { shared.outcome(&job, &trace).await });
        self.held.add(attempt, until, task.abort_handle());
        let outcome = match task.await {
            Ok(outcome) => outcome,
            Err(error) => match self.held.ended(attempt) {
                Some(Ended::Cancelled) => Outcome::Cancelled,
                Some(Ended::Stopped) => Outcome::GivenBack,
                Some(Ended::Lost) => {
                    tracing::warn!(job = attempt.job, "a job is no longer this worker's");
                    counter!("shoal_jobs_total", "kind" => kind, "outcome" => "lost").increment(1);
                    span.trace().fail("lost");
                    return self.held.remove(attempt);
                }
                // The panic hook has logged it.
                None => {
                    let error = if error.is_panic() { "it panicked" } else { "it was ended" };
                    self.failed(attempt, tries, error.to_owned())
                }
            },
        };
        let name = match &outcome {
            Outcome::Done(_) => "done",
            Outcome::Failed { .. } | Outcome::Hopeless(_) => "failed",
            Outcome::Cancelled => "cancelled",
            Outcome::GivenBack => "given back",
        };
        counter!("shoal_jobs_total", "kind" => kind, "outcome" => name).increment(1);
        span.trace().note(|| vec![KeyValue::new("shoal.outcome", name)]);
        if name == "failed" {
            span.trace().fail(name);
        }
        // It is over, even if writing that down has to wait.
        drop(span);
        histogram!("shoal_job_seconds", "kind" => kind).record(start.elapsed());
        // Fails only when nobody is left to write it down.
        let _ = settled.send(Settled { attempt, outcome, place }).await;
    }

    async fn outcome(&self, job: &job::Model, trace: &Trace) -> Outcome {
        let (task, kind) = match (Task::of(job), Kind::named(&job.kind)) {
            (Ok(task), Some(kind)) => (task, kind),
            _ => return Outcome::Hopeless("it is of another version".to_owned()),
        };
        let (attempt, tries) = (Attempt::of(job), tries(job));
        let run = Run { means: &self.means, job, trace };
        match timeout(Settings::longest(kind), handler::perform(&run, &task)).await {
            Ok(Ok(report)) => Outcome::Done(report),
            Ok(Err(Failure::Again(error))) => self.failed(attempt, tries, error),
            Ok(Err(Failure::Hopeless(error))) => {
                tracing::warn!(job = job.id, error, "a job failed for good");
                Outcome::Hopeless(error)
            }
            Ok(Err(Failure::Cancelled)) => Outcome::Cancelled,
            Err(_) => self.failed(attempt, tries, "it took too long".to_owned()),
        }
    }

    fn failed(&self, attempt: Attempt, tries: i32, error: String) -> Outcome {
        tracing::warn!(job = attempt.job, attempt = attempt.number, error, "a job failed");
        Outcome::Failed { error, again_after_ms: self.means.settings.backoff(tries) }
    }

    /// Keeps what is run here from others, and lets go of it in time where that fails.
    async fn extend(self: Arc<Self>) {
        let lease = self.means.settings.lease();
        let part = lease / PARTS;
        loop {
            pause(part).await;
            let attempts = self.held.attempts();
            if attempts.is_empty() {
                continue;
            }
            let until = Instant::now() + lease;
            let extend = Extend { attempts: attempts.clone(), lease_ms: self.means.settings.lease_ms() };
            match timeout(part, write(&self.means.writes, extend)).await {
                Ok(Ok(told)) => self.held.told(&attempts, &told, until),
                Ok(Err(error)) => tracing::warn!(error, "leases of jobs cannot be extended"),
                Err(_) => tracing::warn!("leases of jobs are not extended in time"),
            }
            // The next time would come too late.
            self.held.let_go(Instant::now() + 2 * part);
        }
    }

    /// Takes jobs back from workers that were lost, and adds those whose time has come.
    async fn look_after(self: Arc<Self>, mut schedules: Schedules) {
        loop {
            match write(&self.means.writes, Rescue).await {
                Ok(rescued) => {
                    if rescued.jobs > 0 {
                        tracing::warn!(jobs = rescued.jobs, "jobs of workers that were lost are run again");
                    }
                    for (task, at) in schedules.due(rescued.now) {
                        if write(&self.means.writes, Fire { task: task.clone(), at }).await.is_ok() {
                            schedules.met(&task, at);
                        }
                    }
                }
                Err(error) => tracing::debug!(error, "jobs cannot be looked after"),
            }
            pause(self.means.settings.poll()).await;
        }
    }
}

/// Places that are free: one at least, and as many as are enough or come free in time. None where no more come.
async fn free_places(places: &Arc<Semaphore>, enough: usize) -> Option<Vec<OwnedSemaphorePermit>> {
    let mut free = vec![places.clone().acquire_owned().await.ok()?];
    let others = async {
        while free.len() < enough
            && let Ok(place) = places.clone().acquire_owned().await
        {
            free.push(place);
        }
    };
    let _ = timeout(GATHER, others).await;
    free.extend(std::iter::from_fn(|| places.clone().try_acquire_owned().ok()));
    Some(free)
}

/// What a trace tells of an attempt, by the conventions for messaging: the table is the queue, a kind a destination.
fn described(job: &job::Model, kind: &'static str) -> About {
    let attributes = vec![
        KeyValue::new("messaging.system", "shoal"),
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", kind),
        KeyValue::new("messaging.message.id", job.id.to_string()),
        KeyValue::new("shoal.attempt", i64::from(job.attempt)),
    ];
    About { name: format!("process {kind}").into(), kind: SpanKind::Consumer, attributes }
}
