//! The graph as one of several that a gateway joins to one.
//! <https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec>
//!
//! Every object with a global id is an entity by it. Promises that entities cost what `nodes` costs, and that one that
//! cannot be found, or is asked for wrongly, takes no other along. async-graphql 8.0.0-rc.5 has such fields of its own, of
//! which the first wrong entity fails all.

use std::borrow::Cow;
use std::sync::LazyLock;

use async_graphql::parser::types::Field;
use async_graphql::registry::{MetaType, Registry};
use async_graphql::{
    Any, ContainerType, Context, ContextSelectionSet, ID, Object, ObjectType, OutputType, Positioned, Result, Schema,
    ServerResult, SimpleObject, Value,
};
use futures_util::future::join_all;

use super::policy::{self, Scope};
use super::price::cost;
use super::resource::Load;
use super::root::Root;
use super::subscription::{Described, Fields};
use super::{Entity, Mutation, Node, Query, as_text, id};
use crate::data::Error;

/// The fields of the root that gateways ask for.
#[derive(Default)]
pub struct SubgraphRoot;

#[Object]
impl SubgraphRoot {
    /// What a gateway has to know of this graph.
    #[graphql(name = "_service", directive = cost::apply(100))]
    async fn service(&self) -> Service {
        Service { sdl: &SDL }
    }

    /// The entities that these are, in their order; null where there is none.
    #[graphql(name = "_entities", directive = policy::cache_control::apply(Some(60), Some(Scope::Public), None))]
    async fn entities(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Objects with `__typename` and `id`; at most 100 by default.")] representations: Vec<Any>,
    ) -> Result<Vec<Option<Result<Entity>>>> {
        let most = ctx.request().settings.max_nodes;
        if representations.len() > most {
            return Err(ctx.refuse(Error::bad_input(format!("representations must not be more than {most}"))));
        }
        let found = join_all(representations.iter().map(|representation| find(ctx, &representation.0))).await;
        Ok(found.into_iter().map(Result::transpose).collect())
    }
}

/// This graph, as one of several.
#[derive(SimpleObject)]
#[graphql(name = "_Service")]
struct Service {
    /// The schema, with the directives that say how it is joined to others.
    sdl: &'static str,
}

async fn find(ctx: &Context<'_>, representation: &Value) -> Result<Option<Entity>> {
    let (name, key) = read(representation).map_err(|error| ctx.refuse(error))?;
    Ok(Node::find(ctx, &name, key).await?.map(Entity::from))
}

/// The type and key that a representation names. Whatever else is in it is not looked at.
fn read(representation: &Value) -> Result<(String, i64), Error> {
    let field = |name: &str| match representation {
        Value::Object(fields) => match fields.get(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(Error::bad_input(format!("a representation must have {name}, a text"))),
        },
        _ => Err(Error::bad_input("a representation must be an object")),
    };
    let (named, id) = (field("__typename")?, field("id")?);
    match id::split(&ID::from(id))? {
        (name, key) if name == *named => Ok((name, key)),
        _ => Err(Error::bad_input(format!("not an id of a {named}"))),
    }
}

/// What gateways compose, which no setting and no data change.
static SDL: LazyLock<String> = LazyLock::new(|| {
    let graph = Schema::build(Keyed(Root::<Query>::default()), Root::<Mutation>::default(), Described(Fields));
    graph.enable_subscription_in_federation().finish().sdl_with_options(as_text().federation())
});

/// The root `T` in a graph whose objects have keys: only there, since async-graphql adds fields of its own to such a graph.
struct Keyed<T>(T);

impl<T: ObjectType> OutputType for Keyed<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let name = T::create_type_info(registry);
        let nodes = registry.types.get(Node::type_name().as_ref()).and_then(MetaType::possible_types).cloned();
        for object in nodes.into_iter().flatten() {
            registry.add_keys(&object, "id");
        }
        name
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        async_graphql::resolver_utils::resolve_container(ctx, self).await
    }
}

impl<T: ObjectType> ContainerType for Keyed<T> {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        self.0.resolve_field(ctx).await
    }
}

impl<T: ObjectType> ObjectType for Keyed<T> {}
