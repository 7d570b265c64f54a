//! Documents that a request only names.
//!
//! By their hash: any document that was sent once with it, as Apollo's automatic persisted queries are. By an id, or their
//! hash, of a manifest: those that whoever runs the server trusts, and if so decided no others.
//! <https://github.com/graphql/graphql-over-http/blob/main/spec/Appendix%20A%20--%20Persisted%20Documents.md>

mod manifest;

use std::path::PathBuf;
use std::sync::Arc;

use async_graphql::{Request, ServerError, Value};
use futures_util::FutureExt;
use metrics::counter;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use super::error::{Code, request_error};
use crate::data::texts::{Hash, Texts, hash};
pub use manifest::{Failure, Manifest};

/// The extension of a request that names a document by its id.
pub const DOCUMENT_ID: &str = "documentId";
/// And the one that names it by its hash.
pub const PERSISTED_QUERY: &str = "persistedQuery";

/// Most documents that the log names as not trusted.
const NAMED: u64 = 1000;

/// How documents are named, `[documents]` in the settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether a document that was sent once with its hash may be asked for by it.
    pub persisted: bool,
    /// What becomes of documents that no manifest has.
    pub trusted: Trust,
    /// The directory of the manifests.
    pub manifests: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// They are answered.
    Off,
    /// They are answered, and named in the log.
    Audit,
    /// They are refused.
    Enforce,
}

impl Default for Settings {
    fn default() -> Self {
        Self { persisted: true, trusted: Trust::Off, manifests: None }
    }
}

/// The documents that are known by name.
pub struct Named {
    texts: Option<Texts>,
    trust: Trust,
    manifest: Manifest,
    /// Which of those that are not trusted the log has named.
    told: Cache<Hash, ()>,
}

/// What a request names.
enum Name<'a> {
    Hash(Hash),
    Id(&'a str),
}

impl Named {
    pub fn new(settings: &Settings, manifest: Manifest, texts: Texts) -> Self {
        let texts = settings.persisted.then_some(texts);
        Self { texts, trust: settings.trusted, manifest, told: Cache::new(NAMED) }
    }

    /// Gives a request the document that it names; whether that is to be kept once it has proved to be one.
    ///
    /// # Errors
    /// For a document that is not known, not what its hash says, or not trusted.
    pub async fn resolve(&self, request: &mut Request) -> Result<bool, ServerError> {
        let mut is_new = false;
        if let Some(name) = name(request)? {
            let known = self.find(&name).await;
            match (known, name) {
                (Some(known), _) if request.query.is_empty() => request.query = known.as_ref().to_owned(),
                (Some(known), Name::Id(_)) if *known != request.query => return Err(mismatch()),
                (_, Name::Hash(named)) if !request.query.is_empty() => {
                    if hash(&request.query) != named {
                        return Err(mismatch());
                    }
                    is_new = true;
                }
                (Some(_), _) => {}
                (None, _) => return Err(self.unknown(request)),
            }
        }
        self.judge(request)?;
        Ok(is_new)
    }

    /// Keeps a document for those who will name it by its hash.
    pub fn keep(&self, document: &str) {
        self.texts.iter().for_each(|texts| texts.keep(document));
    }

    async fn find(&self, name: &Name<'_>) -> Option<Arc<str>> {
        match name {
            Name::Id(id) => self.manifest.by_id(id),
            Name::Hash(hash) => match (self.manifest.by_hash(hash), &self.texts) {
                (None, Some(texts)) => texts.get(hash).boxed().await,
                (found, _) => found,
            },
        }
    }

    fn unknown(&self, request: &Request) -> ServerError {
        let by_hash = request.extensions.contains_key(PERSISTED_QUERY);
        // The words that Apollo's clients know.
        match (&self.texts, by_hash) {
            (None, true) if self.manifest.is_empty() => {
                request_error(Code::PersistedQueryNotSupported, "PersistedQueryNotSupported")
            }
            (_, true) => request_error(Code::PersistedQueryNotFound, "PersistedQueryNotFound"),
            (_, false) => request_error(Code::PersistedQueryNotFound, "there is no document of this id"),
        }
    }

    /// Whether a document may be executed, as far as that depends on who wrote it.
    fn judge(&self, request: &Request) -> Result<(), ServerError> {
        if self.trust == Trust::Off {
            return Ok(());
        }
        let hash = hash(&request.query);
        if self.manifest.by_hash(&hash).is_some() {
            return Ok(());
        }
        counter!("shoal_documents_not_trusted_total").increment(1);
        if self.trust == Trust::Enforce {
            return Err(request_error(Code::QueryNotInSafelist, "the document is none of those that are trusted here"));
        }
        if !self.told.contains_key(&hash) {
            self.told.insert(hash, ());
            let operation = request.operation_name.as_deref().unwrap_or_default();
            let operation = &operation[..operation.floor_char_boundary(100)];
            tracing::warn!(hash = hex(&hash), operation, "a document is not trusted, and would be refused");
        }
        Ok(())
    }
}

/// What a request names its document by.
fn name(request: &Request) -> Result<Option<Name<'_>>, ServerError> {
    if let Some(named) = request.extensions.get(PERSISTED_QUERY) {
        let Value::Object(named) = named else { return Err(malformed()) };
        let is_known = named.get("version").is_some_and(|version| *version == Value::from(1));
        let (true, Some(Value::String(hash))) = (is_known, named.get("sha256Hash")) else { return Err(malformed()) };
        return unhex(hash).map(|hash| Some(Name::Hash(hash))).ok_or_else(malformed);
    }
    match request.extensions.get(DOCUMENT_ID) {
        None => Ok(None),
        Some(Value::String(id)) => Ok(Some(match id.strip_prefix("sha256:").and_then(unhex) {
            Some(hash) => Name::Hash(hash),
            None => Name::Id(id),
        })),
        Some(_) => Err(request_error(Code::BadRequest, "documentId must be a string")),
    }
}

fn malformed() -> ServerError {
    request_error(
        Code::BadRequest,
        "the extension persistedQuery must have version 1 and a sha256Hash in hexadecimal digits",
    )
}

fn mismatch() -> ServerError {
    request_error(Code::PersistedQueryMismatch, "the document is not the one that is named")
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Hash> {
    let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let bytes = digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok());
    let bytes: Vec<_> = bytes.collect::<Option<_>>()?;
    if digits.len() % 2 == 0 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests;
