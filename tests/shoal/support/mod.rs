//! Servers under test and what they stand on.

mod app;
pub mod authority;
pub mod cluster;
mod gate;
pub mod id;
pub mod sink;
mod stack;

pub use app::{Answer, CACHES_OFF, PATIENT, TestApp};
pub use gate::Gate;
pub use stack::{Backend, Database, Node, Stack, command, eventually, free_port};

/// Makes each test twice: `name::postgres` with a primary, two replicas and Redis, and `name::sqlite`, embedded.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[tokio::test]
            async fn postgres() {
                super::$name($crate::support::Backend::Postgres).await;
            }

            #[tokio::test]
            async fn sqlite() {
                super::$name($crate::support::Backend::Sqlite).await;
            }
        })+
    };
}
