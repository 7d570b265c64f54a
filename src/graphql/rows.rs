//! Rows and lists of them, resolved for less.
//!
//! async-graphql makes a future for each field of each row, in a box of its own, though most fields are columns and need
//! none: a page of a thousand rows is mostly allocations. Here a leaf is tried where it stands; only what has to wait
//! gets a box, and all that waits in a list waits together.
//!
//! Falls back to async-graphql where the selections of one key must be merged, where directives are left, and for very
//! many fields. An extension of the schema would not see these fields, and there is none.

use std::any::TypeId;
use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection, SelectionSet, TypeCondition};
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::{resolve_container, resolve_list};
use async_graphql::{
    ContainerType, ContextBase, ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value,
};
use foldhash::HashMap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::context::RequestContext;

/// More fields than these are not looked through for twins.
const MOST_FIELDS: usize = 64;

/// An object whose fields are mostly columns.
pub struct Row<T>(pub T);

/// A list of such objects.
pub struct Rows<T>(pub Vec<T>);

impl<T> From<T> for Row<T> {
    fn from(row: T) -> Self {
        Self(row)
    }
}

impl<T: ContainerType + 'static> OutputType for Row<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        let Some(shape) = Shape::of::<T>(ctx) else { return resolve_container(ctx, &self.0).await };
        let mut waiting = Vec::new();
        let mut objects = [begin(0, ctx, &shape, &self.0, &mut waiting)?];
        finish(&mut objects, waiting).await?;
        let [object] = objects;
        Ok(Value::Object(object))
    }
}

impl<T: ContainerType + 'static> OutputType for Rows<T> {
    fn type_name() -> Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let Some(shape) = Shape::of::<T>(ctx) else {
            return resolve_list(ctx, field, &self.0, Some(self.0.len())).await;
        };
        let contexts: Vec<_> = (0..self.0.len()).map(|index| ctx.with_index(index)).collect();
        let mut objects = Vec::with_capacity(self.0.len());
        let mut waiting = Vec::new();
        for (index, (row, ctx)) in self.0.iter().zip(&contexts).enumerate() {
            objects.push(begin(index, ctx, &shape, row, &mut waiting)?);
        }
        finish(&mut objects, waiting).await?;
        Ok(Value::List(objects.into_iter().map(Value::Object).collect()))
    }
}

type Object = IndexMap<Name, Value>;

/// A field that has to wait, and where its value belongs.
struct Waiting<'a> {
    object: usize,
    field: usize,
    value: BoxFuture<'a, ServerResult<Option<Value>>>,
}

/// What a selection asks of a type.
struct Shape<'a> {
    /// Those of fragments among them, each key once.
    fields: Vec<&'a Positioned<Field>>,
    /// An object with these keys: a copy of it costs less than to hash them again.
    blank: Arc<Object>,
}

/// The objects that a request's selections make, without their values.
#[derive(Default)]
pub struct Blanks(Mutex<HashMap<(usize, TypeId), Arc<Object>>>);

impl Blanks {
    /// The object of a selection, which stays where it is as long as the request lasts.
    fn of<T: 'static>(&self, selection: &SelectionSet, make: impl FnOnce() -> Object) -> Arc<Object> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = (std::ptr::from_ref(selection).addr(), TypeId::of::<T>());
        known.entry(identity).or_insert_with(|| Arc::new(make())).clone()
    }
}

impl<'a> Shape<'a> {
    /// None where it takes more than this.
    fn of<T: ContainerType + 'static>(ctx: &ContextSelectionSet<'a>) -> Option<Self> {
        let mut fields = Vec::new();
        let selection = &ctx.item.node;
        if !collect::<T>(ctx, selection, &mut fields) {
            return None;
        }
        // Names of its own: those of the document are counted by all requests for it, each of which would wait for the others.
        let key = |field: &&Positioned<Field>| (Name::new(field.node.response_key().node.as_str()), Value::Null);
        let blank =
            ctx.data_unchecked::<RequestContext>().blanks.of::<T>(selection, || fields.iter().map(key).collect());
        Some(Self { fields, blank })
    }
}

/// Whether these selections could be collected.
fn collect<'a, T: ContainerType>(
    ctx: &ContextSelectionSet<'a>,
    selections: &'a SelectionSet,
    fields: &mut Vec<&'a Positioned<Field>>,
) -> bool {
    selections.items.iter().all(|selection| match &selection.node {
        Selection::Field(field) => {
            let key = &field.node.response_key().node;
            let is_twin = fields.iter().any(|other| other.node.response_key().node == *key);
            if !is_twin {
                fields.push(field);
            }
            // Validation has seen to it that twins ask the same; those with selections would have to be merged.
            field.node.directives.is_empty() && fields.len() <= MOST_FIELDS && (!is_twin || is_leaf(field))
        }
        Selection::InlineFragment(fragment) => {
            let on = fragment.node.type_condition.as_ref();
            !applies::<T>(ctx, on) || collect::<T>(ctx, &fragment.node.selection_set.node, fields)
        }
        Selection::FragmentSpread(spread) => match ctx.query_env.fragments.get(&spread.node.fragment_name.node) {
            Some(fragment) => {
                !applies::<T>(ctx, Some(&fragment.node.type_condition))
                    || collect::<T>(ctx, &fragment.node.selection_set.node, fields)
            }
            None => false,
        },
    })
}

/// Whether a fragment is about a `T`: about that type itself, or an interface of it.
fn applies<T: ContainerType>(ctx: &ContextSelectionSet<'_>, condition: Option<&Positioned<TypeCondition>>) -> bool {
    let Some(condition) = condition else { return true };
    let (name, on) = (T::type_name(), condition.node.on.node.as_str());
    let implements = ctx.schema_env.registry.implements.get(name.as_ref());
    name == on || implements.is_some_and(|interfaces| interfaces.contains(on))
}

fn is_leaf(field: &Positioned<Field>) -> bool {
    field.node.selection_set.node.items.is_empty()
}

/// The values of the fields that need not wait; of the others, what to wait for.
fn begin<'a, T: ContainerType>(
    object: usize,
    ctx: &'a ContextSelectionSet<'a>,
    shape: &Shape<'a>,
    row: &'a T,
    waiting: &mut Vec<Waiting<'a>>,
) -> ServerResult<Object> {
    let mut values = Object::clone(&shape.blank);
    for (index, (&field, place)) in shape.fields.iter().zip(values.values_mut()).enumerate() {
        if field.node.name.node == "__typename" {
            *place = Value::String(row.introspection_type_name().into_owned());
            continue;
        }
        // One that turns out to have to wait is asked again: a load that is asked for twice is one load.
        let tried = is_leaf(field).then(|| {
            let ctx: ContextBase<'_, &Positioned<Field>> = ctx.with_field(field);
            row.resolve_field(&ctx).now_or_never()
        });
        match tried.flatten() {
            Some(value) => *place = value?.unwrap_or_default(),
            None => {
                let value = Box::pin(async move { row.resolve_field(&ctx.with_field(field)).await });
                waiting.push(Waiting { object, field: index, value });
            }
        }
    }
    Ok(values)
}

/// Waits for all, and puts each value where it belongs. All are polled at each wake-up: loads are answered together, so
/// there are as many of them as there are levels below.
async fn finish(objects: &mut [Object], mut waiting: Vec<Waiting<'_>>) -> ServerResult<()> {
    poll_fn(|context| {
        let mut failed = None;
        waiting.retain_mut(|field| match field.value.poll_unpin(context) {
            Poll::Pending => true,
            Poll::Ready(Err(error)) => {
                failed.get_or_insert(error);
                false
            }
            Poll::Ready(Ok(value)) => {
                if let Some((_, place)) = objects[field.object].get_index_mut(field.field) {
                    *place = value.unwrap_or_default();
                }
                false
            }
        });
        match failed {
            Some(error) => Poll::Ready(Err(error)),
            None if waiting.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
    .await
}
