//! Mutations that begin what takes longer than a request may.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result};
use entity::job;

use super::check::Check;
use super::user_error::UserError;
use super::{Answer, run};
use crate::domain::import::upload::ImportProducts;
use crate::graphql::id;
use crate::graphql::job::Job;
use crate::graphql::resource::Load;

#[derive(Default)]
pub struct ImportMutations;

#[Object]
impl ImportMutations {
    /// Imports products from a CSV file that was sent by PUT to /uploads: adds those whose sku is new, and changes the
    /// others to what the file says. It is done by a job.
    async fn import_products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file.")] input: ImportProductsInput,
    ) -> Result<Option<ImportProductsPayload>> {
        let check = Check::once(input.idempotency_key.as_deref());
        let upload = id::key_of(id::UPLOAD, &input.upload_id).map_err(|error| ctx.refuse(error))?;
        let viewer = &ctx.request().viewer;
        let owner = (!viewer.is_admin()).then(|| viewer.scope());
        let answer = run(ctx, check, || Some(ImportProducts { upload, owner })).await?;
        Ok(Some(answer.into()))
    }
}

/// A file to be imported.
#[derive(InputObject)]
struct ImportProductsInput {
    /// The id with which PUT to /uploads was answered. Files are kept for some days.
    upload_id: ID,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

/// What importProducts began.
struct ImportProductsPayload {
    job: Option<Arc<job::Model>>,
    user_errors: Vec<UserError>,
}

impl From<Answer<job::Model, job::Model>> for ImportProductsPayload {
    fn from(answer: Answer<job::Model, job::Model>) -> Self {
        let (job, user_errors) = answer.split();
        Self { job: job.map(Arc::new), user_errors }
    }
}

/// What importProducts began.
#[Object]
impl ImportProductsPayload {
    /// The job that imports the file; null if there is none. Only for admins.
    async fn job(&self, ctx: &Context<'_>) -> Option<Result<Job>> {
        // An error of the field itself would take the rest of the payload with it.
        self.job.clone().map(|job| ctx.allow::<Job>().map(|()| Job::from(job)))
    }

    /// The global id of the job, for everybody; null if there is none.
    async fn job_id(&self) -> Option<ID> {
        self.job.as_ref().map(|job| id::encode::<Job>(job.id))
    }

    /// What to mend, so that it can be done; empty if it was begun.
    async fn user_errors(&self) -> &[UserError] {
        &self.user_errors
    }
}

#[cfg(test)]
mod tests;
