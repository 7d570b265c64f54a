//! Which fragment spreads which others, and an order in which each comes behind those that it spreads.

use async_graphql::ServerError;
use async_graphql::parser::types::{ExecutableDocument, FragmentDefinition, Selection, SelectionSet};
use foldhash::{HashMap, HashMapExt};

use super::{Code, request_error};

/// The fragments of a document, by number.
pub struct Fragments<'a> {
    pub definitions: Vec<&'a FragmentDefinition>,
    numbers: HashMap<&'a str, usize>,
    /// Numbers, in an order in which each fragment comes behind those that it spreads.
    pub order: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Never,
    Open,
    Done,
}

impl<'a> Fragments<'a> {
    /// # Errors
    /// For fragments that spread themselves, through whichever others.
    pub fn of(document: &'a ExecutableDocument, visits: &mut usize) -> Result<Self, ServerError> {
        let mut fragments = Self { definitions: Vec::new(), numbers: HashMap::new(), order: Vec::new() };
        for (number, (name, definition)) in document.fragments.iter().enumerate() {
            fragments.numbers.insert(name.as_str(), number);
            fragments.definitions.push(&definition.node);
        }
        let spread: Vec<Vec<usize>> = fragments
            .definitions
            .iter()
            .map(|definition| {
                let mut found = Vec::new();
                fragments.collect(&definition.selection_set.node, &mut found, visits);
                found
            })
            .collect();
        fragments.order = order(&spread).map_err(|number| {
            let name = document.fragments.keys().nth(number).map(|name| name.as_str()).unwrap_or_default();
            request_error(Code::ValidationFailed, format!("the fragment \"{name}\" spreads itself"))
        })?;
        Ok(fragments)
    }

    /// The number of a fragment. One that does not exist is for validation to tell.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// What a selection spreads. The parser sees to it that selections are not too deep for this.
    fn collect(&self, selections: &SelectionSet, found: &mut Vec<usize>, visits: &mut usize) {
        for selection in &selections.items {
            *visits += 1;
            match &selection.node {
                Selection::Field(field) => self.collect(&field.node.selection_set.node, found, visits),
                Selection::InlineFragment(inline) => self.collect(&inline.node.selection_set.node, found, visits),
                Selection::FragmentSpread(spread) => found.extend(self.number(&spread.node.fragment_name.node)),
            }
        }
    }
}

/// Each behind what it leads to, without recursion: a chain may be long. Fails with one that leads to itself.
fn order(leads_to: &[Vec<usize>]) -> Result<Vec<usize>, usize> {
    let mut seen = vec![Seen::Never; leads_to.len()];
    let mut order = Vec::with_capacity(leads_to.len());
    let mut open: Vec<(usize, usize)> = Vec::new();
    for start in 0..leads_to.len() {
        if seen[start] == Seen::Never {
            seen[start] = Seen::Open;
            open.push((start, 0));
        }
        while let Some((number, next)) = open.last_mut() {
            match leads_to[*number].get(*next) {
                Some(&to) => {
                    *next += 1;
                    match seen[to] {
                        Seen::Never => {
                            seen[to] = Seen::Open;
                            open.push((to, 0));
                        }
                        Seen::Open => return Err(to),
                        Seen::Done => {}
                    }
                }
                None => {
                    seen[*number] = Seen::Done;
                    order.push(*number);
                    open.pop();
                }
            }
        }
    }
    Ok(order)
}
