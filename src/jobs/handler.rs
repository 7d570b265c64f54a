//! What becomes of each task.

use entity::job::{self, State};
use entity::user;

use super::{By, Settings, exhaust, import, purge, write};
use crate::data::trace::Trace;
use crate::data::write::Writes;
use crate::domain::import::upload::PurgeUploads;
use crate::domain::job::operate::ForgetKeys;
use crate::domain::job::recall::{RecallOrder, RecallUser, Recalled};
use crate::domain::job::{OrderEvent, Task};
use crate::mail::{self, Letter, Line, Mail, Mailer, Recipient};

/// What tasks are done with.
pub(super) struct Means {
    pub writes: Writes,
    pub mailer: Mailer,
    pub settings: Settings,
}

/// A job that is run.
pub(super) struct Run<'a> {
    pub means: &'a Means,
    pub job: &'a job::Model,
    /// What it is seen in.
    pub trace: &'a Trace,
}

impl<'a> Run<'a> {
    pub fn by(&self) -> By<'a> {
        By(&self.means.writes, Some(self.trace))
    }
}

/// Why a task was not done.
pub(super) enum Failure {
    /// Another attempt may do better.
    Again(String),
    Hopeless(String),
    /// Somebody wants it to end.
    Cancelled,
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Self::Again(error)
    }
}

/// Does what the task of a job says; a report of it, as JSON.
///
/// # Errors
/// With why that failed.
pub(super) async fn perform(run: &Run<'_>, task: &Task) -> Result<Option<String>, Failure> {
    match *task {
        Task::Welcome { user } => {
            let user = write(run.by(), RecallUser { user }).await?;
            let letter = |user: user::Model| (Letter::Welcome { name: user.name.clone() }, user);
            send(run, user.map(letter)).await
        }
        Task::TellOfOrder { order, event } => {
            let recalled = write(run.by(), RecallOrder { order }).await?;
            send(run, recalled.map(|recalled| (of_order(event, &recalled), recalled.user))).await
        }
        Task::ImportProducts { upload } => import::products(run, upload).await,
        Task::Retention => Ok(Some(retain(run).await?)),
    }
}

/// Sends a letter. What it was about may be gone: then there is nobody to write to.
async fn send(run: &Run<'_>, letter: Option<(Letter, user::Model)>) -> Result<Option<String>, Failure> {
    let Some((letter, user)) = letter else { return Ok(None) };
    let to = Recipient { address: user.email, name: user.name };
    let mail = Mail { to, message_id: format!("job-{}", run.job.id), date: run.job.created_at, letter };
    match run.means.mailer.send(&mail).await {
        Ok(()) => Ok(None),
        Err(error) if error.is_worth_another_attempt() => Err(Failure::Again(error.to_string())),
        Err(error) => Err(Failure::Hopeless(error.to_string())),
    }
}

fn of_order(event: OrderEvent, recalled: &Recalled) -> Letter {
    let Recalled { order, user, items } = recalled;
    Letter::Order {
        event: match event {
            OrderEvent::Placed => mail::OrderEvent::Placed,
            OrderEvent::Paid => mail::OrderEvent::Paid,
            OrderEvent::Shipped => mail::OrderEvent::Shipped,
            OrderEvent::Cancelled => mail::OrderEvent::Cancelled,
        },
        name: user.name.clone(),
        order_id: order.id.to_string(),
        lines: items
            .iter()
            .map(|(item, name)| Line {
                name: name.clone(),
                quantity: item.quantity,
                unit_price_cents: item.unit_price_cents,
            })
            .collect(),
        total_cents: order.total_cents,
        currency: order.currency.clone(),
    }
}

/// Removes what was kept for long enough.
async fn retain(run: &Run<'_>) -> Result<String, String> {
    let older_than_ms = run.means.settings.keep_ms();
    // What is dead waits for somebody to look at it.
    let jobs = purge(run.by(), &[State::Done, State::Cancelled], older_than_ms).await?;
    let uploads = exhaust(run.by(), |limit| PurgeUploads { older_than_ms, limit }).await?;
    let keys = exhaust(run.by(), |limit| ForgetKeys { older_than_ms, limit }).await?;
    Ok(serde_json::json!({ "jobs": jobs, "idempotencyKeys": keys, "uploads": uploads }).to_string())
}
