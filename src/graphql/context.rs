//! What lives as long as one request: its loads, what they need, what they cost, who asks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::databases::{Databases, Needs};
use crate::data::fetch::Fetcher;
use crate::data::ledger::Ledger;
use crate::data::loader::Loaders;
use crate::data::page::PageLimits;

/// How much a request may ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Rows of a page without `first` and `last`.
    pub page_size: u32,
    /// Most rows of a page.
    pub max_page_size: u32,
    /// Where `totalCount` stops counting.
    pub count_cap: u32,
    /// Most ids that `nodes` takes.
    pub max_nodes: usize,
    /// Memory for parsed documents, in bytes of their text.
    pub document_cache_bytes: u64,
}

impl Settings {
    pub fn page_limits(&self) -> PageLimits {
        PageLimits { default: self.page_size, max: self.max_page_size }
    }
}

/// The context of one request.
pub struct RequestContext {
    pub loaders: Loaders,
    pub fetcher: Fetcher,
    pub settings: Arc<Settings>,
}

impl RequestContext {
    pub fn new(databases: &Databases, needs: Needs, ledger: Arc<Ledger>, settings: Arc<Settings>) -> Self {
        let fetcher = Fetcher::new(databases.clone(), needs, ledger);
        Self { loaders: Loaders::default(), fetcher, settings }
    }
}
