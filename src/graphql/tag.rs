//! Tags: what posts are about.

use std::sync::{Arc, LazyLock};

use async_graphql::{Context, ID, InputObject, MergedObject, Object, Result};
use entity::{post_tag, tag};

use super::connection::{Filter, Selection, list_fields, orders};
use super::policy::{self, Scope};
use super::resource::{Load, Resource};
use super::rows::Row;
use super::{id, post};
use crate::data::condition::Condition;
use crate::data::find::Unique;
use crate::data::list::{List, Path};
use crate::data::{Declarations, Error, Record};

impl Record for tag::Model {
    type Entity = tag::Entity;
    type Key = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

/// All tags.
static ALL: LazyLock<List<tag::Model>> =
    LazyLock::new(|| List::root("tags").path(Path::by(tag::Column::Name).unique().ascending().also(tag::Column::Name)));

/// The tags of a post.
pub static BY_POST: LazyLock<List<tag::Model>> = LazyLock::new(|| {
    List::through::<post_tag::Entity>("post.tags", post_tag::Column::PostId, post_tag::Column::TagId)
        .path(Path::by_link(post_tag::Column::TagId).named(tag::Column::Id).ascending())
});

/// What is read of tags.
pub fn declare(to: &mut Declarations) {
    to.rows::<tag::Model>().unique::<tag::Model>(tag::Column::Name).list(&ALL).list(&BY_POST);
}

/// Something that posts can be about.
#[derive(MergedObject)]
#[graphql(directive = policy::cache_control::apply(Some(60), Some(Scope::Public), None))]
pub struct Tag(TagLists, TagFields);

/// The fields of a tag that are not lists.
struct TagFields(Arc<tag::Model>);

impl From<Arc<tag::Model>> for Tag {
    fn from(tag: Arc<tag::Model>) -> Self {
        Self(TagLists::from(tag.id), TagFields(tag))
    }
}

impl Resource for Tag {
    type Record = tag::Model;
    const TYPE: &'static str = "Tag";

    fn key(&self) -> i64 {
        self.1.0.id
    }
}

list_fields!(TagLists {
    /// The posts with this tag, highest id first.
    posts: post::Post = post::BY_TAG, filter: post::RelatedPostFilter, order: post::TaggedPostOrder;
});

#[Object]
impl TagFields {
    /// The global id.
    async fn id(&self) -> ID {
        id::encode::<Tag>(self.0.id)
    }

    /// The unique name.
    async fn name(&self) -> &str {
        &self.0.name
    }
}

/// Which tags.
#[derive(Debug, Default, InputObject)]
pub struct TagFilter {
    /// Only names that start with this. Case matters.
    name_prefix: Option<String>,
}

impl Filter<tag::Model> for TagFilter {
    fn apply(self, selection: &mut Selection<tag::Model>) -> Result<(), Error> {
        if let Some(prefix) = self.name_prefix {
            selection.only(Condition::prefix(tag::Column::Name, &prefix)?);
        }
        Ok(())
    }
}

orders! {
    /// The order of tags.
    TagOrder {
        /// By name, from A to Z, by code points.
        NameAsc = asc(tag::Column::Name),
        /// By name, from Z to A, by code points.
        NameDesc = desc(tag::Column::Name),
    }
}

orders! {
    /// The order of a post's tags.
    RelatedTagOrder {
        /// Lowest id first.
        IdAsc = asc(tag::Column::Id),
        /// Highest id first.
        IdDesc = desc(tag::Column::Id),
    }
}

/// The tags of the root.
#[derive(Default, MergedObject)]
pub struct TagRoot(TagRootLists, TagLookups);

list_fields!(TagRootLists {
    /// All tags, by name.
    tags: Tag = ALL, filter: TagFilter, order: TagOrder;
});

#[derive(Default)]
struct TagLookups;

#[Object]
impl TagLookups {
    /// A tag by global id or by name. Give one of them.
    async fn tag(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "The exact name.")] name: Option<String>,
    ) -> Result<Option<Row<Tag>>> {
        match (id, name) {
            (Some(id), None) => ctx.load_id(&id).await,
            (None, Some(name)) => ctx.load_unique(Unique::by(tag::Column::Name), name).await,
            _ => Err(ctx.refuse(Error::bad_input("give either id or name"))),
        }
    }
}
