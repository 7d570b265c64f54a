//! What types and fields declare.

use async_graphql::Value;
use async_graphql::registry::{MetaDirectiveInvocation, MetaField, MetaType, MetaTypeName, Registry};

use super::{Policy, Scope};
use crate::graphql::table::{is_connection, is_edge, is_page_info};

/// What a type or field says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// It is as what it is a part of.
    Inherited,
    Own(Policy),
}

impl Declared {
    /// What a field says, or else the type of its value.
    pub fn of_field(registry: &Registry, field: &MetaField) -> Self {
        let own = of_directive(&field.directive_invocations);
        own.unwrap_or_else(|| Self::of_named(registry, &field.ty))
    }

    /// What a type says. Connections and their edges are as the objects that they hold; values are as what they
    /// belong to, and the place of a page is such a value.
    pub fn of_type(registry: &Registry, of: &MetaType) -> Self {
        let (MetaType::Object { directive_invocations, .. } | MetaType::Interface { directive_invocations, .. }) = of
        else {
            return if of.is_composite() { Self::Own(Policy::NONE) } else { Self::Inherited };
        };
        let held = |field: &str| of.field_by_name(field).map(|held| Self::of_named(registry, &held.ty));
        match of_directive(directive_invocations) {
            Some(own) => own,
            None if is_connection(of) => held("nodes").unwrap_or(Self::Own(Policy::NONE)),
            None if is_edge(of) => held("node").unwrap_or(Self::Own(Policy::NONE)),
            None if is_page_info(of) => Self::Inherited,
            None => Self::Own(Policy::NONE),
        }
    }

    fn of_named(registry: &Registry, name: &str) -> Self {
        let of = registry.types.get(MetaTypeName::concrete_typename(name));
        of.map_or(Self::Own(Policy::NONE), |of| Self::of_type(registry, of))
    }

    /// The policy, of what is part of nothing.
    pub fn or_none(self) -> Policy {
        match self {
            Self::Inherited => Policy::NONE,
            Self::Own(policy) => policy,
        }
    }
}

fn of_directive(directives: &[MetaDirectiveInvocation]) -> Option<Declared> {
    let declared = &directives.iter().find(|directive| directive.name == "cacheControl")?.args;
    if declared.get("inheritMaxAge") == Some(&Value::Boolean(true)) {
        return Some(Declared::Inherited);
    }
    let seconds = match declared.get("maxAge") {
        Some(Value::Number(seconds)) => {
            seconds.as_u64().and_then(|seconds| seconds.try_into().ok()).unwrap_or_default()
        }
        _ => 0,
    };
    let is_public = matches!(declared.get("scope"), Some(Value::Enum(scope)) if scope == "PUBLIC");
    Some(Declared::Own(Policy { seconds, scope: if is_public { Scope::Public } else { Scope::Private } }))
}
