//! Who is asking.

use async_graphql::{Context, Object, Result, SimpleObject};

use super::resource::Load;
use super::user::{User, UserRole};

/// The field of the root that tells who is asking.
#[derive(Default)]
pub struct ViewerRoot;

#[Object]
impl ViewerRoot {
    /// Who is asking, and what they may do.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        let viewer = &ctx.request().viewer;
        let user = match viewer.user {
            Some(key) => ctx.load(key).await?,
            None => None,
        };
        Ok(Viewer { role: viewer.role.into(), user })
    }
}

/// Who is asking.
#[derive(SimpleObject)]
struct Viewer {
    /// What they may do.
    role: UserRole,
    /// The account they signed in with; null without one.
    user: Option<User>,
}
