//! What is known of the fields of each type before anybody asks for them: what they cost, and for how long and for whom
//! their values may be kept.

use async_graphql::parser::types::OperationType;
use async_graphql::registry::{MetaField, MetaType, MetaTypeName, Registry};
use async_graphql::{OutputType, Value};
use foldhash::{HashMap, HashMapExt};

use super::policy::{Declared, Policy};

/// What a mutation costs besides what it shows: a transaction.
const MUTATION: u64 = 10;

/// The types of a schema.
pub struct Table {
    pub types: Vec<Type>,
    numbers: HashMap<String, usize>,
    query: Option<usize>,
    mutation: Option<usize>,
    subscription: Option<usize>,
}

/// An object, interface or union.
pub struct Type {
    pub name: String,
    pub fields: HashMap<String, Field>,
    /// What an interface or union may be; nothing for an object.
    pub possible: Vec<usize>,
    /// The interfaces and unions that an object belongs to.
    pub belongs_to: Vec<String>,
    /// For how long and for whom its objects may be kept.
    pub policy: Policy,
}

pub struct Field {
    /// What it costs itself.
    pub weight: u64,
    /// The type below it, if that has fields.
    pub of: Option<usize>,
    pub rows: Rows,
    /// For how long and for whom its value may be kept; none if that is as with what it is a field of.
    pub policy: Option<Policy>,
}

/// How often there is what is below a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    One,
    /// A connection, which says how many rows it has.
    Page,
    /// Once for each row of the connection that it is a field of.
    EachOfPage,
    /// Once for each element of this argument.
    EachOf(String),
}

impl Table {
    /// The table of a schema with these roots.
    pub fn of<Query: OutputType, Mutation: OutputType, Subscription: OutputType>() -> Self {
        let mut registry = Registry::default();
        Query::create_type_info(&mut registry);
        Mutation::create_type_info(&mut registry);
        Subscription::create_type_info(&mut registry);
        let composite = registry.types.values().filter(|of| of.is_composite());
        let numbers: HashMap<_, _> = composite.enumerate().map(|(number, of)| (of.name().to_owned(), number)).collect();
        let number = |name: &str| numbers.get(MetaTypeName::concrete_typename(name)).copied();
        let mut table = Self {
            types: Vec::new(),
            query: number(&Query::type_name()),
            mutation: number(&Mutation::type_name()),
            subscription: number(&Subscription::type_name()),
            numbers: HashMap::new(),
        };
        for of in registry.types.values().filter(|of| of.is_composite()) {
            let is_mutation = number(of.name()) == table.mutation;
            let is_root = is_mutation || [table.query, table.subscription].contains(&number(of.name()));
            let field = |field: &MetaField| {
                let policy = match Declared::of_field(&registry, field) {
                    Declared::Own(policy) => Some(policy),
                    Declared::Inherited => is_root.then_some(Policy::NONE),
                };
                Field { policy, ..field_of(&registry, of, field, number(&field.ty), is_mutation) }
            };
            let fields = of.fields().into_iter().flatten();
            let possible = if of.is_abstract() { of.possible_types() } else { None };
            table.types.push(Type {
                name: of.name().to_owned(),
                fields: fields.map(|(name, meta)| (name.clone(), field(meta))).collect(),
                possible: possible.into_iter().flatten().filter_map(|name| number(name)).collect(),
                belongs_to: Vec::new(),
                policy: Declared::of_type(&registry, of).or_none(),
            });
        }
        for of in registry.types.values().filter(|of| of.is_abstract()) {
            for member in of.possible_types().into_iter().flatten().filter_map(|name| number(name)) {
                table.types[member].belongs_to.push(of.name().to_owned());
            }
        }
        table.numbers = numbers;
        table
    }

    /// The root of an operation.
    pub fn root(&self, operation: OperationType) -> Option<usize> {
        match operation {
            OperationType::Query => self.query,
            OperationType::Mutation => self.mutation,
            OperationType::Subscription => self.subscription,
        }
    }

    /// The type of this name, if there is one with fields.
    pub fn named(&self, name: &str) -> Option<&Type> {
        self.numbers.get(name).map(|number| &self.types[*number])
    }

    /// Whether a fragment on the type of this name is about an object.
    pub fn applies(&self, condition: &str, object: usize) -> bool {
        let of = &self.types[object];
        of.name == condition || of.belongs_to.iter().any(|name| name == condition)
    }
}

fn field_of(registry: &Registry, of: &MetaType, field: &MetaField, below: Option<usize>, is_mutation: bool) -> Field {
    let is_list = MetaTypeName::create(&field.ty).is_list();
    let type_below = registry.types.get(MetaTypeName::concrete_typename(&field.ty));
    let lists = field.args.values().find(|argument| is_list && MetaTypeName::create(&argument.ty).is_list());
    let rows = match lists {
        Some(argument) => Rows::EachOf(argument.name.clone()),
        None if is_connection(of) && is_list => Rows::EachOfPage,
        None if type_below.is_some_and(is_connection) => Rows::Page,
        None => Rows::One,
    };
    let declared = field.directive_invocations.iter().find(|directive| directive.name == "cost");
    let weight = match declared.and_then(|directive| directive.args.get("weight")) {
        Some(Value::Number(weight)) => weight.as_u64().unwrap_or_default(),
        _ if is_mutation => MUTATION,
        // Parts of a connection that stand for no object.
        _ => u64::from(below.is_some() && !type_below.is_some_and(|below| is_edge(below) || is_page_info(below))),
    };
    Field { weight, of: below, rows, policy: None }
}

/// <https://relay.dev/graphql/connections.htm>
pub(super) fn is_connection(of: &MetaType) -> bool {
    of.name().ends_with("Connection") && of.field_by_name("pageInfo").is_some()
}

pub(super) fn is_edge(of: &MetaType) -> bool {
    of.name().ends_with("Edge") && of.field_by_name("cursor").is_some()
}

pub(super) fn is_page_info(of: &MetaType) -> bool {
    of.name() == "PageInfo"
}
