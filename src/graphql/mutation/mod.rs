//! What can be changed: one file for each resource.
//!
//! A mutation reads its input into a work of the domain, all that is wrong with it at once, and answers with what was
//! done. Rules live in the domain, transactions in the data layer; here is neither.

mod check;
mod comment;
mod import;
mod job;
mod order;
mod post;
mod product;
mod user;
mod user_error;

use async_graphql::{Context, MergedObject, Result};

use super::resource::Load;
use crate::data::Error;
use crate::data::write::{Refused, Work};
use crate::domain::refusal::{Problem, Refusal};
use check::Check;
use user_error::UserError;

/// What can be changed. The fields of a request are done one after the other, each in a transaction of its own.
#[derive(Default, MergedObject)]
pub struct Mutation(
    user::UserMutations,
    post::PostMutations,
    comment::CommentMutations,
    product::ProductMutations,
    import::ImportMutations,
    order::OrderMutations,
    job::JobMutations,
);

/// What a work did, or what a person can mend so that it does.
pub enum Answer<T, R> {
    Done(T),
    Refused {
        problems: Vec<Problem>,
        /// What was to be changed, as it is.
        current: Option<R>,
    },
}

/// Runs the work that a field asks for, if its input is right. What the field shows is read anew, from the primary.
async fn run<W, R>(ctx: &Context<'_>, check: Check, work: impl FnOnce() -> Option<W>) -> Result<Answer<W::Output, R>>
where
    W: Work<Refusal = Refusal<R>>,
    R: Send + 'static,
{
    let (once, problems) = check.end(ctx);
    let Some(work) = work().filter(|_| problems.is_empty()) else {
        return Ok(Answer::Refused { problems, current: None });
    };
    let request = ctx.request();
    let done = request.writes.run(work, once, &request.ledger).await;
    // Whatever was read before is older than what was done, or refused.
    request.loaders.forget();
    match done {
        Ok(done) => {
            request.done.set(done.token);
            Ok(Answer::Done(done.output))
        }
        Err(Refused::Rule(Refusal::Problems { problems, current })) => Ok(Answer::Refused { problems, current }),
        Err(Refused::Rule(Refusal::Missing(name))) => Err(ctx.refuse(Error::NotFound(name))),
        Err(Refused::Data(error)) => Err(ctx.refuse(error)),
    }
}

/// Declares payloads: the object that was written, or that stands against it, and what is to be mended.
macro_rules! payloads {
    ($($(#[$doc:meta])* $payload:ident { $(#[$field_doc:meta])* $field:ident: $type:ident })+) => {
        $(
            $(#[$doc])*
            #[derive(async_graphql::SimpleObject)]
            pub struct $payload {
                $(#[$field_doc])*
                $field: Option<$type>,
                /// What to mend, so that it can be done; empty if it was done.
                user_errors: Vec<$crate::graphql::mutation::user_error::UserError>,
            }

            impl<R> From<$crate::graphql::mutation::Answer<R, R>> for $payload
            where
                $type: From<std::sync::Arc<R>>,
            {
                fn from(answer: $crate::graphql::mutation::Answer<R, R>) -> Self {
                    let (row, user_errors) = answer.split();
                    Self { $field: row.map(|row| $type::from(std::sync::Arc::new(row))), user_errors }
                }
            }
        )+
    };
}
use payloads;

impl<R> Answer<R, R> {
    /// The object to show, and what is wrong.
    fn split(self) -> (Option<R>, Vec<UserError>) {
        match self {
            Self::Done(row) => (Some(row), Vec::new()),
            Self::Refused { problems, current } => (current, problems.into_iter().map(UserError::from).collect()),
        }
    }
}
