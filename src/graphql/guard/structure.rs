//! What was parsed, before it is validated. Each selection is looked at once, each fragment measured once; what it adds
//! where it is spread is then known.

use async_graphql::parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Positioned, ServerError};
use async_graphql_value::{ConstValue, Value};
use foldhash::{HashMap, HashMapExt};

use super::spreads::Fragments;
use super::{Code, Limits, above, request_error, within};

/// Most selections, inline fragments and spreads in each other, once fragments are expanded: the executor descends with
/// them, and its thread has a stack.
pub const MAX_LEVELS: usize = 48;
/// The fields of introspection that lead from a type to many others.
/// Source: `MaxIntrospectionDepthRule` of graphql-js 16.9.
const LISTS: [&str; 4] = ["fields", "interfaces", "possibleTypes", "inputFields"];

/// Judges a document, without asking whether it fits the schema.
///
/// # Errors
/// For more than a limit, for fragments that spread themselves, and for introspection where there is none.
pub fn structure(document: &ExecutableDocument, limits: &Limits, introspection: bool) -> Result<(), ServerError> {
    measure(document, limits, introspection, &mut 0)
}

/// The same; counts how many things were looked at.
pub(super) fn measure(
    document: &ExecutableDocument,
    limits: &Limits,
    introspection: bool,
    visits: &mut usize,
) -> Result<(), ServerError> {
    within("operations", document.operations.iter().len() as u64, limits.operations)?;
    within("fragments", document.fragments.len() as u64, limits.fragments)?;
    let fragments = Fragments::of(document, visits)?;
    let shapes = vec![Shape::default(); fragments.definitions.len()];
    let mut measure =
        Measure { limits, introspection, fragments: &fragments, shapes, written: Written::default(), visits };
    let mut expanded = 0_u64;
    for &number in &fragments.order {
        let definition = fragments.definitions[number];
        measure.directives(&definition.directives)?;
        let shape = measure.selections(&definition.selection_set.node)?;
        measure.shapes[number] = shape;
        expanded = expanded.saturating_add(shape.expanded);
    }
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        within("variables", operation.variable_definitions.len() as u64, limits.variables)?;
        for variable in &operation.variable_definitions {
            measure.directives(&variable.node.directives)?;
            if let Some(value) = &variable.node.default_value {
                measure.constant(&value.node, 0)?;
            }
        }
        measure.directives(&operation.directives)?;
        let shape = measure.selections(&operation.selection_set.node)?;
        within("fields of the root", shape.fields, limits.root_fields)?;
        expanded = expanded.saturating_add(shape.expanded);
    }
    measure.written.check(limits)?;
    within("selections, with fragments expanded", expanded, limits.expanded)?;
    measure.duplicates(document)
}

/// What a selection is, with its fragments expanded.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    /// How many selections it has at any depth.
    expanded: u64,
    /// How many fields it has itself.
    fields: u64,
    /// How many selections are in each other.
    depth: u32,
    /// The same with inline fragments and spreads.
    levels: u32,
    /// How many lists of introspection are in each other.
    lists: u32,
}

/// What is counted as it is written.
#[derive(Default)]
struct Written {
    aliases: usize,
    directives: usize,
    literals: usize,
}

impl Written {
    fn check(&self, limits: &Limits) -> Result<(), ServerError> {
        within("aliases", self.aliases as u64, limits.aliases)?;
        within("directives", self.directives as u64, limits.directives)?;
        within("values in lists and objects", self.literals as u64, limits.literals)
    }
}

struct Measure<'a, 'd> {
    limits: &'a Limits,
    introspection: bool,
    fragments: &'a Fragments<'d>,
    /// Those of the fragments that come before what is measured.
    shapes: Vec<Shape>,
    written: Written,
    visits: &'a mut usize,
}

impl<'d> Measure<'_, 'd> {
    fn selections(&mut self, selections: &SelectionSet) -> Result<Shape, ServerError> {
        let mut shape = Shape { depth: 1, levels: 1, ..Shape::default() };
        for selection in &selections.items {
            *self.visits += 1;
            let (part, deeper) = match &selection.node {
                Selection::Field(field) => (self.field(&field.node)?, 1),
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.node.directives)?;
                    (self.selections(&inline.node.selection_set.node)?, 0)
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.node.directives)?;
                    let number = self.fragments.number(&spread.node.fragment_name.node);
                    (number.map(|number| self.shapes[number]).unwrap_or_default(), 0)
                }
            };
            shape.expanded = shape.expanded.saturating_add(part.expanded).saturating_add(1);
            shape.fields = shape.fields.saturating_add(part.fields);
            shape.depth = shape.depth.max(part.depth + deeper);
            shape.levels = shape.levels.max(part.levels + 1);
            shape.lists = shape.lists.max(part.lists);
        }
        within("selections in each other", shape.depth.into(), self.limits.depth)?;
        within("selections and fragments in each other", shape.levels.into(), MAX_LEVELS)?;
        Ok(shape)
    }

    fn field(&mut self, field: &Field) -> Result<Shape, ServerError> {
        self.written.aliases += usize::from(field.alias.is_some());
        self.directives(&field.directives)?;
        for (_, value) in &field.arguments {
            self.literal(&value.node, 0)?;
        }
        let below = &field.selection_set.node;
        let mut shape = if below.items.is_empty() { Shape::default() } else { self.selections(below)? };
        let name = field.name.node.as_str();
        if matches!(name, "__schema" | "__type" | "_service") {
            if !self.introspection {
                return Err(request_error(Code::IntrospectionDisabled, "the schema is not shown here"));
            }
            within("lists of introspection in each other", shape.lists.into(), self.limits.introspection_depth)?;
        }
        shape.lists += u32::from(LISTS.contains(&name));
        shape.fields = 1;
        Ok(shape)
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) -> Result<(), ServerError> {
        within("directives of one element", directives.len() as u64, self.limits.directives_on_one)?;
        self.written.directives += directives.len();
        for (_, value) in directives.iter().flat_map(|directive| &directive.node.arguments) {
            self.literal(&value.node, 0)?;
        }
        Ok(())
    }

    /// Counts what is in a list or an object. The guard of the text sees to it that it is not too deep for this.
    fn literal(&mut self, value: &Value, depth: usize) -> Result<(), ServerError> {
        *self.visits += 1;
        match value {
            Value::List(elements) => {
                self.open(elements.len(), depth)?;
                elements.iter().try_for_each(|element| self.literal(element, depth + 1))
            }
            Value::Object(fields) => {
                self.open(fields.len(), depth)?;
                fields.values().try_for_each(|field| self.literal(field, depth + 1))
            }
            _ => Ok(()),
        }
    }

    fn constant(&mut self, value: &ConstValue, depth: usize) -> Result<(), ServerError> {
        *self.visits += 1;
        match value {
            ConstValue::List(elements) => {
                self.open(elements.len(), depth)?;
                elements.iter().try_for_each(|element| self.constant(element, depth + 1))
            }
            ConstValue::Object(fields) => {
                self.open(fields.len(), depth)?;
                fields.values().try_for_each(|field| self.constant(field, depth + 1))
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, length: usize, depth: usize) -> Result<(), ServerError> {
        self.written.literals += length;
        if depth >= self.limits.value_depth {
            return Err(above("lists and objects in each other", self.limits.value_depth, None));
        }
        Ok(())
    }

    /// Looks for one key that is asked for too often in one selection. By now it is known that no document is large, even
    /// if expanded: what this looks at is a part of what [`Limits::expanded`] allows.
    fn duplicates(&mut self, document: &'d ExecutableDocument) -> Result<(), ServerError> {
        let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
        let fragments = self.fragments.definitions.iter().map(|definition| &definition.selection_set.node);
        let mut keys = HashMap::new();
        operations.chain(fragments).try_for_each(|selections| self.keys_below(selections, &mut keys))
    }

    fn keys_below(
        &mut self,
        selections: &'d SelectionSet,
        keys: &mut HashMap<&'d str, u64>,
    ) -> Result<(), ServerError> {
        keys.clear();
        self.keys(selections, keys);
        let most = keys.values().copied().max().unwrap_or_default();
        within("fields of one key in one selection", most, self.limits.duplicates)?;
        self.each_field(selections, &mut |measure, field| measure.keys_below(&field.selection_set.node, keys))
    }

    /// Counts the keys of a selection, with its fragments expanded.
    fn keys(&mut self, selections: &'d SelectionSet, keys: &mut HashMap<&'d str, u64>) {
        for selection in &selections.items {
            *self.visits += 1;
            match &selection.node {
                Selection::Field(field) => *keys.entry(field.node.response_key().node.as_str()).or_default() += 1,
                Selection::InlineFragment(inline) => self.keys(&inline.node.selection_set.node, keys),
                Selection::FragmentSpread(spread) => {
                    if let Some(number) = self.fragments.number(&spread.node.fragment_name.node) {
                        self.keys(&self.fragments.definitions[number].selection_set.node, keys);
                    }
                }
            }
        }
    }

    /// The fields of a selection that are written there, also in inline fragments.
    fn each_field(
        &mut self,
        selections: &'d SelectionSet,
        look: &mut dyn FnMut(&mut Self, &'d Field) -> Result<(), ServerError>,
    ) -> Result<(), ServerError> {
        for selection in &selections.items {
            match &selection.node {
                Selection::Field(field) if !field.node.selection_set.node.items.is_empty() => look(self, &field.node)?,
                Selection::InlineFragment(inline) => self.each_field(&inline.node.selection_set.node, look)?,
                _ => {}
            }
        }
        Ok(())
    }
}
