//! *fetch* gets values for keys from wherever they may come: the one layer between the loaders of a request and the
//! databases. Caches go here, and nothing above notices.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use async_graphql::dataloader::Loader;
use metrics::histogram;

use super::databases::{Databases, Needs};
use super::error::Error;
use super::find::Source;
use super::ledger::{Batch, Ledger};

/// The data layer as one request sees it.
#[derive(Clone)]
pub struct Fetcher {
    databases: Databases,
    needs: Needs,
    ledger: Arc<Ledger>,
}

impl Fetcher {
    pub fn new(databases: Databases, needs: Needs, ledger: Arc<Ledger>) -> Self {
        Self { databases, needs, ledger }
    }

    /// Values of a source for keys, by key; a key without a value was not found.
    pub async fn fetch<S: Source>(&self, source: &S, keys: &[S::Key]) -> Result<HashMap<S::Key, S::Value>, Error> {
        let start = Instant::now();
        let (read, found) = self.databases.read(&self.needs, source.statement(self.databases.dialect(), keys)).await;
        histogram!("shoal_batch_keys", "source" => source.name(), "kind" => source.kind()).record(keys.len() as f64);
        self.ledger.record(Batch {
            source: source.name(),
            kind: source.kind(),
            keys: keys.len(),
            rows: found.as_ref().map_or(0, Vec::len),
            node: read.node,
            position: read.stamp,
            statements: read.statements,
            duration: start.elapsed(),
        });
        Ok(source.values(keys, found?)?)
    }
}

/// A source as a loader of the ecosystem's contract, so that the dispatcher knows only one kind.
pub struct Fetch<S> {
    pub source: S,
    pub fetcher: Fetcher,
}

impl<S: Source> Loader<S::Key> for Fetch<S> {
    type Value = S::Value;
    type Error = Error;

    async fn load(&self, keys: &[S::Key]) -> Result<HashMap<S::Key, S::Value>, Error> {
        self.fetcher.fetch(&self.source, keys).await
    }
}
