//! Rows that are often served are read again as soon as they have changed: one statement per table, for all that changed
//! meanwhile. What is read goes into the tiers like everything else, with the stamp of what it was read from.

use std::collections::{HashMap, HashSet};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::counter;
use tokio::sync::mpsc;

use super::load::{Asked, Keep, Load};
use super::{Cached, Sources};
use crate::data::cache::Dirty;
use crate::data::databases::Needs;
use crate::data::find::{MAX_BATCH, Rows};
use crate::data::record::Record;
use crate::data::scalar::{Key, Scalar};

/// Reads rows of one table again.
pub(super) type Reload = fn(Sources, Vec<Scalar>) -> BoxFuture<'static, ()>;

pub(super) fn reload<R: Record>(sources: Sources, keys: Vec<Scalar>) -> BoxFuture<'static, ()> {
    async move {
        let (needs, source) = (Needs::default(), Rows::<R>::new());
        let Some(view) = sources.view(&needs) else { return };
        let Some(asked) = Asked::of(&sources.cache, &source, view) else { return };
        let keys: Vec<_> = keys.iter().filter_map(R::Key::of).collect();
        let load = Load { sources: &sources, needs: &needs, source: &source, field: None };
        let loaded = load.run(&keys, Some(&asked), Keep::Everywhere).await;
        let outcome = if loaded.found.is_ok() { "done" } else { "failed" };
        counter!("shoal_cache_refreshed_total", "resource" => source.tables()[0], "outcome" => outcome)
            .increment(keys.len() as u64);
    }
    .boxed()
}

/// Reads again what is told to have changed, until nobody tells any more.
pub(super) async fn run(sources: Sources, reloads: HashMap<&'static str, Reload>, mut told: mpsc::Receiver<Dirty>) {
    while let Some(first) = told.recv().await {
        let mut dirty: HashMap<_, HashSet<Scalar>> = HashMap::new();
        let mut next = Some(first);
        while let Some(Dirty { table, keys }) = next {
            dirty.entry(table).or_default().extend(keys);
            next = told.try_recv().ok();
        }
        for (table, keys) in dirty {
            let Some(reload) = reloads.get(table) else { continue };
            let keys: Vec<_> = keys.into_iter().collect();
            for keys in keys.chunks(MAX_BATCH) {
                reload(sources.clone(), keys.to_vec()).await;
            }
        }
    }
}
