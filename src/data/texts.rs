//! Texts that are asked for by what they hash to: kept near in memory, and far for all instances.
//!
//! Promises that what is found under a hash has that hash, whoever wrote it into the far tier. Promises nobody that a text
//! is still there: whoever needs it may have to bring it again.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::cache::{Far, Fill};

/// How long the far tier keeps what nobody brings again.
const TTL: Duration = Duration::from_hours(30 * 24);

/// SHA-256.
pub type Hash = [u8; 32];

/// Texts by their hash. Cheap to clone.
#[derive(Clone)]
pub struct Texts {
    near: Cache<Hash, Arc<str>>,
    far: Option<Far>,
    prefix: Arc<str>,
}

/// The hash of a text.
pub fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

impl Texts {
    /// Keeps about so many bytes of text near, and all in the far tier, under keys that begin with `prefix`.
    pub fn new(far: Option<Far>, prefix: &str, near_bytes: u64) -> Self {
        let weigh = |_: &Hash, text: &Arc<str>| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let near = Cache::builder().weigher(weigh).max_capacity(near_bytes).build();
        Self { near, far, prefix: prefix.into() }
    }

    /// The text of a hash, if it is known.
    pub async fn get(&self, wanted: &Hash) -> Option<Arc<str>> {
        if let Some(text) = self.near.get(wanted) {
            return Some(text);
        }
        let found = self.far.as_ref()?.get(&[self.key(wanted)]).await.ok()?.pop()??;
        let text: Arc<str> = String::from_utf8(found).ok()?.into();
        // Others write there, too.
        if hash(&text) != *wanted {
            return None;
        }
        self.near.insert(*wanted, text.clone());
        Some(text)
    }

    /// Keeps a text. The far tier gets it each time: it may have lost it.
    pub fn keep(&self, text: &str) {
        let hash = hash(text);
        self.near.insert(hash, text.into());
        let entry = Fill { key: self.key(&hash), value: text.as_bytes().to_vec(), ttl: TTL };
        self.far.iter().for_each(|far| far.fill([entry.clone()]));
    }

    fn key(&self, hash: &Hash) -> String {
        hash.iter().fold(format!("{}:", self.prefix), |key, byte| format!("{key}{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_brought_is_found_until_there_is_no_room() {
        let texts = Texts::new(None, "test", 1000);
        let wanted = hash("{ a }");
        assert_eq!(texts.get(&wanted).await, None);
        texts.keep("{ a }");
        assert_eq!(texts.get(&wanted).await.as_deref(), Some("{ a }"));
        assert_eq!(texts.get(&hash("{ b }")).await, None);
        texts.keep(&"x".repeat(2000));
        texts.near.run_pending_tasks();
        assert_eq!(texts.get(&hash(&"x".repeat(2000))).await, None);
    }
}
