//! Mutations of posts.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::check::{Check, key};
use super::user_error::UserError;
use super::{Answer, payloads, run};
use crate::domain::post::{ArchivePost, CreatePost, DeletePost, MAX_TAGS, PublishPost, SetPostTags, UpdatePost};
use crate::graphql::id;
use crate::graphql::post::Post;
use crate::graphql::scalars::DateTime;

#[derive(Default)]
pub struct PostMutations;

#[Object]
impl PostMutations {
    /// Begins a post, as a draft.
    async fn create_post(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The post.")] input: CreatePostInput,
    ) -> Result<Option<CreatePostPayload>> {
        let mut check = Check::once(input.idempotency_key.as_deref());
        let author = check.user_or_viewer(ctx, "authorId", input.author_id.as_ref())?;
        let title = check.text("title", &input.title);
        let body = check.text("body", &input.body);
        let work = || Some(CreatePost { author: author?, title: title?, body: body? });
        Ok(Some(run(ctx, check, work).await?.into()))
    }

    /// Changes what a post says.
    async fn update_post(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The post, and what is to change.")] input: UpdatePostInput,
    ) -> Result<Option<UpdatePostPayload>> {
        let mut check = Check::once(input.idempotency_key.as_deref());
        let id = key::<Post>(ctx, &input.id)?;
        let title = check.optional("title", input.title.as_deref());
        let body = check.optional("body", input.body.as_deref());
        let based_on = input.updated_at.map(Into::into);
        Ok(Some(run(ctx, check, || Some(UpdatePost { id, based_on, title: title?, body: body? })).await?.into()))
    }

    /// Shows a post to everybody; publishedAt is when that was done first. A published post stays as it is.
    async fn publish_post(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which post.")] input: PublishPostInput,
    ) -> Result<Option<PublishPostPayload>> {
        let check = Check::once(input.idempotency_key.as_deref());
        let (id, based_on) = (key::<Post>(ctx, &input.id)?, input.updated_at.map(Into::into));
        Ok(Some(run(ctx, check, || Some(PublishPost { id, based_on })).await?.into()))
    }

    /// Takes a post out of sight. An archived post stays as it is.
    async fn archive_post(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which post.")] input: ArchivePostInput,
    ) -> Result<Option<ArchivePostPayload>> {
        let check = Check::once(input.idempotency_key.as_deref());
        let (id, based_on) = (key::<Post>(ctx, &input.id)?, input.updated_at.map(Into::into));
        Ok(Some(run(ctx, check, || Some(ArchivePost { id, based_on })).await?.into()))
    }

    /// Deletes a post with its comments.
    async fn delete_post(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which post.")] input: DeletePostInput,
    ) -> Result<Option<DeletePostPayload>> {
        let check = Check::once(input.idempotency_key.as_deref());
        let (id, based_on) = (key::<Post>(ctx, &input.id)?, input.updated_at.map(Into::into));
        Ok(Some(match run(ctx, check, || Some(DeletePost { id, based_on })).await? {
            Answer::Done(deleted) => DeletePostPayload {
                deleted_post_id: Some(id::encode::<Post>(deleted.id)),
                deleted_comment_count: i32::try_from(deleted.comments).unwrap_or(i32::MAX),
                post: None,
                user_errors: Vec::new(),
            },
            Answer::Refused { problems, current } => DeletePostPayload {
                deleted_post_id: None,
                deleted_comment_count: 0,
                post: current.map(|post| Post::from(std::sync::Arc::new(post))),
                user_errors: problems.into_iter().map(UserError::from).collect(),
            },
        }))
    }

    /// Sets all tags of a post: new ones are made, others are taken off.
    async fn set_post_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The post and its tags.")] input: SetPostTagsInput,
    ) -> Result<Option<SetPostTagsPayload>> {
        let mut check = Check::once(input.idempotency_key.as_deref());
        let (id, based_on) = (key::<Post>(ctx, &input.id)?, input.updated_at.map(Into::into));
        check.length("tags", input.tags.len(), 0..=MAX_TAGS);
        let tags = input.tags.iter().take(MAX_TAGS).enumerate();
        let tags: Vec<_> = tags.map(|(index, name)| check.text(&format!("tags.{index}"), name)).collect();
        let work = || Some(SetPostTags { id, based_on, tags: tags.into_iter().collect::<Option<_>>()? });
        Ok(Some(run(ctx, check, work).await?.into()))
    }
}

/// A post to be begun.
#[derive(InputObject)]
struct CreatePostInput {
    /// Who writes it; the viewer, if not given.
    author_id: Option<ID>,
    /// The headline, 1 to 200 characters.
    title: String,
    /// The text, 1 to 100,000 characters.
    body: String,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

/// What is to be changed in a post. What is not given, or null, stays as it is.
#[derive(InputObject)]
struct UpdatePostInput {
    /// The global id.
    id: ID,
    /// The headline, 1 to 200 characters.
    title: Option<String>,
    /// The text, 1 to 100,000 characters.
    body: Option<String>,
    /// When the post last changed, as you know it: if it changed since, nothing is done.
    updated_at: Option<DateTime>,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

/// Declares the inputs of mutations that need to know no more than which post.
macro_rules! which_post {
    ($($(#[$doc:meta])* $input:ident)+) => {
        $(
            $(#[$doc])*
            #[derive(InputObject)]
            struct $input {
                /// The global id.
                id: ID,
                /// When the post last changed, as you know it: if it changed since, nothing is done.
                updated_at: Option<DateTime>,
                /// A key of your own, so that sending this twice does it once.
                idempotency_key: Option<String>,
            }
        )+
    };
}

which_post! {
    /// A post to be published.
    PublishPostInput
    /// A post to be archived.
    ArchivePostInput
    /// A post to be deleted.
    DeletePostInput
}

/// The tags that a post is to have.
#[derive(InputObject)]
struct SetPostTagsInput {
    /// The global id of the post.
    id: ID,
    /// All of its tags, at most 20: each 1 to 64 lower-case letters a to z and digits, joined by single hyphens.
    tags: Vec<String>,
    /// When the post last changed, as you know it: if it changed since, nothing is done.
    updated_at: Option<DateTime>,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

payloads! {
    /// What createPost did.
    CreatePostPayload {
        /// The new post; null if there is none.
        post: Post
    }
    /// What updatePost did.
    UpdatePostPayload {
        /// The post, changed; or as it is, if it changed since the state that updatedAt names.
        post: Post
    }
    /// What publishPost did.
    PublishPostPayload {
        /// The post, published; or as it is, if it changed since the state that updatedAt names.
        post: Post
    }
    /// What archivePost did.
    ArchivePostPayload {
        /// The post, archived; or as it is, if it changed since the state that updatedAt names.
        post: Post
    }
    /// What setPostTags did.
    SetPostTagsPayload {
        /// The post with its tags; or as it is, if it changed since the state that updatedAt names.
        post: Post
    }
}

/// What deletePost did.
#[derive(SimpleObject)]
struct DeletePostPayload {
    /// The global id that it had; null if nothing was deleted.
    deleted_post_id: Option<ID>,
    /// How many comments went with it.
    deleted_comment_count: i32,
    /// The post as it is, if it changed since the state that updatedAt names.
    post: Option<Post>,
    /// What to mend, so that it can be done; empty if it was done.
    user_errors: Vec<UserError>,
}
