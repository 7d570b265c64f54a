//! What executes requests, joined in one way for all who execute some.

use std::sync::Arc;

use super::{Failure, prefix, work};
use crate::config::Config;
use crate::data::Databases;
use crate::data::cache::{Cache, Far, Invalidate, Refresh};
use crate::data::events::Events;
use crate::data::fetch::Sources;
use crate::data::hints::Hints;
use crate::data::quota::Quota;
use crate::data::texts::Texts;
use crate::data::write::{CountChanges, Writes};
use crate::graphql;
use crate::graphql::budget::Budgets;
use crate::graphql::execute::Means;
use crate::graphql::execute::admission::Admission;
use crate::graphql::persisted::{self, Manifest, Named, Trust};

/// Means of requests, and what else holds on to their parts.
pub(super) struct Joined {
    pub means: Means,
    pub cache: Cache,
    /// Who keeps what the log tells of rows.
    pub refresh: Arc<dyn Refresh>,
    pub hints: Hints,
}

/// Builds what requests are executed with. Within a Tokio runtime.
///
/// # Errors
/// For a setting that names what there is not.
pub(super) fn join(config: &Config, databases: &Databases, far: Option<Far>) -> Result<Joined, Failure> {
    let prefix = prefix(config);
    let named = named(config, far.clone(), &prefix)?;
    let (sources, refresh) =
        Sources::open(databases.clone(), graphql::declarations(), config.cache.clone(), far.clone())?;
    let cache = sources.cache.clone();
    let events = Events::default();
    // An embedded database has no log: who writes tells.
    let alone = config.database.url.is_none().then(|| {
        events.tell(cache.declared().tables().collect());
        events.clone()
    });
    let invalidate = Invalidate { cache: cache.clone(), alone };
    let hints = work::hints(far.clone(), &prefix);
    let writes = Writes::new(databases.clone(), Arc::new((invalidate, (hints.clone(), CountChanges))));
    let means = Means {
        sources,
        writes,
        events,
        named,
        quota: Quota::new(config.rate.clone(), far, &format!("{prefix}:rate")),
        admission: Admission::new(config.admission.clone()),
        budgets: config.graphql.budgets.as_deref().map(Budgets::read).transpose()?.unwrap_or_default(),
    };
    Ok(Joined { means, cache, refresh, hints })
}

/// The documents that are known by name.
fn named(config: &Config, far: Option<Far>, prefix: &str) -> Result<Named, Failure> {
    let manifest = match &config.documents.manifests {
        Some(directory) => Manifest::read(directory)?,
        None => Manifest::default(),
    };
    if config.documents.trusted != Trust::Off && manifest.is_empty() {
        return Err(persisted::Failure::Nothing.into());
    }
    if !manifest.is_empty() {
        tracing::info!(documents = manifest.len(), "documents are known by name");
    }
    let texts = Texts::new(far, &format!("{prefix}:document"), config.graphql.document_cache_bytes);
    Ok(Named::new(&config.documents, manifest, texts))
}
