//! What of a request costs most: from the root always on to the field with the highest price.

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use foldhash::{HashSet, HashSetExt};

use super::Dearest;
use super::walk::{Part, Walk};
use crate::graphql::asked::Asked;
use crate::graphql::table::{Rows, Table};

/// Most characters of a key that are repeated.
const MOST_OF_KEY: usize = 40;

/// A field that may be the dearest.
struct Candidate<'a> {
    field: &'a Field,
    part: Part,
    /// What all of it costs where it is.
    price: u64,
}

/// The dearest path. Takes the time of as many prices as it is long: nobody asks but for a refusal, or to be told.
pub fn dearest(table: &Table, asked: Asked<'_>) -> Dearest {
    let mut walk = Walk::new(table, asked);
    let mut dearest = Dearest { path: String::new(), price: 0 };
    let mut at = table.root(asked.operation.ty).map(|root| (&asked.operation.selection_set.node, root));
    // How often there is what is looked at, and how many rows its page has.
    let (mut times, mut page) = (1_u64, 1_u64);
    while let Some((selections, of)) = at {
        let object = walk.dearest_of(selections, of);
        let mut seen = HashSet::new();
        let mut best: Option<Candidate<'_>> = None;
        walk.candidates(selections, object, page, &mut seen, &mut best);
        let Some(Candidate { field, part, .. }) = best.filter(|best| best.price > 0) else { break };
        if !dearest.path.is_empty() {
            dearest.path.push('.');
        }
        dearest.path.extend(field.response_key().node.chars().take(MOST_OF_KEY));
        (times, page) = match part.rows {
            Rows::One => (times, 1),
            Rows::Page => (times, part.times),
            Rows::EachOfPage => (times.saturating_mul(page), 1),
            Rows::EachOf(_) => (times.saturating_mul(part.times), 1),
        };
        dearest.price = times.saturating_mul(part.own.max(1));
        at = part.of.map(|of| (&field.selection_set.node, of));
    }
    dearest
}

impl<'a> Walk<'a> {
    /// The object type itself; of an interface, the dearest that it may be.
    fn dearest_of(&mut self, selections: &'a SelectionSet, of: usize) -> usize {
        let table = self.table;
        let possible = table.types[of].possible.iter().copied();
        possible.max_by_key(|object| self.selections(selections, *object).flat).unwrap_or(of)
    }

    /// Looks for the dearest field of a selection. Each fragment is looked at once: the second time it would be as dear.
    fn candidates(
        &mut self,
        selections: &'a SelectionSet,
        object: usize,
        page: u64,
        seen: &mut HashSet<&'a str>,
        best: &mut Option<Candidate<'a>>,
    ) {
        for selection in &selections.items {
            if self.asked.is_left_out(selection.node.directives()) {
                continue;
            }
            match &selection.node {
                Selection::Field(field) => {
                    let Some(part) = self.field(&field.node, object) else { continue };
                    let sum = part.sum();
                    let price = sum.flat.saturating_add(page.saturating_mul(sum.per_row));
                    if best.as_ref().is_none_or(|best| best.price < price) {
                        *best = Some(Candidate { field: &field.node, part, price });
                    }
                }
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    if on.is_none_or(|on| self.table.applies(&on.node.on.node, object)) {
                        self.candidates(&inline.node.selection_set.node, object, page, seen, best);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    if seen.insert(name)
                        && let Some(selections) = self.asked.fragment(self.table, name, object)
                    {
                        self.candidates(selections, object, page, seen, best);
                    }
                }
            }
        }
    }
}
