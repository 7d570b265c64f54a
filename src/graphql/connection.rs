//! Relay connections over any list: one implementation for all of them. <https://relay.dev/graphql/connections.htm>

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::{Context, Object, Result, SimpleObject, TypeName};

use super::price::cost;
use super::resource::{Load, Resource};
use super::rows::{Row, Rows};
use crate::data::condition::Condition;
use crate::data::find::{Count, Counts, Found, Pages};
use crate::data::list::{List, Listing, Order};
use crate::data::page::{Cursor, Page, PageSpec};
use crate::data::scalar::Scalar;
use crate::data::{Error, Record};

/// What a field asks of a list, before it is checked.
pub struct Selection<R: Record> {
    list: &'static List<R>,
    parent: Scalar,
    conditions: Vec<Condition>,
    order: Option<Order>,
    is_for_all: bool,
}

impl<R: Record> Selection<R> {
    pub fn of(list: &'static List<R>, parent: Scalar) -> Self {
        Self { list, parent, conditions: Vec::new(), order: None, is_for_all: true }
    }

    /// Turns to the list of one parent: a filter by a relation is that relation's list.
    pub fn narrow(&mut self, list: &'static List<R>, parent: i64) {
        self.list = list;
        self.parent = parent.into();
    }

    pub fn only(&mut self, condition: Condition) {
        self.conditions.push(condition);
    }

    /// What is selected is not for everybody, not even how much of it there is.
    pub fn keep_private(&mut self) {
        self.is_for_all = false;
    }

    pub(super) fn is_for_all(&self) -> bool {
        self.is_for_all
    }

    pub fn filtered(mut self, filter: impl Filter<R>) -> Result<Self, Error> {
        filter.apply(&mut self)?;
        Ok(self)
    }

    pub fn ordered(mut self, order: Option<Order>) -> Self {
        self.order = order;
        self
    }

    pub(super) fn listing(self) -> Result<(Listing<R>, Scalar), Error> {
        Ok((self.list.select(self.conditions, self.order)?, self.parent))
    }
}

/// An input type that narrows a list.
pub trait Filter<R: Record>: Default {
    fn apply(self, selection: &mut Selection<R>) -> Result<(), Error>;
}

/// A list of `T`. Asks nothing of a database until one of its fields is read, and only what that field shows.
pub struct Connection<T: Resource> {
    pub(super) listing: Listing<T::Record>,
    pub(super) page: PageSpec,
    /// The key of the object whose list it is; null for a list of the root.
    pub(super) parent: Scalar,
}

/// A page of a list.
#[Object(name_type)]
impl<T: Resource> Connection<T> {
    /// The rows of the page, each with its cursor.
    async fn edges(&self, ctx: &Context<'_>) -> Result<Rows<Edge<T>>> {
        let page = self.shown(ctx).await?;
        let edge = |(found, cursor): (&Found<T::Record>, &Cursor)| Edge {
            row: found.row.clone(),
            cursor: cursor.clone(),
            listing: self.listing.clone(),
        };
        Ok(Rows(page.rows.iter().zip(&page.cursors).map(edge).collect()))
    }

    /// The rows of the page.
    async fn nodes(&self, ctx: &Context<'_>) -> Result<Rows<T>> {
        Ok(Rows(self.shown(ctx).await?.rows.iter().map(|found| T::from(found.row.clone())).collect()))
    }

    /// Where the page lies in the list.
    async fn page_info(&self, ctx: &Context<'_>) -> Result<Row<PageInfo>> {
        let page = self.load(ctx).await?;
        let cursor = |cursor: Option<&Cursor>| cursor.map(|cursor| cursor.encode(&self.listing));
        Ok(Row(PageInfo {
            has_next_page: page.has_next,
            has_previous_page: page.has_previous,
            start_cursor: cursor(page.cursors.first()),
            end_cursor: cursor(page.cursors.last()),
        }))
    }

    /// How many rows the whole list has. Counting stops at 10,000 by default: see totalCountExact.
    #[graphql(directive = cost::apply(5))]
    async fn total_count(&self, ctx: &Context<'_>) -> Result<u32> {
        Ok(self.count(ctx).await?.rows)
    }

    /// Whether totalCount is the exact number; if false there are more.
    async fn total_count_exact(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(self.count(ctx).await?.exact)
    }
}

impl<T: Resource> Connection<T> {
    /// The page, whose rows are shown.
    async fn shown(&self, ctx: &Context<'_>) -> Result<Arc<Page<T::Record>>> {
        let page = self.load(ctx).await?;
        let shown = &ctx.request().shown;
        page.rows.iter().for_each(|found| shown.object::<T>(&found.row));
        Ok(page)
    }

    async fn load(&self, ctx: &Context<'_>) -> Result<Arc<Page<T::Record>>> {
        let source = Pages { listing: self.listing.clone(), page: self.page.clone() };
        let page = ctx.fetch(source, self.parent.clone()).await?;
        page.ok_or_else(|| ctx.refuse(Error::Vanished(T::TYPE)))
    }

    async fn count(&self, ctx: &Context<'_>) -> Result<Count> {
        let source = Counts { listing: self.listing.clone(), cap: ctx.request().settings.count_cap };
        let count = ctx.fetch(source, self.parent.clone()).await?;
        count.ok_or_else(|| ctx.refuse(Error::Vanished(T::TYPE)))
    }
}

impl<T: Resource> TypeName for Connection<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", T::TYPE).into()
    }
}

/// A row of a page.
pub struct Edge<T: Resource> {
    row: Arc<T::Record>,
    cursor: Cursor,
    listing: Listing<T::Record>,
}

/// A row of a page.
#[Object(name_type)]
impl<T: Resource> Edge<T> {
    /// The row.
    async fn node(&self) -> Row<T> {
        Row(T::from(self.row.clone()))
    }

    /// The place of the row in this list and order, for after and before.
    async fn cursor(&self) -> String {
        self.cursor.encode(&self.listing)
    }
}

impl<T: Resource> TypeName for Edge<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", T::TYPE).into()
    }
}

/// Where a page lies in its list.
#[derive(SimpleObject)]
#[graphql(shareable)]
pub struct PageInfo {
    /// Whether rows follow the page; when paging backward, whether before was given.
    has_next_page: bool,
    /// Whether rows precede the page; when paging forward, whether after was given.
    has_previous_page: bool,
    /// The cursor of the first row.
    start_cursor: Option<String>,
    /// The cursor of the last row.
    end_cursor: Option<String>,
}

/// Declares the lists of a type as fields with the arguments of a Relay connection.
///
/// `struct Lists of <key> { /// doc field: Node = LIST, filter: Filter, order: Order; … }`: the arguments are spelled,
/// and described, in one place.
macro_rules! list_fields {
    ($lists:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $node:ty = $list:path $(, filter: $filter:ty)? $(, order: $order:ty)?;)+
    }) => {
        /// The lists of an object, by its key; of the root, by null.
        #[derive(Default)]
        pub struct $lists($crate::data::scalar::Scalar);

        impl From<i64> for $lists {
            fn from(key: i64) -> Self {
                Self(key.into())
            }
        }

        #[async_graphql::Object]
        impl $lists {
            $(
                $(#[doc = $doc])+
                async fn $field(
                    &self,
                    ctx: &async_graphql::Context<'_>,
                    #[graphql(desc = "The first so many rows; 20 by default.")] first: Option<i32>,
                    #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
                    #[graphql(desc = "The last so many rows.")] last: Option<i32>,
                    #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
                    $(#[graphql(desc = "Only rows that match all of this.")] filter: Option<$filter>,)?
                    $(#[graphql(desc = "The order of the rows.")] order_by: Option<$order>,)?
                ) -> async_graphql::Result<$crate::graphql::connection::Connection<$node>> {
                    use $crate::graphql::resource::Load as _;
                    let selection = $crate::graphql::connection::Selection::of(&$list, self.0.clone());
                    $(let selection = selection
                        .filtered(Option::<$filter>::unwrap_or_default(filter))
                        .map_err(|error| ctx.refuse(error))?;)?
                    $(let selection = selection.ordered(order_by.map(<$order>::into));)?
                    ctx.connection(selection, &$crate::data::page::PageArgs { first, after, last, before })
                }
            )+
        }
    };
}
pub(super) use list_fields;

/// Declares the orders of a list: an enum of the graph and what each value means.
macro_rules! orders {
    (
        $(#[doc = $doc:literal])+
        $order:ident {
            $($(#[doc = $about:literal])+ $value:ident = $direction:ident($column:expr),)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
        pub enum $order {
            $($(#[doc = $about])+ $value,)+
        }

        impl From<$order> for $crate::data::list::Order {
            fn from(order: $order) -> Self {
                match order {
                    $($order::$value => Self::$direction($column),)+
                }
            }
        }
    };
}
pub(super) use orders;
