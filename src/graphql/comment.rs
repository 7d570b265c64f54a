//! Comments: what readers say about posts.

use std::sync::{Arc, LazyLock};

use async_graphql::{Context, ID, InputObject, MergedObject, Object, Result};
use entity::comment;

use super::connection::{Filter, Selection, list_fields, orders};
use super::id;
use super::post::Post;
use super::resource::{Load, Resource};
use super::rows::Row;
use super::scalars::{DateTime, DateTimeRange};
use super::user::User;
use crate::data::condition::Condition;
use crate::data::events::Topic;
use crate::data::list::{List, Path};
use crate::data::{Declarations, Error, Record};

impl Record for comment::Model {
    type Entity = comment::Entity;
    type Key = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

/// All comments.
static ALL: LazyLock<List<comment::Model>> = LazyLock::new(|| {
    List::root("comments").path(Path::by(comment::Column::CreatedAt).also(comment::Column::CreatedAt))
});

/// The comments on a post.
pub static BY_POST: LazyLock<List<comment::Model>> = LazyLock::new(|| {
    List::children("post.comments", comment::Column::PostId)
        .path(Path::by(comment::Column::CreatedAt).also(comment::Column::CreatedAt))
});

/// The comments of an author.
pub static BY_AUTHOR: LazyLock<List<comment::Model>> = LazyLock::new(|| {
    List::children("user.comments", comment::Column::AuthorId)
        .path(Path::by(comment::Column::CreatedAt).also(comment::Column::CreatedAt))
});

/// A comment was added to a post.
pub static ADDED: LazyLock<Topic> =
    LazyLock::new(|| Topic::inserted::<comment::Model>("comment_added").by::<comment::Model>(comment::Column::PostId));

/// What is read of comments.
pub fn declare(to: &mut Declarations) {
    to.rows::<comment::Model>().list(&ALL).list(&BY_POST).list(&BY_AUTHOR).topic::<comment::Model>(&ADDED);
}

/// What somebody said about a post.
pub struct Comment(Arc<comment::Model>);

impl From<Arc<comment::Model>> for Comment {
    fn from(comment: Arc<comment::Model>) -> Self {
        Self(comment)
    }
}

impl Resource for Comment {
    type Record = comment::Model;
    const TYPE: &'static str = "Comment";

    fn key(&self) -> i64 {
        self.0.id
    }
}

/// What somebody said about a post.
#[Object]
impl Comment {
    /// The global id.
    async fn id(&self) -> ID {
        id::encode::<Self>(self.0.id)
    }

    /// The text.
    async fn body(&self) -> &str {
        &self.0.body
    }

    /// When it was written.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// The post it is about; null if that was deleted this moment.
    async fn post(&self, ctx: &Context<'_>) -> Result<Option<Row<Post>>> {
        Ok(ctx.load(self.0.post_id).await?.map(Row))
    }

    /// Who wrote it.
    async fn author(&self, ctx: &Context<'_>) -> Result<Row<User>> {
        ctx.load_parent(self.0.author_id).await
    }
}

/// Which comments.
#[derive(Debug, Default, InputObject)]
pub struct CommentFilter {
    /// Only comments on this post.
    post_id: Option<ID>,
    /// Only comments of this author. Not with a post.
    author_id: Option<ID>,
    /// Only comments written in this span.
    created_at: Option<DateTimeRange>,
}

impl Filter<comment::Model> for CommentFilter {
    fn apply(self, selection: &mut Selection<comment::Model>) -> Result<(), Error> {
        let author = self.author_id.map(|id| id::decode::<User>(&id)).transpose()?;
        match (self.post_id, author) {
            (Some(post), author) => {
                selection.narrow(&BY_POST, id::decode::<Post>(&post)?);
                if let Some(author) = author {
                    selection.only(Condition::equals(comment::Column::AuthorId, author));
                }
            }
            (None, Some(author)) => selection.narrow(&BY_AUTHOR, author),
            (None, None) => {}
        }
        RelatedCommentFilter { created_at: self.created_at }.apply(selection)
    }
}

/// Which comments of a list.
#[derive(Debug, Default, InputObject)]
pub struct RelatedCommentFilter {
    /// Only comments written in this span.
    created_at: Option<DateTimeRange>,
}

impl Filter<comment::Model> for RelatedCommentFilter {
    fn apply(self, selection: &mut Selection<comment::Model>) -> Result<(), Error> {
        self.created_at.unwrap_or_default().apply(comment::Column::CreatedAt, selection);
        Ok(())
    }
}

orders! {
    /// The order of comments.
    CommentOrder {
        /// Newest first.
        CreatedAtDesc = desc(comment::Column::CreatedAt),
        /// Oldest first.
        CreatedAtAsc = asc(comment::Column::CreatedAt),
    }
}

/// The comments of the root.
#[derive(Default, MergedObject)]
pub struct CommentRoot(CommentRootLists, CommentLookups);

list_fields!(CommentRootLists {
    /// All comments, newest first.
    comments: Comment = ALL, filter: CommentFilter, order: CommentOrder;
});

#[derive(Default)]
struct CommentLookups;

#[Object]
impl CommentLookups {
    /// A comment by global id.
    async fn comment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Result<Option<Row<Comment>>> {
        ctx.load_id(&id).await
    }
}
