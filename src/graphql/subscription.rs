//! What can be subscribed to.
//!
//! The fields are defined once, as those of an object: each names what it listens to, and shows the row of an event like any
//! other field shows a row. [`Described`] makes that object the subscription of the graph; its fields are executed as
//! those of a query, first to learn what they listen to, then for each event.

pub mod operation;

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_graphql::registry::Registry;
use async_graphql::{Context, ID, Object, ObjectType, Response, Result, SubscriptionType};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

use super::comment::{self, Comment};
use super::id;
use super::job::{self, Job};
use super::order::{self, Order};
use super::post::{self, Post};
use super::product::{self, Product};
use super::resource::{Load, Resource};
use super::rows::Row;
use super::user::{self, User};
use crate::data::Error;
use crate::data::events::Topic;
use crate::data::scalar::Scalar;

/// How many may subscribe, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Most subscriptions.
    pub max: usize,
    /// Most operations at once of one WebSocket, or of one stream of events.
    pub per_connection: usize,
    /// Most WebSockets and streams of events, each of which may carry many operations.
    pub max_connections: usize,
    /// Most events that wait for one subscriber: who is further behind is cut off.
    pub queue: usize,
    /// Largest message of a WebSocket, in bytes.
    pub max_message_bytes: usize,
    /// How long a WebSocket may take to introduce itself, and a reserved stream to be opened, in milliseconds.
    pub init_timeout_ms: u64,
    /// How often a connection is shown that somebody is there, and asked the same, in milliseconds.
    pub heartbeat_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max: 10_000,
            per_connection: 100,
            max_connections: 10_000,
            queue: 100,
            max_message_bytes: 256 << 10,
            init_timeout_ms: 10_000,
            heartbeat_ms: 15_000,
        }
    }
}

/// What a field is executed for.
#[derive(Debug)]
pub enum Stage {
    /// To learn what it listens to: topic and key.
    Begins(OnceLock<(&'static Topic, Scalar)>),
    /// To show an event.
    Shows {
        /// The primary key of the row.
        key: i64,
        /// Whether the row has been deleted meanwhile.
        is_gone: AtomicBool,
        /// Whether nothing more will happen to it.
        is_end: AtomicBool,
    },
}

impl Stage {
    /// To show an event of the row with this primary key.
    pub fn shows(key: i64) -> Self {
        Self::Shows { key, is_gone: AtomicBool::new(false), is_end: AtomicBool::new(false) }
    }
}

/// The fields.
pub struct Fields;

/// What can be heard of as it happens.
#[Object(name = "Subscription")]
impl Fields {
    /// A comment that was added to a post.
    async fn comment_added(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the post.")] post_id: ID,
    ) -> Result<Row<Comment>> {
        hear(ctx, &comment::ADDED, of::<Post>(ctx, &post_id)?).await
    }

    /// A post that was published.
    async fn post_published(&self, ctx: &Context<'_>) -> Result<Row<Post>> {
        hear(ctx, &post::PUBLISHED, Scalar::Null).await
    }

    /// An order, whenever its status changes.
    async fn order_status_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the order.")] order_id: ID,
    ) -> Result<Row<Order>> {
        hear(ctx, &order::STATUS_CHANGED, of::<Order>(ctx, &order_id)?).await
    }

    /// A product, whenever it changes.
    async fn product_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the product.")] id: ID,
    ) -> Result<Row<Product>> {
        hear(ctx, &product::CHANGED, of::<Product>(ctx, &id)?).await
    }

    /// A user, whenever they change.
    async fn user_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the user.")] id: ID,
    ) -> Result<Row<User>> {
        hear(ctx, &user::UPDATED, of::<User>(ctx, &id)?).await
    }

    /// A job, whenever it gets on or its state changes, until it has ended. One that is tried again after that is
    /// another subscription's.
    async fn job_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the job.")] id: ID,
    ) -> Result<Row<Job>> {
        let shown = hear::<Job>(ctx, &job::PROGRESS, of::<Job>(ctx, &id)?).await;
        if let Stage::Shows { is_gone, is_end, .. } = &**ctx.data_unchecked::<Arc<Stage>>() {
            let has_ended = shown.as_ref().is_ok_and(|Row(job)| job.has_ended());
            is_end.fetch_or(has_ended || is_gone.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        shown
    }
}

/// The key in an argument.
fn of<T: Resource>(ctx: &Context<'_>, id: &ID) -> Result<Scalar> {
    id::decode::<T>(id).map(Scalar::Int).map_err(|error| ctx.refuse(error))
}

/// The row of an event; or what would be listened to, of which an error tells nobody anything.
async fn hear<T: Resource>(ctx: &Context<'_>, topic: &'static Topic, key: Scalar) -> Result<Row<T>> {
    ctx.allow::<T>()?;
    match &**ctx.data_unchecked::<Arc<Stage>>() {
        Stage::Begins(heard) => {
            // There is one root field.
            let _ = heard.set((topic, key));
        }
        Stage::Shows { key, is_gone, .. } => match ctx.load(*key).await? {
            Some(row) => return Ok(Row(row)),
            None => is_gone.store(true, Ordering::Relaxed),
        },
    }
    Err(ctx.refuse(Error::Vanished(T::TYPE)))
}

/// The object `T` as the subscription of a graph, as far as documents are validated and the graph is described: there are
/// no events here.
pub struct Described<T>(pub T);

impl<T: ObjectType> SubscriptionType for Described<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    fn create_field_stream<'a>(
        &'a self,
        _: &'a Context<'_>,
    ) -> Option<Pin<Box<dyn Stream<Item = Response> + Send + 'a>>> {
        Some(Box::pin(stream::empty()))
    }
}
