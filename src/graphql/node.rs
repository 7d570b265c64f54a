//! Every object by its global id. <https://relay.dev/graphql/objectidentification.htm>

use async_graphql::{Context, ID, Object, Result};
use futures_util::future::join_all;

use super::policy::{self, Scope};
use super::resource::Load;
use super::{Node, id};
use crate::data::Error;

/// The fields of the root that find any object. It is up to what is found for how long, and for whom, that may be kept.
#[derive(Default)]
pub struct NodeRoot;

#[Object]
impl NodeRoot {
    /// An object by global id, whatever its type; null if there is none.
    #[graphql(directive = policy::cache_control::apply(Some(60), Some(Scope::Public), None))]
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "The global id.")] id: ID) -> Result<Option<Node>> {
        find(ctx, &id).await
    }

    /// Objects by global id, in the order of the ids; null where there is none.
    #[graphql(directive = policy::cache_control::apply(Some(60), Some(Scope::Public), None))]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global ids; at most 100 by default.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Result<Node>>>> {
        let most = ctx.request().settings.max_nodes;
        if ids.len() > most {
            return Err(ctx.refuse(Error::bad_input(format!("ids must not be more than {most}"))));
        }
        // One that fails is null, as one that is not there.
        Ok(join_all(ids.iter().map(|id| find(ctx, id))).await.into_iter().map(Result::transpose).collect())
    }
}

async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>> {
    let (name, key) = id::split(id).map_err(|error| ctx.refuse(error))?;
    Node::find(ctx, &name, key).await
}
