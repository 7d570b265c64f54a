//! The far tier: one Redis for all instances.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use crate::data::secret::SecretUrl;

/// Longest wait for an answer: a tier that is slower than a database is of no use.
const PATIENCE: Duration = Duration::from_millis(500);

pub struct Fill {
    pub key: String,
    pub value: Vec<u8>,
    pub ttl: Duration,
}

#[derive(Clone, Copy, Debug)]
pub enum Missed {
    Breaker,
    Failed,
}

/// A connection to Redis that reconnects by itself. Cheap to clone.
#[derive(Clone)]
pub struct Far {
    connection: ConnectionManager,
}

impl Far {
    /// Prepares a connection; it is made when first used.
    pub fn open(url: &SecretUrl) -> redis::RedisResult<Self> {
        let client = redis::Client::open(url.expose().clone())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        Ok(Self { connection: ConnectionManager::new_lazy_with_config(client, config)? })
    }

    pub async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Missed> {
        let mut connection = self.connection.clone();
        redis::cmd("MGET").arg(keys).query_async(&mut connection).await.map_err(|_| Missed::Failed)
    }

    pub fn fill(&self, entries: impl IntoIterator<Item = Fill>) {
        let mut pipeline = redis::pipe();
        for Fill { key, value, ttl } in entries {
            pipeline.cmd("SET").arg(key).arg(value).arg("PX").arg(ttl.as_millis() as u64).ignore();
        }
        let mut connection = self.connection.clone();
        tokio::spawn(async move { pipeline.query_async::<()>(&mut connection).await });
    }

    /// Whether Redis answers.
    pub async fn answers(&self) -> bool {
        let mut connection = self.connection.clone();
        let ping = redis::cmd("PING");
        let asked = ping.query_async::<String>(&mut connection);
        matches!(tokio::time::timeout(PATIENCE * 2, asked).await, Ok(Ok(_)))
    }
}
