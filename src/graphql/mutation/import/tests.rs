//! Whoever may not see jobs imports files all the same.

use async_graphql::{EmptyMutation, EmptySubscription, Request, Schema};
use chrono::{DateTime, Utc};
use entity::job::State;
use entity::user::Role;

use super::*;
use crate::graphql::job::tests::{World, codes};

fn job() -> job::Model {
    let epoch = DateTime::<Utc>::UNIX_EPOCH;
    job::Model {
        id: 1,
        kind: "import".to_owned(),
        task: String::new(),
        unique_key: None,
        slot: None,
        priority: 0,
        state: State::Queued,
        due_at: epoch,
        attempt: 0,
        max_attempts: 5,
        leased_until: None,
        worker: None,
        cancel_requested: false,
        progress: 0,
        progress_total: None,
        report: None,
        error: None,
        created_at: epoch,
        finished_at: None,
    }
}

#[tokio::test]
async fn its_id_is_for_everybody_and_the_job_for_admins() {
    let world = World::new().await;
    let payload = ImportProductsPayload::from(Answer::Done(job()));
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
