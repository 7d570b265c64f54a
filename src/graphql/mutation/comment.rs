//! Mutations of comments.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::check::{Check, key};
use super::user_error::UserError;
use super::{payloads, run};
use crate::domain::post::{AddComment, DeleteComment};
use crate::graphql::comment::Comment;
use crate::graphql::id;
use crate::graphql::post::Post;
use crate::graphql::resource::Load;

#[derive(Default)]
pub struct CommentMutations;

#[Object]
impl CommentMutations {
    /// Adds a comment to a published post.
    async fn add_comment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The comment.")] input: AddCommentInput,
    ) -> Result<Option<AddCommentPayload>> {
        let mut check = Check::once(input.idempotency_key.as_deref());
        let post = key::<Post>(ctx, &input.post_id)?;
        let author = check.user_or_viewer(ctx, "authorId", input.author_id.as_ref())?;
        let body = check.text("body", &input.body);
        Ok(Some(run(ctx, check, || Some(AddComment { post, author: author?, body: body? })).await?.into()))
    }

    /// Deletes a comment.
    async fn delete_comment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which comment.")] input: DeleteCommentInput,
    ) -> Result<Option<DeleteCommentPayload>> {
        let check = Check::once(input.idempotency_key.as_deref());
        let id = key::<Comment>(ctx, &input.id)?;
        let (deleted, user_errors) = run(ctx, check, || Some(DeleteComment { id })).await?.split();
        Ok(Some(DeleteCommentPayload {
            deleted_comment_id: deleted.as_ref().map(|comment| id::encode::<Comment>(comment.id)),
            post_key: deleted.map(|comment| comment.post_id),
            user_errors,
        }))
    }
}

/// A comment to be added.
#[derive(InputObject)]
struct AddCommentInput {
    /// The global id of the post.
    post_id: ID,
    /// Who says it; the viewer, if not given.
    author_id: Option<ID>,
    /// What they say, 1 to 10,000 characters.
    body: String,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

/// A comment to be deleted.
#[derive(InputObject)]
struct DeleteCommentInput {
    /// The global id.
    id: ID,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

payloads! {
    /// What addComment did.
    AddCommentPayload {
        /// The new comment; null if there is none.
        comment: Comment
    }
}

/// What deleteComment did.
#[derive(SimpleObject)]
#[graphql(complex)]
struct DeleteCommentPayload {
    /// The global id that it had; null if nothing was deleted.
    deleted_comment_id: Option<ID>,
    #[graphql(skip)]
    post_key: Option<i64>,
    /// What to mend, so that it can be done; empty if it was done.
    user_errors: Vec<UserError>,
}

#[async_graphql::ComplexObject]
impl DeleteCommentPayload {
    /// The post that it was on.
    async fn post(&self, ctx: &Context<'_>) -> Result<Option<Post>> {
        match self.post_key {
            Some(key) => ctx.load(key).await,
            None => Ok(None),
        }
    }
}
