//! Whoever may not see jobs imports files all the same.

use async_graphql::{EmptyMutation, EmptySubscription, Request, Schema};
use entity::user::Role;

use super::*;
use crate::domain::job::{Kind, sample};
use crate::graphql::job::tests::{World, codes};

#[tokio::test]
async fn its_id_is_for_everybody_and_the_job_for_admins() {
    let world = World::new().await;
    let payload = ImportProductsPayload::from(Answer::Done(sample(Kind::Import)));
    let schema = Schema::new(payload, EmptyMutation, EmptySubscription);
    let query = "{ job { id state } jobId userErrors { message } }";
    for (role, refused, data) in [
        (Role::Admin, vec![], r#"{job: {id: "Sm9iOjE", state: QUEUED}, jobId: "Sm9iOjE", userErrors: []}"#),
        (Role::Customer, vec!["FORBIDDEN"], r#"{job: null, jobId: "Sm9iOjE", userErrors: []}"#),
    ] {
        let response = schema.execute(Request::new(query).data(world.context(role))).await;
        assert_eq!(
            (codes(&response), response.data.to_string()),
            (refused.into_iter().map(str::to_owned).collect(), data.to_owned())
        );
    }
}
