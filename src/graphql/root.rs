//! A root whose fields fail by themselves. <https://spec.graphql.org/October2021/#sec-Handling-Field-Errors>
//!
//! async-graphql 8.0.0-rc.5 lets the error of a resolver pass by its own field, though that may be null, to the object
//! around it: one unknown id would take all other answers of a request along, and what other mutations have done.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ObjectType, OutputType, Positioned, ServerResult, Value,
};

/// The root `T`, in which a field that may be null is null when it fails.
#[derive(Default)]
pub struct Root<T>(T);

impl<T: ObjectType> ContainerType for Root<T> {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        match self.0.resolve_field(ctx).await {
            Err(error) if may_be_null::<T>(ctx) => {
                ctx.add_error(error);
                Ok(Some(Value::Null))
            }
            other => other,
        }
    }
}

/// Whether the field that `ctx` resolves may be null.
fn may_be_null<T: ObjectType>(ctx: &Context<'_>) -> bool {
    let of = ctx.schema_env.registry.types.get(T::type_name().as_ref());
    of.and_then(|of| of.field_by_name(&ctx.item.node.name.node)).is_some_and(|field| !field.ty.ends_with('!'))
}

impl<T: ObjectType> OutputType for Root<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        async_graphql::resolver_utils::resolve_container(ctx, self).await
    }
}

impl<T: ObjectType> ObjectType for Root<T> {}
