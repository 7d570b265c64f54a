//! Works that must not be done twice: the answer is kept under a key that the client chose, in the same transaction.
//!
//! The row is claimed before the work begins. Whoever comes with the same key meanwhile waits for that transaction in the
//! unique index, and then finds either its answer or nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{Error, Refused, Transaction, Work};
use crate::data::scalar::Scalar;
use crate::data::sql::Sql;

/// A key under which a work is done once.
#[derive(Clone, Debug)]
pub struct Once {
    /// Whose key it is: two viewers may choose the same.
    pub viewer: String,
    pub key: String,
}

/// What a key was found to be.
enum Claim {
    /// New: it is this transaction's now.
    Ours,
    /// Used before: what was done then, and its answer.
    Done { fingerprint: String, answer: String },
}

impl Transaction {
    /// Runs a work, unless it was done before.
    pub(super) async fn do_once<W: Work>(
        &mut self,
        work: &W,
        once: Option<&Once>,
    ) -> Result<W::Output, Refused<W::Refusal>> {
        let Some(once) = once else { return work.run(self).await };
        let fingerprint = fingerprint(work)?;
        match self.claim(W::NAME, once, &fingerprint).await? {
            Claim::Ours => {
                let output = work.run(self).await?;
                let answer = serde_json::to_string(&output).map_err(unwritable)?;
                self.keep(W::NAME, once, answer).await?;
                Ok(output)
            }
            Claim::Done { fingerprint: of_then, answer } if of_then == fingerprint => {
                Ok(serde_json::from_str(&answer).map_err(unwritable)?)
            }
            Claim::Done { .. } => {
                let text = "this idempotency key was used with another input".to_owned();
                Err(Refused::Data(Error::Conflict(text)))
            }
        }
    }

    async fn claim(&mut self, work: &'static str, once: &Once, fingerprint: &str) -> Result<Claim, Error> {
        let mut sql = self.sql();
        sql.push("insert into idempotency_keys (viewer, mutation, key, fingerprint) values (");
        sql.bind(Scalar::Text(once.viewer.clone())).push(", ");
        sql.bind(Scalar::Text(work.to_owned())).push(", ");
        sql.bind(Scalar::Text(once.key.clone())).push(", ");
        sql.bind(Scalar::Text(fingerprint.to_owned()));
        sql.push(") on conflict do nothing returning 1 as claimed");
        if !self.query(sql).await?.is_empty() {
            return Ok(Claim::Ours);
        }
        let mut sql = self.sql();
        sql.push("select fingerprint, answer from idempotency_keys");
        write_key(&mut sql, work, once);
        match self.query(sql).await?.first() {
            Some(row) => {
                Ok(Claim::Done { fingerprint: row.try_get_by("fingerprint")?, answer: row.try_get_by("answer")? })
            }
            // Retention has just removed it: the next run will claim it.
            None => Err(Error::contention()),
        }
    }

    async fn keep(&mut self, work: &'static str, once: &Once, answer: String) -> Result<(), Error> {
        let mut sql = self.sql();
        sql.push("update idempotency_keys set answer = ").bind(Scalar::Text(answer));
        write_key(&mut sql, work, once);
        self.query(sql).await?;
        Ok(())
    }
}

impl Transaction {
    /// Forgets keys that were used before then, and tells how many.
    pub async fn forget_keys(&mut self, before: DateTime<Utc>, limit: usize) -> Result<usize, Error> {
        let mut sql = self.sql();
        sql.push("delete from idempotency_keys where (viewer, mutation, key) in (select viewer, mutation, key");
        sql.push(" from idempotency_keys where created_at < ").bind(before.into());
        sql.push(" order by created_at limit ").bind(Scalar::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
        sql.push(") returning 1 as forgotten");
        Ok(self.query(sql).await?.len())
    }
}

fn write_key(sql: &mut Sql, work: &'static str, once: &Once) {
    sql.push(" where viewer = ").bind(Scalar::Text(once.viewer.clone()));
    sql.push(" and mutation = ").bind(Scalar::Text(work.to_owned()));
    sql.push(" and key = ").bind(Scalar::Text(once.key.clone()));
}

/// Tells one work from another, without keeping what it says.
fn fingerprint<W: Work>(work: &W) -> Result<String, Error> {
    let text = serde_json::to_vec(work).map_err(unwritable)?;
    Ok(STANDARD_NO_PAD.encode(Sha256::digest(text)))
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::unwritable(&error)
}
