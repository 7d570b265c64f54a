//! What makes a record a type of the graph, and how fields name what they need.

use std::future::Future;
use std::sync::Arc;

use async_graphql::{Context, ID, ObjectType, PathSegment, Result};
use sea_orm::FromQueryResult;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::{Connection, Selection};
use super::context::{RequestContext, Viewer};
use super::error::{self, fault, forbidden};
use super::id;
use super::rows::Row;
use crate::data::Cached;
use crate::data::find::{Aggregate, Aggregates, Rows, Unique};
use crate::data::page::{PageArgs, PageSpec};
use crate::data::{Error, Record};

/// An object type that shows one record and can be found by its global id.
pub trait Resource: ObjectType + From<Arc<Self::Record>> + 'static {
    type Record: Record<Key = i64>;
    /// The type's name in the graph.
    const TYPE: &'static str;

    /// The primary key.
    fn key(&self) -> i64;

    /// Whether a record may be shown to everybody, as far as the type's policy allows it.
    fn is_for_all(_: &Self::Record) -> bool {
        true
    }

    /// Whether a viewer may see such objects at all. Who may not is told so, whether there are any or not.
    fn is_for(_: &Viewer) -> bool {
        true
    }

    /// The field `id`, as interfaces resolve it.
    fn global_id(&self, _: &Context<'_>) -> impl Future<Output = Result<ID>> + Send {
        std::future::ready(Ok(id::encode::<Self>(self.key())))
    }
}

/// What a resolver may ask for. All of it is batched; nobody chooses a database.
pub trait Load {
    fn request(&self) -> &RequestContext;

    /// The value of a source for a key, if there is one.
    fn fetch<S: Cached>(&self, source: S, key: S::Key) -> impl Future<Output = Result<Option<S::Value>>> + Send;

    /// The object with this primary key, if there is one.
    fn load<T: Resource>(&self, key: i64) -> impl Future<Output = Result<Option<T>>> + Send;

    /// The object with this global id, if there is one.
    fn load_id<T: Resource>(&self, id: &ID) -> impl Future<Output = Result<Option<Row<T>>>> + Send;

    /// The object with this value of a unique column, if there is one.
    fn load_unique<T: Resource>(
        &self,
        by: Unique<T::Record>,
        value: String,
    ) -> impl Future<Output = Result<Option<Row<T>>>> + Send;

    /// The object that a foreign key names.
    fn load_parent<T: Resource>(&self, key: i64) -> impl Future<Output = Result<Row<T>>> + Send;

    /// The results of an aggregate for a parent; none where the parent has no rows.
    fn aggregate<A>(&self, of: &'static Aggregate<A>, key: i64) -> impl Future<Output = Result<Arc<[A]>>> + Send
    where
        A: FromQueryResult + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// A list, ready to be paged and counted.
    fn connection<T: Resource>(&self, of: Selection<T::Record>, args: &PageArgs) -> Result<Connection<T>>;

    /// Refuses a viewer who may not see objects of this type.
    fn allow<T: Resource>(&self) -> Result<()>;

    /// The error that this field answers with.
    fn refuse(&self, error: Error) -> async_graphql::Error;
}

impl Load for Context<'_> {
    fn request(&self) -> &RequestContext {
        self.data_unchecked::<RequestContext>()
    }

    async fn fetch<S: Cached>(&self, source: S, key: S::Key) -> Result<Option<S::Value>> {
        let RequestContext { loaders, fetcher, .. } = self.request();
        loaders.fetch(fetcher, source, key, || Some(path(self))).await.map_err(|error| fault(self, error.into()))
    }

    async fn load<T: Resource>(&self, key: i64) -> Result<Option<T>> {
        self.allow::<T>()?;
        Ok(shown(self, self.fetch(Rows::<T::Record>::new(), key).await?.map(|found| found.row)))
    }

    async fn load_id<T: Resource>(&self, id: &ID) -> Result<Option<Row<T>>> {
        let key = id::decode::<T>(id).map_err(|error| fault(self, error))?;
        Ok(self.load(key).await?.map(Row))
    }

    async fn load_unique<T: Resource>(&self, by: Unique<T::Record>, value: String) -> Result<Option<Row<T>>> {
        self.allow::<T>()?;
        if value.contains('\0') {
            return Err(fault(self, Error::bad_input("a text cannot contain NUL")));
        }
        Ok(shown(self, self.fetch(by, value).await?.map(|found| found.row)).map(Row))
    }

    async fn load_parent<T: Resource>(&self, key: i64) -> Result<Row<T>> {
        match self.load(key).await? {
            Some(found) => Ok(Row(found)),
            // Only a deletion between two statements can do this.
            None => Err(fault(self, Error::Vanished(T::TYPE))),
        }
    }

    async fn aggregate<A>(&self, of: &'static Aggregate<A>, key: i64) -> Result<Arc<[A]>>
    where
        A: FromQueryResult + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Ok(self.fetch(Aggregates(of), key).await?.unwrap_or_else(|| Arc::new([])))
    }

    fn connection<T: Resource>(&self, of: Selection<T::Record>, args: &PageArgs) -> Result<Connection<T>> {
        self.allow::<T>()?;
        let limits = self.request().settings.page_limits();
        let shown = &self.request().shown;
        shown.any(T::TYPE);
        if !of.is_for_all() {
            shown.private();
        }
        let (listing, parent) = of.listing().map_err(|error| fault(self, error))?;
        let page = PageSpec::new(args, limits, &listing).map_err(|error| fault(self, error))?;
        Ok(Connection { listing, page, parent })
    }

    fn allow<T: Resource>(&self) -> Result<()> {
        if T::is_for(&self.request().viewer) { Ok(()) } else { Err(forbidden(self)) }
    }

    fn refuse(&self, error: Error) -> async_graphql::Error {
        fault(self, error)
    }
}

/// Where a field stands in its document, as logs tell it.
fn path(ctx: &Context<'_>) -> String {
    let name = |segment| if let PathSegment::Field(name) = segment { Some(name) } else { None };
    error::path(ctx).into_iter().filter_map(name).collect::<Vec<_>>().join(".")
}

/// The object of a record that is shown, if there is one.
fn shown<T: Resource>(ctx: &Context<'_>, found: Option<Arc<T::Record>>) -> Option<T> {
    let shown = &ctx.request().shown;
    match found {
        Some(record) => {
            shown.object::<T>(&record);
            Some(T::from(record))
        }
        None => {
            shown.any(T::TYPE);
            None
        }
    }
}
