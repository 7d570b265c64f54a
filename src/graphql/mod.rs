//! The graph: its types, one file for each resource, and what executes a request.
//!
//! Promises that no resolver chooses a database or asks one by itself: fields name what they need of [`resource::Load`],
//! and get it batched. Knows neither HTTP nor SQL.

mod asked;
pub mod budget;
pub mod connection;
pub mod context;
mod documents;
pub mod error;
pub mod execute;
mod federation;
pub mod guard;
pub mod id;
mod mutation;
mod node;
pub mod note;
pub mod persisted;
pub mod policy;
pub mod prepare;
pub mod price;
pub mod resource;
mod root;
mod rows;
mod scalars;
mod shown;
pub mod subscription;
mod table;
mod variables;
mod viewer;

use async_graphql::{
    Context, EmptyMutation, EmptySubscription, ID, Interface, MergedObject, Result, SDLExportOptions, Schema, Union,
    ValidationMode,
};

use mutation::Mutation;
use resource::{Load, Resource};
use root::Root;
use subscription::{Described, Fields};

use crate::data::Declarations;

/// Declares the resources, each with the part of the root it has: their modules, the interface of all objects with a
/// global id, what is read of the database, and the root itself.
macro_rules! resources {
    ($($module:ident: $type:ident $(, $root:ident)?;)+) => {
        $(pub mod $module;)+

        /// An object with a global id.
        #[derive(Interface)]
        #[graphql(field(name = "id", method = "global_id", ty = "ID", desc = "The global id."))]
        pub enum Node {
            $($type($module::$type),)+
        }

        impl Node {
            /// The object of the type called `name` with this primary key, if there is one.
            async fn find(ctx: &Context<'_>, name: &str, key: i64) -> Result<Option<Self>> {
                match name {
                    $(<$module::$type as Resource>::TYPE => {
                        ctx.request().shown.turned_out(<$module::$type as Resource>::TYPE);
                        Ok(ctx.load::<$module::$type>(key).await?.map(Self::$type))
                    })+
                    _ => Err(ctx.refuse(crate::data::Error::bad_input("not a valid id"))),
                }
            }
        }

        /// An object that other subgraphs may know by its global id.
        #[derive(Union)]
        #[graphql(name = "_Entity")]
        pub enum Entity {
            $($type($module::$type),)+
        }

        impl From<Node> for Entity {
            fn from(node: Node) -> Self {
                match node {
                    $(Node::$type(object) => Self::$type(object),)+
                }
            }
        }

        /// Everything that the graph reads.
        pub fn declarations() -> Declarations {
            let mut declared = Declarations::default();
            $($module::declare(&mut declared);)+
            declared
        }

        /// What can be asked.
        #[derive(Default, MergedObject)]
        pub struct Query(node::NodeRoot, viewer::ViewerRoot, federation::SubgraphRoot, $($($module::$root,)?)+);
    };
}

resources! {
    user: User, UserRoot;
    post: Post, PostRoot;
    comment: Comment, CommentRoot;
    tag: Tag, TagRoot;
    product: Product, ProductRoot;
    order: Order, OrderRoot;
    order_item: OrderItem;
    job: Job, JobRoot;
}

/// The executable schema.
pub type Graph = Schema<Root<Query>, Root<Mutation>, Described<Fields>>;

/// The fields of subscriptions as those of a query, by which events are resolved.
type Subscriptions = Schema<Fields, EmptyMutation, EmptySubscription>;

/// Builds the schema. It carries no extension: any would cost more than most fields.
/// With `suggestions`, errors name what a misspelt name may have meant, which tells the schema to whoever guesses.
pub fn graph(validation: ValidationMode, suggestions: bool) -> Graph {
    let builder = Schema::build(Root::default(), Root::default(), Described(Fields))
        .validation_mode(validation)
        .limit_recursive_depth(guard::MAX_LEVELS);
    if suggestions { builder.finish() } else { builder.disable_suggestions().finish() }
}

/// Builds what resolves events, of documents that are known to be valid.
fn subscriptions() -> Subscriptions {
    Schema::build(Fields, EmptyMutation, EmptySubscription)
        .validation_mode(ValidationMode::Fast)
        .limit_recursive_depth(guard::MAX_LEVELS)
        .finish()
}

/// What is known of the fields of the graph.
pub fn table() -> table::Table {
    table::Table::of::<Root<Query>, Root<Mutation>, Fields>()
}

/// The schema as text, sorted, so that it changes only where the graph does.
pub fn sdl() -> String {
    graph(ValidationMode::Strict, false).sdl_with_options(as_text())
}

fn as_text() -> SDLExportOptions {
    SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items().include_specified_by()
}
