//! The way through a document that finds the strictest policy.

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use foldhash::{HashSet, HashSetExt};

use super::Policy;
use crate::graphql::asked::Asked;
use crate::graphql::table::Table;

pub struct Walk<'a> {
    table: &'a Table,
    asked: Asked<'a>,
    /// Of what was met so far; none if that all inherits.
    pub strictest: Option<Policy>,
    /// Fragments and selections of interfaces that were met: where a selection is, and its type.
    met: HashSet<(usize, usize)>,
    #[cfg(test)]
    pub visits: usize,
}

impl<'a> Walk<'a> {
    pub fn new(table: &'a Table, asked: Asked<'a>) -> Self {
        Self {
            table,
            asked,
            strictest: None,
            met: HashSet::new(),
            #[cfg(test)]
            visits: 0,
        }
    }

    /// Goes through a selection of a type; of an interface, through what is selected of each object that it may be.
    pub fn selections(&mut self, selections: &'a SelectionSet, of: usize) {
        let table = self.table;
        if table.types[of].possible.is_empty() {
            self.of_object(selections, of);
        } else if self.is_new(selections, of) {
            table.types[of].possible.iter().for_each(|object| self.of_object(selections, *object));
        }
    }

    fn of_object(&mut self, selections: &'a SelectionSet, object: usize) {
        for selection in &selections.items {
            #[cfg(test)]
            {
                self.visits += 1;
            }
            // It cannot become stricter.
            if self.strictest == Some(Policy::NONE) {
                return;
            }
            if self.asked.is_left_out(selection.node.directives()) {
                continue;
            }
            match &selection.node {
                Selection::Field(field) => self.field(&field.node, object),
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    if on.is_none_or(|on| self.table.applies(&on.node.on.node, object)) {
                        self.of_object(&inline.node.selection_set.node, object);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(selections) = self.asked.fragment(self.table, name, object)
                        && self.is_new(selections, object)
                    {
                        self.of_object(selections, object);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &'a Field, object: usize) {
        let name = field.name.node.as_str();
        let Some(meta) = self.table.types[object].fields.get(name) else {
            // The schema is as the settings say; nobody needs it from another's cache.
            if matches!(name, "__schema" | "__type") {
                self.meet(Policy::NONE);
            }
            return;
        };
        if let Some(policy) = meta.policy {
            self.meet(policy);
        }
        if let Some(of) = meta.of {
            self.selections(&field.selection_set.node, of);
        }
    }

    fn meet(&mut self, policy: Policy) {
        self.strictest = Some(self.strictest.map_or(policy, |strictest| strictest.and(policy)));
    }

    fn is_new(&mut self, selections: &'a SelectionSet, of: usize) -> bool {
        self.met.insert((std::ptr::from_ref(selections).addr(), of))
    }
}
