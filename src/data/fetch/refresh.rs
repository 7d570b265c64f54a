//! Rows that are often served are kept anew as soon as the log tells how they have changed: no statement reads them again.
//! The log tells commits in their order, so what it tells last of a row is how that is at the position through which all
//! was told. That is its stamp; the rule decides like of everything else what it is good for.

use std::collections::HashMap;

use metrics::counter;

use super::Sources;
use super::load::{Asked, Fill, Keep};
use crate::data::cache::{Fresh, Refresh, View};
use crate::data::coherence::Demand;
use crate::data::find::{Found, Rows};
use crate::data::record::Record;

/// Keeps rows of one table.
pub(super) type Refill = fn(&Sources, Fresh);

/// Keeps rows of all tables.
pub(super) struct Refills {
    pub sources: Sources,
    /// By table.
    pub refills: HashMap<&'static str, Refill>,
}

impl Refresh for Refills {
    fn keep(&self, fresh: Fresh) {
        if let Some(refill) = self.refills.get(fresh.table) {
            refill(&self.sources, fresh);
        }
    }
}

pub(super) fn refill<R: Record>(sources: &Sources, fresh: Fresh) {
    let Fresh { history, table, rows, stamp } = fresh;
    let Some(table) = sources.cache.declared().tables.find(table) else { return };
    let view = View::of(history, Demand::default());
    let Some(asked) = Asked::of(&sources.cache, &Rows::<R>::new(), view, 0) else { return };
    let mut fill = Fill::new(&asked, stamp, Keep::Everywhere);
    for image in rows {
        // What cannot be read of the log is read when it is asked for.
        let found = Found::<R>::told(&image, table);
        let outcome = if found.is_some() { "done" } else { "failed" };
        counter!("shoal_cache_refreshed_total", "resource" => table.name, "outcome" => outcome).increment(1);
        found.iter().for_each(|found| fill.put(&found.row.key(), Some(found)));
    }
    fill.finish();
}
