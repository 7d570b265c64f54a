//! Mutations of jobs.

use async_graphql::{Context, ID, InputObject, Object, Result};

use super::check::{Check, key};
use super::{payloads, run};
use crate::domain::job::operate::{CancelJob, RetryJob};
use crate::graphql::job::Job;
use crate::graphql::resource::Load;

#[derive(Default)]
pub struct JobMutations;

#[Object]
impl JobMutations {
    /// Lets a job that is dead or cancelled be tried again, as often as at first; one that waits is tried at once. Only for
    /// admins.
    async fn retry_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which job.")] input: RetryJobInput,
    ) -> Result<Option<RetryJobPayload>> {
        ctx.allow::<Job>()?;
        let (check, id) = (Check::once(input.idempotency_key.as_deref()), key::<Job>(ctx, &input.id)?);
        Ok(Some(run(ctx, check, || Some(RetryJob { id })).await?.into()))
    }

    /// Ends a job that waits, and asks one that runs to end. Only for admins.
    async fn cancel_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which job.")] input: CancelJobInput,
    ) -> Result<Option<CancelJobPayload>> {
        ctx.allow::<Job>()?;
        let (check, id) = (Check::once(input.idempotency_key.as_deref()), key::<Job>(ctx, &input.id)?);
        Ok(Some(run(ctx, check, || Some(CancelJob { id })).await?.into()))
    }
}

/// A job to be tried again.
#[derive(InputObject)]
struct RetryJobInput {
    /// The global id.
    id: ID,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

/// A job to be called off.
#[derive(InputObject)]
struct CancelJobInput {
    /// The global id.
    id: ID,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

payloads! {
    /// What retryJob did.
    RetryJobPayload {
        /// The job, which waits; or as it is, if it cannot be tried again.
        job: Job
    }
    /// What cancelJob did.
    CancelJobPayload {
        /// The job, cancelled, or about to be; or as it is, if it cannot be.
        job: Job
    }
}
