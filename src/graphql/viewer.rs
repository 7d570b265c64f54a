//! Who is asking.

use async_graphql::{Object, SimpleObject};

use super::user::{User, UserRole};

/// The field of the root that tells who is asking.
#[derive(Default)]
pub struct ViewerRoot;

#[Object]
impl ViewerRoot {
    /// Who is asking, and what they may do.
    async fn viewer(&self) -> Viewer {
        // Identity is not configured: the server listens on loopback only, and all who reach it may do everything.
        Viewer { role: UserRole::Admin, user: None }
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
