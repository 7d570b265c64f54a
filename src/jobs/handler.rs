//! What becomes of each task.

use super::{Settings, write};
use crate::data::write::Writes;
use crate::domain::job::Task;
use crate::domain::job::operate::{ForgetKeys, PurgeJobs};

/// Most rows that are removed in one transaction.
const AT_ONCE: usize = 1_000;

/// What tasks are done with.
pub(super) struct Means {
    pub writes: Writes,
    pub settings: Settings,
}

/// Does what a task says; a report of it, as JSON.
///
/// # Errors
/// With why that failed: worth another attempt.
pub(super) async fn perform(means: &Means, task: &Task) -> Result<Option<String>, String> {
    match task {
        Task::Retention => retain(means).await.map(Some),
    }
}

/// Removes what was kept for long enough.
async fn retain(means: &Means) -> Result<String, String> {
    let (older_than_ms, limit) = (means.settings.keep_ms(), AT_ONCE);
    let (mut jobs, mut keys) = (0, 0);
    loop {
        let purged = write(&means.writes, PurgeJobs { older_than_ms, limit }).await?;
        let forgotten = write(&means.writes, ForgetKeys { older_than_ms, limit }).await?;
        (jobs, keys) = (jobs + purged, keys + forgotten);
        if purged < limit && forgotten < limit {
            return Ok(serde_json::json!({ "jobs": jobs, "idempotencyKeys": keys }).to_string());
        }
    }
}
