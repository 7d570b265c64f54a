//! The way through a document that adds up prices.

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql_value::{ConstValue, Value};
use foldhash::{HashMap, HashMapExt};

use super::BYTES;
use crate::graphql::asked::Asked;
use crate::graphql::table::{Rows, Table};

/// The price of `__schema` and of `__type`: the schema is large, and does not grow.
const INTROSPECTION: u64 = 100;

/// A price of a selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub flat: u64,
    /// For each row of the page, where the selection is a connection's.
    pub per_row: u64,
}

impl Sum {
    fn plus(self, other: Self) -> Self {
        let add = u64::saturating_add;
        Self { flat: add(self.flat, other.flat), per_row: add(self.per_row, other.per_row) }
    }

    /// Whichever of two is dearer. A connection's is never compared: it is no interface.
    fn or(self, other: Self) -> Self {
        Self { flat: self.flat.max(other.flat), per_row: self.per_row.max(other.per_row) }
    }
}

/// A field's own price and what is below it, once, and how often there is that.
pub struct Part {
    pub own: u64,
    pub below: Sum,
    pub of: Option<usize>,
    pub rows: Rows,
    /// How many rows its page has, or how long its list is; else 1.
    pub times: u64,
}

impl Part {
    pub fn sum(&self) -> Sum {
        let all = self.own.saturating_add(self.below.flat);
        match self.rows {
            Rows::One => Sum { flat: all, per_row: 0 },
            Rows::Page => {
                let rows = self.times.saturating_mul(self.below.per_row);
                Sum { flat: all.saturating_add(rows), per_row: 0 }
            }
            Rows::EachOfPage => Sum { flat: 0, per_row: all },
            Rows::EachOf(_) => Sum { flat: all.saturating_mul(self.times).saturating_add(1), per_row: 0 },
        }
    }
}

pub struct Walk<'a> {
    pub table: &'a Table,
    pub asked: Asked<'a>,
    /// Of fragments and of selections of interfaces, which are met again: where a selection is, and its type.
    known: HashMap<(usize, usize), Sum>,
    /// How many bytes the value of a variable has.
    bytes: HashMap<&'a str, u64>,
    #[cfg(test)]
    pub visits: usize,
}

impl<'a> Walk<'a> {
    pub fn new(table: &'a Table, asked: Asked<'a>) -> Self {
        let bytes = asked.variables.iter().map(|(name, value)| (name.as_str(), bytes_of(value))).collect();
        Self {
            table,
            asked,
            known: HashMap::new(),
            bytes,
            #[cfg(test)]
            visits: 0,
        }
    }

    /// The price of a selection of a type.
    pub fn selections(&mut self, selections: &'a SelectionSet, of: usize) -> Sum {
        let table = self.table;
        if table.types[of].possible.is_empty() {
            return self.of_object(selections, of);
        }
        self.once(selections, of, |walk| {
            let prices = table.types[of].possible.iter().map(|object| walk.of_object(selections, *object));
            prices.fold(Sum::default(), Sum::or)
        })
    }

    fn of_object(&mut self, selections: &'a SelectionSet, object: usize) -> Sum {
        let mut sum = Sum::default();
        for selection in &selections.items {
            #[cfg(test)]
            {
                self.visits += 1;
            }
            if self.asked.is_left_out(selection.node.directives()) {
                continue;
            }
            sum = sum.plus(match &selection.node {
                Selection::Field(field) => self.field(&field.node, object).map(|part| part.sum()).unwrap_or_default(),
                Selection::InlineFragment(inline) => match &inline.node.type_condition {
                    Some(on) if !self.table.applies(&on.node.on.node, object) => Sum::default(),
                    _ => self.of_object(&inline.node.selection_set.node, object),
                },
                Selection::FragmentSpread(spread) => {
                    match self.asked.fragment(self.table, &spread.node.fragment_name.node, object) {
                        Some(selections) => self.once(selections, object, |walk| walk.of_object(selections, object)),
                        None => Sum::default(),
                    }
                }
            });
        }
        sum
    }

    /// What a field costs; nothing if there is no such field, which validation will say.
    pub fn field(&mut self, field: &'a Field, object: usize) -> Option<Part> {
        let name = field.name.node.as_str();
        let table = self.table;
        let Some(meta) = table.types[object].fields.get(name) else {
            let own = INTROSPECTION;
            let is_introspection = matches!(name, "__schema" | "__type");
            return is_introspection.then_some(Part {
                own,
                below: Sum::default(),
                of: None,
                rows: Rows::One,
                times: 1,
            });
        };
        let below = meta.of.map(|of| self.selections(&field.selection_set.node, of)).unwrap_or_default();
        let bytes: u64 = field.arguments.iter().map(|(_, value)| self.bytes(&value.node)).sum();
        let times = match &meta.rows {
            Rows::One | Rows::EachOfPage => 1,
            Rows::Page => self.page(field),
            Rows::EachOf(list) => self.length(field, list),
        };
        Some(Part {
            own: meta.weight.saturating_add(bytes / BYTES as u64),
            below,
            of: meta.of,
            rows: meta.rows.clone(),
            times,
        })
    }

    fn once(&mut self, selections: &'a SelectionSet, of: usize, price: impl FnOnce(&mut Self) -> Sum) -> Sum {
        let identity = (std::ptr::from_ref(selections).addr(), of);
        if let Some(known) = self.known.get(&identity) {
            return *known;
        }
        let sum = price(self);
        self.known.insert(identity, sum);
        sum
    }

    /// How many rows a connection may have. Too many are refused when it is resolved.
    fn page(&self, field: &Field) -> u64 {
        let asked = |name: &str| {
            let rows = match &field.get_argument(name)?.node {
                Value::Number(rows) => rows.as_i64(),
                Value::Variable(name) => match self.asked.variable(name)? {
                    ConstValue::Number(rows) => rows.as_i64(),
                    _ => None,
                },
                _ => None,
            };
            rows.map(|rows| u64::try_from(rows).unwrap_or_default())
        };
        let rows = asked("first").into_iter().chain(asked("last")).max();
        rows.unwrap_or(self.asked.pages.default.into()).min(self.asked.pages.max.into())
    }

    fn length(&self, field: &Field, list: &str) -> u64 {
        let length = match field.get_argument(list).map(|value| &value.node) {
            None => 0,
            Some(Value::List(elements)) => elements.len(),
            Some(Value::Variable(name)) => match self.asked.variable(name) {
                Some(ConstValue::List(elements)) => elements.len(),
                value => usize::from(value.is_some()),
            },
            // One element stands for a list of it.
            Some(_) => 1,
        };
        length as u64
    }

    fn bytes(&self, value: &Value) -> u64 {
        match value {
            Value::Variable(name) => self.bytes.get(name.as_str()).copied().unwrap_or_default(),
            Value::String(text) => text.len() as u64,
            Value::List(elements) => elements.iter().map(|element| self.bytes(element)).sum(),
            Value::Object(fields) => fields.values().map(|field| self.bytes(field)).sum(),
            _ => 0,
        }
    }
}

fn bytes_of(value: &ConstValue) -> u64 {
    match value {
        ConstValue::String(text) => text.len() as u64,
        ConstValue::List(elements) => elements.iter().map(bytes_of).sum(),
        ConstValue::Object(fields) => fields.values().map(bytes_of).sum(),
        _ => 0,
    }
}
