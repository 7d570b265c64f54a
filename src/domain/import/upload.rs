//! Files that are sent to be imported: kept until they are old and no job needs them.

use std::convert::Infallible;
use std::fmt::Write;

use bytes::Bytes;
use entity::job::{self, State};
use entity::upload::{self, Column};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::products;
use crate::data::condition::Condition;
use crate::data::write::{Refused, Set, Transaction, Work};
use crate::data::{Error, Record};
use crate::domain::job::works::span;
use crate::domain::job::{Kind, Task, enqueue};
use crate::domain::refusal::{Code, Refusal, wrong};

/// What a file of products is sent as.
pub const CONTENT_TYPE: &str = "text/csv";
/// So many bytes are hashed before others may go on.
const CHUNK: usize = 1 << 20;

impl Record for upload::Row {
    type Entity = upload::Entity;
    type Key = i64;

    fn bulky() -> &'static [Column] {
        &[Column::Content]
    }

    fn key(&self) -> i64 {
        self.id
    }
}

/// Keeps a file.
#[derive(Debug, Serialize)]
pub struct StoreUpload {
    pub owner: String,
    sha256: String,
    rows: i64,
    #[serde(skip)]
    content: Bytes,
}

impl StoreUpload {
    /// A file of products that can be imported, though some of its lines may be bad.
    ///
    /// # Errors
    /// With what is wrong with the file as a whole.
    pub async fn of_products(owner: String, content: Bytes) -> Result<Self, String> {
        let rows = products::sheet(content.clone()).rows().await.map_err(|error| error.to_string())?;
        if rows == 0 {
            return Err("the file has no rows".to_owned());
        }
        let mut hash = Sha256::new();
        for chunk in content.chunks(CHUNK) {
            hash.update(chunk);
            tokio::task::yield_now().await;
        }
        let sha256 = hash.finalize().iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(Self { owner, sha256, rows: i64::try_from(rows).unwrap_or(i64::MAX), content })
    }
}

impl Work for StoreUpload {
    type Output = upload::Row;
    type Refusal = Infallible;
    const NAME: &'static str = "storeUpload";

    async fn run(&self, transaction: &mut Transaction) -> Result<upload::Row, Refused<Infallible>> {
        let row = upload::ActiveModel {
            owner: Set(self.owner.clone()),
            content_type: Set(CONTENT_TYPE.to_owned()),
            size: Set(i64::try_from(self.content.len()).unwrap_or(i64::MAX)),
            sha256: Set(self.sha256.clone()),
            rows: Set(self.rows),
            content: Set(self.content.to_vec()),
            ..Default::default()
        };
        Ok(transaction.insert::<upload::Row>(row).await?)
    }
}

/// Lets the products of a file be imported.
#[derive(Debug, Serialize)]
pub struct ImportProducts {
    pub upload: i64,
    /// Whose it has to be; anybody's, if none.
    pub owner: Option<String>,
}

impl Work for ImportProducts {
    /// The job that does it.
    type Output = job::Model;
    type Refusal = Refusal<job::Model>;
    const NAME: &'static str = "importProducts";

    async fn run(&self, transaction: &mut Transaction) -> Result<job::Model, Refused<Self::Refusal>> {
        // Locked, so that it is not removed before there is a job that needs it.
        let upload = transaction.lock::<upload::Row>(self.upload).await?;
        let is_theirs = |upload: &upload::Row| self.owner.as_ref().is_none_or(|owner| *owner == upload.owner);
        // That there is somebody else's is nobody's business.
        upload.filter(|upload| is_theirs(upload)).ok_or_else(|| Refusal::missing("Upload"))?;
        let job = enqueue(transaction, &Task::ImportProducts { upload: self.upload }).await?;
        job.ok_or_else(|| wrong(&["uploadId"], Code::InvalidState, "it is being imported already"))
    }
}

/// What a file says.
#[derive(Debug, Serialize)]
pub struct RecallUpload {
    pub upload: i64,
}

impl Work for RecallUpload {
    /// With the number of its rows; none if it was removed.
    type Output = Option<(i64, Vec<u8>)>;
    type Refusal = Infallible;
    const NAME: &'static str = "recallUpload";

    async fn run(&self, transaction: &mut Transaction) -> Result<Self::Output, Refused<Infallible>> {
        let Some(upload) = transaction.find::<upload::Row>(vec![self.upload]).await?.remove(&self.upload) else {
            return Ok(None);
        };
        let mut contents = transaction.column::<upload::Row, _>(Column::Content, vec![self.upload]).await?;
        Ok(contents.remove(&self.upload).map(|content| (upload.rows, content)))
    }
}

/// Removes files that were sent long ago, and that no job needs that waits or runs.
#[derive(Debug, Serialize)]
pub struct PurgeUploads {
    pub older_than_ms: u64,
    pub limit: usize,
}

impl Work for PurgeUploads {
    /// How many there were.
    type Output = usize;
    type Refusal = Infallible;
    const NAME: &'static str = "purgeUploads";

    async fn run(&self, transaction: &mut Transaction) -> Result<usize, Refused<Infallible>> {
        let before = transaction.now().await? - span(self.older_than_ms);
        let conditions = [Condition::below(Column::CreatedAt, before)];
        // Those that stay may be the oldest, and must not keep others.
        let limit = self.limit.saturating_add(imports(transaction).await?.len());
        let mut old = transaction.take::<upload::Row>(&conditions, &[Column::CreatedAt], limit).await?;
        if old.is_empty() {
            return Ok(0);
        }
        // Once more: now that they are locked, nobody can ask for one.
        let needed = imports(transaction).await?;
        old.retain(|upload| !needed.contains(&Task::ImportProducts { upload: upload.id }));
        old.truncate(self.limit);
        let count = old.len();
        transaction.delete_all(old).await?;
        Ok(count)
    }
}

/// What the imports that wait or run are to do.
async fn imports(transaction: &mut Transaction) -> Result<Vec<Task>, Error> {
    let mut jobs = Vec::new();
    for state in [State::Queued, State::Running] {
        let conditions = [
            Condition::is(job::Column::State, state),
            Condition::equals(job::Column::Kind, Kind::Import.name().to_owned()),
        ];
        jobs.extend(transaction.latest::<job::Model>(&conditions, usize::MAX).await?);
    }
    Ok(jobs.iter().filter_map(|job| Task::of(job).ok()).collect())
}
