//! Posts: what authors write.

use std::sync::{Arc, LazyLock};

use async_graphql::{Context, Enum, ID, InputObject, MergedObject, Object, Result};
use entity::{comment as comments, post, post_tag};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};

use super::connection::{Filter, Selection, list_fields, orders};
use super::policy::{self, Scope};
use super::price::cost;
use super::resource::{Load, Resource};
use super::rows::Row;
use super::scalars::{DateTime, DateTimeRange};
use super::user::User;
use super::{comment, id, tag};
use crate::data::condition::Condition;
use crate::data::events::Topic;
use crate::data::find::{Aggregate, Bulky};
use crate::data::list::{List, Path};
use crate::data::{Declarations, Error, Record};

impl Record for post::Row {
    type Entity = post::Entity;
    type Key = i64;

    fn bulky() -> &'static [post::Column] {
        &[post::Column::Body]
    }

    fn key(&self) -> i64 {
        self.id
    }
}

/// All posts of one status.
static ALL: LazyLock<List<post::Row>> = LazyLock::new(|| {
    List::root("posts")
        .path(
            Path::by(post::Column::PublishedAt)
                .only(Condition::is(post::Column::Status, post::Status::Published))
                .also(post::Column::PublishedAt),
        )
        .path(Path::by(post::Column::CreatedAt).given(post::Column::Status))
});

/// The posts of an author.
pub static BY_AUTHOR: LazyLock<List<post::Row>> = LazyLock::new(|| {
    List::children("user.posts", post::Column::AuthorId)
        .path(Path::by(post::Column::CreatedAt).also(post::Column::Status).also(post::Column::PublishedAt))
});

/// The posts with a tag.
pub static BY_TAG: LazyLock<List<post::Row>> = LazyLock::new(|| {
    List::through::<post_tag::Entity>("tag.posts", post_tag::Column::TagId, post_tag::Column::PostId).path(
        Path::by_link(post_tag::Column::PostId)
            .named(post::Column::Id)
            .also(post::Column::Status)
            .also(post::Column::PublishedAt),
    )
});

static COMMENT_COUNT: LazyLock<Aggregate<CommentCount>> = LazyLock::new(|| {
    Aggregate::over::<comments::Entity>("post.comment_count", comments::Column::PostId).count("count")
});

#[derive(Debug, FromQueryResult, Serialize, Deserialize)]
struct CommentCount {
    count: i64,
}

/// A post was published.
pub static PUBLISHED: LazyLock<Topic> =
    LazyLock::new(|| Topic::became::<post::Row>("post_published", post::Column::Status, post::Status::Published));

/// What is read of posts.
pub fn declare(to: &mut Declarations) {
    to.rows::<post::Row>()
        .list(&ALL)
        .list(&BY_AUTHOR)
        .list(&BY_TAG)
        .aggregate(&COMMENT_COUNT)
        .topic::<post::Row>(&PUBLISHED);
}

/// Something an author wrote.
#[derive(MergedObject)]
#[graphql(directive = policy::cache_control::apply(Some(30), Some(Scope::Public), None))]
pub struct Post(PostLists, PostFields);

/// The fields of a post that are not lists.
struct PostFields(Arc<post::Row>);

impl From<Arc<post::Row>> for Post {
    fn from(post: Arc<post::Row>) -> Self {
        Self(PostLists::from(post.id), PostFields(post))
    }
}

impl Resource for Post {
    type Record = post::Row;
    const TYPE: &'static str = "Post";

    fn key(&self) -> i64 {
        self.1.0.id
    }

    fn is_for_all(post: &post::Row) -> bool {
        post.status == post::Status::Published
    }
}

list_fields!(PostLists {
    /// What others said about it, newest first.
    comments: comment::Comment = comment::BY_POST, filter: comment::RelatedCommentFilter, order: comment::CommentOrder;
    /// Its tags, in the order of their ids.
    tags: tag::Tag = tag::BY_POST, order: tag::RelatedTagOrder;
});

#[Object]
impl PostFields {
    /// The global id.
    async fn id(&self) -> ID {
        id::encode::<Post>(self.0.id)
    }

    /// The headline.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The whole text.
    #[graphql(directive = cost::apply(1))]
    async fn body(&self, ctx: &Context<'_>) -> Result<String> {
        let body = ctx.fetch(Bulky::<post::Row>::column(post::Column::Body), self.0.id).await?;
        body.map(|text| text.to_string()).ok_or_else(|| ctx.refuse(Error::Vanished(Post::TYPE)))
    }

    /// How far it has come.
    async fn status(&self) -> PostStatus {
        self.0.status.into()
    }

    /// When it was first published.
    async fn published_at(&self) -> Option<DateTime> {
        self.0.published_at.map(Into::into)
    }

    /// When it was begun.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// Who wrote it.
    async fn author(&self, ctx: &Context<'_>) -> Result<Row<User>> {
        ctx.load_parent(self.0.author_id).await
    }

    /// How many comments it has, exactly.
    #[graphql(directive = cost::apply(5))]
    async fn comment_count(&self, ctx: &Context<'_>) -> Result<i64> {
        ctx.request().shown.any(comment::Comment::TYPE);
        Ok(ctx.aggregate(&COMMENT_COUNT, self.0.id).await?.first().map_or(0, |found| found.count))
    }
}

/// How far a post has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::post::Status")]
pub enum PostStatus {
    /// Not published yet.
    Draft,
    /// For everybody.
    #[default]
    Published,
    /// No longer shown.
    Archived,
}

/// Which posts. Without a filter: the published ones.
#[derive(Debug, Default, InputObject)]
struct PostFilter {
    /// Only posts of this status.
    #[graphql(default)]
    status: PostStatus,
    /// Only posts of this author, ordered by creation. Not with a tag.
    author_id: Option<ID>,
    /// Only posts with this tag, ordered by id.
    tag_id: Option<ID>,
    /// Only posts published in this span.
    published_at: Option<DateTimeRange>,
}

impl Filter<post::Row> for PostFilter {
    fn apply(self, selection: &mut Selection<post::Row>) -> Result<(), Error> {
        let author = self.author_id.map(|id| id::decode::<User>(&id)).transpose()?;
        match (self.tag_id, author) {
            (Some(tag), author) => {
                selection.narrow(&BY_TAG, id::decode::<tag::Tag>(&tag)?);
                if let Some(author) = author {
                    selection.only(Condition::equals(post::Column::AuthorId, author));
                }
            }
            (None, Some(author)) => selection.narrow(&BY_AUTHOR, author),
            (None, None) => {}
        }
        RelatedPostFilter { status: self.status, published_at: self.published_at }.apply(selection)
    }
}

/// Which posts of a list. Without a filter: the published ones.
#[derive(Debug, Default, InputObject)]
pub struct RelatedPostFilter {
    /// Only posts of this status.
    #[graphql(default)]
    status: PostStatus,
    /// Only posts published in this span.
    published_at: Option<DateTimeRange>,
}

impl Filter<post::Row> for RelatedPostFilter {
    fn apply(self, selection: &mut Selection<post::Row>) -> Result<(), Error> {
        if self.status != PostStatus::Published {
            selection.keep_private();
        }
        selection.only(Condition::is(post::Column::Status, post::Status::from(self.status)));
        self.published_at.unwrap_or_default().apply(post::Column::PublishedAt, selection);
        Ok(())
    }
}

orders! {
    /// The order of posts.
    PostOrder {
        /// Latest published first. For published posts of all authors and tags.
        PublishedAtDesc = desc(post::Column::PublishedAt),
        /// Earliest published first. For published posts of all authors and tags.
        PublishedAtAsc = asc(post::Column::PublishedAt),
        /// Newest first. Not with a tag.
        CreatedAtDesc = desc(post::Column::CreatedAt),
        /// Oldest first. Not with a tag.
        CreatedAtAsc = asc(post::Column::CreatedAt),
        /// Highest id first. With a tag.
        IdDesc = desc(post::Column::Id),
        /// Lowest id first. With a tag.
        IdAsc = asc(post::Column::Id),
    }
}

orders! {
    /// The order of an author's posts.
    RelatedPostOrder {
        /// Newest first.
        CreatedAtDesc = desc(post::Column::CreatedAt),
        /// Oldest first.
        CreatedAtAsc = asc(post::Column::CreatedAt),
    }
}

orders! {
    /// The order of a tag's posts.
    TaggedPostOrder {
        /// Highest id first.
        IdDesc = desc(post::Column::Id),
        /// Lowest id first.
        IdAsc = asc(post::Column::Id),
    }
}

/// The posts of the root.
#[derive(Default, MergedObject)]
pub struct PostRoot(PostRootLists, PostLookups);

list_fields!(PostRootLists {
    /// All posts, latest published first.
    posts: Post = ALL, filter: PostFilter, order: PostOrder;
});

#[derive(Default)]
struct PostLookups;

#[Object]
impl PostLookups {
    /// A post by global id.
    async fn post(&self, ctx: &Context<'_>, #[graphql(desc = "The global id.")] id: ID) -> Result<Option<Row<Post>>> {
        ctx.load_id(&id).await
    }
}
