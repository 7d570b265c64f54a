//! Manifests: files that say which documents are trusted.
//!
//! A directory has any number of them: `.graphql` and `.gql`, a document each, known by its hash; `.json`, as Relay's
//! compiler writes it (an object of documents by their ids), or Apollo's tools do (`apollo-persisted-query-manifest`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::data::texts::{Hash, hash};

/// The documents of all manifests.
#[derive(Default)]
pub struct Manifest {
    by_id: HashMap<String, Arc<str>>,
    by_hash: HashMap<Hash, Arc<str>>,
}

/// Why manifests cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("{0}: neither an object of documents by their ids nor a manifest of Apollo's: {1}")]
    Malformed(PathBuf, serde_json::Error),
    #[error("{0}: the id \"{1}\" stands for another document elsewhere")]
    Ambiguous(PathBuf, String),
    #[error("documents.trusted needs documents.manifests, a directory with at least one document")]
    Nothing,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Apollo { operations: Vec<Operation> },
    Relay(HashMap<String, String>),
}

#[derive(Deserialize)]
struct Operation {
    id: String,
    body: String,
}

impl Manifest {
    /// Reads all manifests of a directory.
    ///
    /// # Errors
    /// For a file that cannot be read, and for an id that stands for two documents.
    pub fn read(directory: &Path) -> Result<Self, Failure> {
        let mut manifest = Self::default();
        let unreadable = |error| Failure::Unreadable(directory.to_owned(), error);
        let files = std::fs::read_dir(directory).map_err(unreadable)?;
        let mut paths: Vec<_> = files.map(|file| Ok(file?.path())).collect::<Result<_, _>>().map_err(unreadable)?;
        paths.sort();
        for path in paths {
            let is = |extensions: &[&str]| {
                path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
            };
            let read = || std::fs::read_to_string(&path).map_err(|error| Failure::Unreadable(path.clone(), error));
            if is(&["graphql", "gql"]) {
                manifest.trust(read()?.into());
            } else if is(&["json"]) {
                let file = serde_json::from_str(&read()?).map_err(|error| Failure::Malformed(path.clone(), error))?;
                let documents: Vec<_> = match file {
                    File::Apollo { operations } => operations.into_iter().map(|it| (it.id, it.body)).collect(),
                    File::Relay(documents) => documents.into_iter().collect(),
                };
                for (id, document) in documents {
                    let document = manifest.trust(document.into());
                    if manifest.by_id.insert(id.clone(), document.clone()).is_some_and(|other| other != document) {
                        return Err(Failure::Ambiguous(path, id));
                    }
                }
            }
        }
        Ok(manifest)
    }

    fn trust(&mut self, document: Arc<str>) -> Arc<str> {
        self.by_hash.entry(hash(&document)).or_insert(document).clone()
    }

    pub fn by_id(&self, id: &str) -> Option<Arc<str>> {
        self.by_id.get(id).cloned()
    }

    pub fn by_hash(&self, hash: &Hash) -> Option<Arc<str>> {
        self.by_hash.get(hash).cloned()
    }

    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }
}
