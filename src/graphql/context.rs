//! What lives as long as one request: its loads, what they need, what they cost, who asks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::time::Duration;

use entity::user;
use serde::{Deserialize, Serialize};

use super::guard::Limits;
use super::policy::Policy;
use super::rows::Blanks;
use super::shown::Shown;
use crate::data::databases::Needs;
use crate::data::fetch::{Fetcher, Sources};
use crate::data::ledger::Ledger;
use crate::data::loader::Loaders;
use crate::data::page::PageLimits;
use crate::data::position::Token;
use crate::data::write::Writes;

/// How much a request may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How long a request may be executed, in milliseconds.
    pub timeout_ms: u64,
    /// Memory for parsed documents, in bytes of their text.
    pub document_cache_bytes: u64,
    /// Whether clients may ask for the schema.
    pub introspection: bool,
    /// Whether errors name what a misspelt name may have meant.
    pub suggestions: bool,
    /// Highest price of a request.
    pub max_price: u64,
    /// A file that says how many statements operations may cost.
    pub budgets: Option<PathBuf>,
    /// How large documents and variables may be.
    pub limits: Limits,
}

impl Settings {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub fn page_limits(&self) -> PageLimits {
        PageLimits { default: self.page_size, max: self.max_page_size }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// What they may do.
    pub role: user::Role,
    /// The account they signed in with, `users.id`.
    pub user: Option<i64>,
}

impl Viewer {
    /// Identity is not configured: the server listens on loopback only, and all who reach it may do everything.
    pub const ANYBODY: Self = Self { role: user::Role::Admin, user: None };

    /// Whether what belongs to others is theirs, too.
    pub fn is_admin(&self) -> bool {
        self.role == user::Role::Admin
    }

    /// Whose idempotency keys, and files, theirs are.
    pub fn scope(&self) -> String {
        self.user.map_or_else(|| "anybody".to_owned(), |user| format!("user:{user}"))
    }
}

/// The context of one request.
pub struct RequestContext {
    pub viewer: Viewer,
    pub loaders: Loaders,
    pub fetcher: Arc<Fetcher>,
    pub writes: Writes,
    pub ledger: Arc<Ledger>,
    pub settings: Arc<Settings>,
    pub blanks: Blanks,
    pub shown: Arc<Shown>,
    /// What shows what the request has done.
    pub done: Arc<LastToken>,
}

/// The token of the last of several writes, which shows them all.
#[derive(Debug, Default)]
pub struct LastToken(Mutex<Option<Token>>);

impl LastToken {
    pub fn set(&self, token: Token) {
        *self.lock() = Some(token);
    }

    pub fn get(&self) -> Option<Token> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestContext {
    /// Of a request whose document has this policy.
    pub fn new(sources: &Sources, needs: Needs, writes: Writes, settings: Arc<Settings>, policy: Policy) -> Self {
        let ledger = Arc::new(Ledger::of(needs.origin().clone(), needs.trace().clone()));
        let fetcher = Arc::new(Fetcher::new(sources.clone(), needs, ledger.clone()));
        let (viewer, loaders, blanks) = (Viewer::ANYBODY, Loaders::default(), Blanks::default());
        let (shown, done) = (Arc::new(Shown::of(policy)), Arc::default());
        Self { viewer, loaders, fetcher, writes, ledger, settings, blanks, shown, done }
    }
}
