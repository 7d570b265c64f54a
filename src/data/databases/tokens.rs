//! Tokens, as this process gives and takes them.

use std::time::Duration;

use metrics::counter;
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};

use super::{Databases, Dialect, Error};
use crate::data::mutant::{self, Mutant};
use crate::data::position::{Keys, Position, Token, random};
use crate::data::scalar::Scalar;
use crate::data::secret::Secret;
use crate::data::sql::Sql;

/// What tokens are signed with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// Signs; the same for all instances. Without it a key is made once and kept in the database.
    pub key: Option<Secret>,
    /// Accepted too: the key of before, while instances change to another.
    pub previous_key: Option<Secret>,
}

/// What a client's tokens say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What it has seen or done here.
    pub position: Option<Position>,
    /// Whether it has brought one that says nothing here, and so needs another.
    pub is_void: bool,
}

/// How long a request waits to learn whether its token is of a universe that is new.
const FOREIGN_WAIT: Duration = Duration::from_millis(25);

impl Databases {
    /// Reads the tokens that a client brought. One that is malformed, forged or of another universe is ignored.
    ///
    /// A token that was signed here in another universe may be of one that this instance has not seen yet: another has
    /// noticed a failover before. So the primary is asked first, if it answers at once.
    pub async fn recognise(&self, texts: &[String]) -> Seen {
        let mut seen = Seen::default();
        if texts.is_empty() || mutant::is(Mutant::NoToken) {
            return seen;
        }
        let read = |text: &String| self.shared.keys.get().and_then(|keys| keys.read(text));
        let tokens: Vec<_> = texts.iter().map(read).collect();
        if tokens.iter().flatten().any(|token| Some(token.universe) != self.universe()) {
            let _ = tokio::time::timeout(FOREIGN_WAIT, self.shared.primary.asked_anew()).await;
        }
        for token in tokens {
            let outcome = match token {
                Some(Token { universe, position }) if Some(universe) == self.universe() => {
                    seen.position = seen.position.max(Some(position));
                    "honoured"
                }
                Some(_) => "of_another_universe",
                None => "not_ours",
            };
            counter!("shoal_tokens_total", "outcome" => outcome).increment(1);
            seen.is_void |= outcome != "honoured";
        }
        seen
    }

    /// A token for what a client has done, or for what is known of the primary; none before anything is.
    pub fn issue(&self, done: Option<Token>) -> Option<String> {
        let latest = || Some(Token { universe: self.universe()?, position: self.latest()? });
        Some(self.shared.keys.get()?.sign(done.or_else(latest)?))
    }

    /// Gets what tokens are signed with, from the settings or from the database.
    pub(super) async fn prepare_keys(&self, settings: &TokenSettings) -> Result<(), Error> {
        let bytes = |key: &Secret| key.expose().as_bytes().to_vec();
        let mut keys: Vec<_> = settings.key.iter().chain(&settings.previous_key).map(bytes).collect();
        if settings.key.is_none() {
            let kept = match self.shared.dialect {
                Dialect::Postgres => self.kept_keys().await?,
                // Positions are this process's own, and so are tokens.
                Dialect::Sqlite => vec![random::<32>().to_vec()],
            };
            keys.splice(0..0, kept);
        }
        // Once, at start.
        let _ = self.shared.keys.set(Keys::new(keys));
        Ok(())
    }

    /// The keys in the database, the latest first; made if there are none. Many may do this at once.
    async fn kept_keys(&self) -> Result<Vec<Vec<u8>>, Error> {
        let made = random::<32>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut sql = Sql::new(self.shared.dialect);
        sql.push("insert into signing_keys (secret) select ").bind(Scalar::Text(made));
        sql.push(" where not exists (select from signing_keys)");
        let lock = Statement::from_string(sea_orm::DbBackend::Postgres, "lock table signing_keys in exclusive mode");
        let read = "select secret from signing_keys order by id desc";
        let read = Statement::from_string(sea_orm::DbBackend::Postgres, read);
        let transaction = sea_orm::TransactionTrait::begin(&self.shared.writer).await?;
        transaction.execute_raw(lock).await?;
        transaction.execute_raw(sql.statement()).await?;
        let rows = transaction.query_all_raw(read).await?;
        transaction.commit().await?;
        rows.iter().map(|row| Ok(row.try_get_by::<String, _>("secret")?.into_bytes())).collect()
    }
}
