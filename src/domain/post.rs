//! Posts and what hangs on them: writing, publishing, tags, comments.

use entity::{comment, post, post_tag, tag, user};
use serde::{Deserialize, Serialize};

use super::refusal::{Code, Refusal, wrong};
use super::text::{Article, Remark, TagName, Title};
use super::{BasedOn, unchanged};
use crate::data::write::{Locked, Refused, Set, Transaction, Work};

/// Most tags of a post.
pub const MAX_TAGS: usize = 20;

/// Begins a post, as a draft.
#[derive(Debug, Serialize)]
pub struct CreatePost {
    pub author: i64,
    pub title: Title,
    pub body: Article,
}

impl Work for CreatePost {
    type Output = post::Row;
    type Refusal = Refusal<post::Row>;
    const NAME: &'static str = "createPost";

    async fn run(&self, transaction: &mut Transaction) -> Result<post::Row, Refused<Self::Refusal>> {
        author(transaction, self.author).await?;
        let row = post::ActiveModel {
            author_id: Set(self.author),
            title: Set(self.title.clone().into()),
            body: Set(self.body.clone().into()),
            status: Set(post::Status::Draft),
            ..Default::default()
        };
        Ok(transaction.insert::<post::Row>(row).await?)
    }
}

/// Changes what a post says. What is none stays as it is.
#[derive(Debug, Serialize)]
pub struct UpdatePost {
    pub id: i64,
    pub based_on: BasedOn,
    pub title: Option<Title>,
    pub body: Option<Article>,
}

impl Work for UpdatePost {
    type Output = post::Row;
    type Refusal = Refusal<post::Row>;
    const NAME: &'static str = "updatePost";

    async fn run(&self, transaction: &mut Transaction) -> Result<post::Row, Refused<Self::Refusal>> {
        let post = lock(transaction, self.id, self.based_on).await?;
        let columns = post::ActiveModel {
            title: self.title.clone().map(String::from).map(Set).unwrap_or_default(),
            body: self.body.clone().map(String::from).map(Set).unwrap_or_default(),
            ..Default::default()
        };
        Ok(transaction.update(post, columns).await?.into_row())
    }
}

/// Shows a post to everybody. Its time is that of the first time.
#[derive(Debug, Serialize)]
pub struct PublishPost {
    pub id: i64,
    pub based_on: BasedOn,
}

impl Work for PublishPost {
    type Output = post::Row;
    type Refusal = Refusal<post::Row>;
    const NAME: &'static str = "publishPost";

    async fn run(&self, transaction: &mut Transaction) -> Result<post::Row, Refused<Self::Refusal>> {
        let post = lock(transaction, self.id, self.based_on).await?;
        if post.status == post::Status::Published {
            return Ok(post.into_row());
        }
        let published_at = match post.published_at {
            Some(time) => time,
            None => transaction.now().await?,
        };
        let columns = post::ActiveModel {
            status: Set(post::Status::Published),
            published_at: Set(Some(published_at)),
            ..Default::default()
        };
        Ok(transaction.update(post, columns).await?.into_row())
    }
}

/// Takes a post out of sight.
#[derive(Debug, Serialize)]
pub struct ArchivePost {
    pub id: i64,
    pub based_on: BasedOn,
}

impl Work for ArchivePost {
    type Output = post::Row;
    type Refusal = Refusal<post::Row>;
    const NAME: &'static str = "archivePost";

    async fn run(&self, transaction: &mut Transaction) -> Result<post::Row, Refused<Self::Refusal>> {
        let post = lock(transaction, self.id, self.based_on).await?;
        if post.status == post::Status::Archived {
            return Ok(post.into_row());
        }
        let columns = post::ActiveModel { status: Set(post::Status::Archived), ..Default::default() };
        Ok(transaction.update(post, columns).await?.into_row())
    }
}

/// Deletes a post with its comments and tags.
#[derive(Debug, Serialize)]
pub struct DeletePost {
    pub id: i64,
    pub based_on: BasedOn,
}

/// What went with a post.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeletedPost {
    pub id: i64,
    pub comments: usize,
}

impl Work for DeletePost {
    type Output = DeletedPost;
    type Refusal = Refusal<post::Row>;
    const NAME: &'static str = "deletePost";

    async fn run(&self, transaction: &mut Transaction) -> Result<DeletedPost, Refused<Self::Refusal>> {
        // Before anything else, so that no comment can be added meanwhile.
        let post = transaction.lock_to_delete::<post::Row>(self.id).await?.ok_or_else(|| Refusal::missing("Post"))?;
        unchanged(&post, post.updated_at, self.based_on)?;
        let comments = transaction.delete_children::<comment::Model>(comment::Column::PostId, self.id).await?;
        // The database would remove the links by itself, unseen.
        link_tags(transaction, self.id, Vec::new()).await?;
        transaction.delete(post).await?;
        Ok(DeletedPost { id: self.id, comments })
    }
}

/// Sets all tags of a post; new ones are made, others are taken off.
#[derive(Debug, Serialize)]
pub struct SetPostTags {
    pub id: i64,
    pub based_on: BasedOn,
    /// At most [`MAX_TAGS`].
    pub tags: Vec<TagName>,
}

impl Work for SetPostTags {
    type Output = post::Row;
    type Refusal = Refusal<post::Row>;
    const NAME: &'static str = "setPostTags";

    async fn run(&self, transaction: &mut Transaction) -> Result<post::Row, Refused<Self::Refusal>> {
        let post = lock(transaction, self.id, self.based_on).await?;
        let names: Vec<String> = self.tags.iter().cloned().map(String::from).collect();
        let tags = match &names[..] {
            [] => Vec::new(),
            names => transaction.ensure::<tag::Model>(tag::Column::Name, names).await?,
        };
        let changed = link_tags(transaction, self.id, tags.iter().map(|tag| tag.id).collect()).await?;
        if !changed {
            return Ok(post.into_row());
        }
        // The post is another one with other tags: its time says so.
        Ok(transaction.touch(post).await?.into_row())
    }
}

/// Adds a comment to a published post.
#[derive(Debug, Serialize)]
pub struct AddComment {
    pub post: i64,
    pub author: i64,
    pub body: Remark,
}

impl Work for AddComment {
    type Output = comment::Model;
    type Refusal = Refusal<comment::Model>;
    const NAME: &'static str = "addComment";

    async fn run(&self, transaction: &mut Transaction) -> Result<comment::Model, Refused<Self::Refusal>> {
        let post = transaction.hold::<post::Row>(self.post).await?;
        let post = post.ok_or_else(|| wrong(&["postId"], Code::NotFound, "there is no such post"))?;
        if post.status != post::Status::Published {
            return Err(wrong(&["postId"], Code::InvalidState, "the post is not published"));
        }
        author(transaction, self.author).await?;
        let row = comment::ActiveModel {
            post_id: Set(self.post),
            author_id: Set(self.author),
            body: Set(self.body.clone().into()),
            ..Default::default()
        };
        Ok(transaction.insert::<comment::Model>(row).await?)
    }
}

/// Deletes a comment.
#[derive(Debug, Serialize)]
pub struct DeleteComment {
    pub id: i64,
}

impl Work for DeleteComment {
    /// The comment as it was.
    type Output = comment::Model;
    type Refusal = Refusal<comment::Model>;
    const NAME: &'static str = "deleteComment";

    async fn run(&self, transaction: &mut Transaction) -> Result<comment::Model, Refused<Self::Refusal>> {
        let comment = transaction.lock_to_delete::<comment::Model>(self.id).await?;
        let comment = comment.ok_or_else(|| Refusal::missing("Comment"))?;
        transaction.delete(comment.clone()).await?;
        Ok(comment.into_row())
    }
}

async fn lock(
    transaction: &mut Transaction,
    id: i64,
    based_on: BasedOn,
) -> Result<Locked<post::Row>, Refused<Refusal<post::Row>>> {
    let post = transaction.lock::<post::Row>(id).await?.ok_or_else(|| Refusal::missing("Post"))?;
    unchanged(&post, post.updated_at, based_on)?;
    Ok(post)
}

async fn link_tags(transaction: &mut Transaction, post: i64, tags: Vec<i64>) -> Result<bool, crate::data::Error> {
    transaction.link::<post_tag::Entity>((post_tag::Column::PostId, post), (post_tag::Column::TagId, tags)).await
}

/// Makes sure that there is an author, with an account in use.
async fn author<T>(transaction: &mut Transaction, id: i64) -> Result<(), Refused<Refusal<T>>> {
    match transaction.hold::<user::Model>(id).await? {
        None => Err(wrong(&["authorId"], Code::NotFound, "there is no such user")),
        Some(user) if !user.active => Err(wrong(&["authorId"], Code::Inactive, "the account is closed")),
        Some(_) => Ok(()),
    }
}
