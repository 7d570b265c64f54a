//! Imports the products of a file that was sent, batch by batch.
//!
//! A batch and how far the import has come with it are one transaction, at whose end the attempt still holds the job: whoever
//! takes it over goes on behind the last batch, and a worker that lost it writes nothing more. While a batch waits for
//! products that others change, the job can be kept, and called off.

use bytes::Bytes;

use super::handler::{Failure, Run};
use super::write;
use crate::data::bulk;
use crate::domain::import::products::{Batches, sheet};
use crate::domain::import::upload::RecallUpload;
use crate::domain::import::upsert::{WriteProducts, Written};
use crate::domain::job::works::Attempt;

/// Imports what is left of a file; the report of all of it.
///
/// # Errors
/// With why that failed: what was written until then stays.
pub(super) async fn products(run: &Run<'_>, upload: i64) -> Result<Option<String>, Failure> {
    let Some((total, content)) = write(run.by(), RecallUpload { upload }).await? else {
        return Err(Failure::Hopeless("the file was removed".to_owned()));
    };
    let sheet = sheet(Bytes::from(content));
    let mut batches = Batches::of(&sheet).await.map_err(unreadable)?;
    batches.skip(run.job.progress).await.map_err(unreadable)?;
    let mut report = run.job.report.clone();
    while let Some(batch) = batches.next().await.map_err(unreadable)? {
        match write(run.by(), WriteProducts { attempt: Attempt::of(run.job), batch, total }).await? {
            Written::Done(so_far) => report = Some(so_far),
            Written::Cancelled => return Err(Failure::Cancelled),
            Written::Lost => return Err(Failure::Again("somebody else runs it".to_owned())),
        }
    }
    Ok(report)
}

/// It was looked through when it came: only another version could think otherwise.
fn unreadable(error: bulk::Error) -> Failure {
    Failure::Hopeless(error.to_string())
}
