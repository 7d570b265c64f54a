//! What is noted of an answer for whoever sends it, and sends it again when it was kept.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::policy::Policy;

/// How much of a hash tells two states of an answer apart, in bytes.
const FINGERPRINT: usize = 16;

/// What caches outside of this process may do with an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// Nothing: it was to change something, or something went wrong.
    #[default]
    Never,
    /// Keep it within this policy, to be found by these tags.
    Within { policy: Policy, tags: Bytes },
}

/// A note of an answer.
#[derive(Debug, Default)]
pub struct Note {
    pub keeping: Keeping,
    fingerprint: OnceLock<String>,
}

impl Keeping {
    /// The same for nobody but who asked.
    pub fn private(self) -> Self {
        match self {
            Self::Never => Self::Never,
            Self::Within { .. } => Self::Within { policy: Policy::NONE, tags: Bytes::new() },
        }
    }
}

impl Note {
    pub fn new(keeping: Keeping) -> Self {
        Self { keeping, fingerprint: OnceLock::new() }
    }

    /// What tells the bytes of this answer from all others. Computed once, if anybody asks.
    pub fn fingerprint(&self, bytes: &[u8]) -> &str {
        self.fingerprint.get_or_init(|| URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..FINGERPRINT]))
    }

    /// How many bytes it takes, about.
    pub fn size(&self) -> usize {
        match &self.keeping {
            Keeping::Never => size_of::<Self>(),
            Keeping::Within { tags, .. } => size_of::<Self>() + tags.len(),
        }
    }
}
