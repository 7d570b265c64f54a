//! Users: customers, authors and those who look after them.

use std::sync::{Arc, LazyLock};

use async_graphql::{Context, Enum, ID, InputObject, MergedObject, Object, Result, SimpleObject};
use entity::{order as orders, order_item, product_buyer, user};
use sea_orm::{FromQueryResult, prelude::DateTimeUtc};
use serde::{Deserialize, Serialize};

use super::connection::{Filter, Selection, list_fields, orders};
use super::price::cost;
use super::resource::{Load, Resource};
use super::rows::Row;
use super::scalars::{DateTime, Money};
use super::{comment, id, order, post};
use crate::data::condition::Condition;
use crate::data::events::Topic;
use crate::data::find::{Aggregate, Unique};
use crate::data::list::{List, Path};
use crate::data::{Declarations, Error, Record};

impl Record for user::Model {
    type Entity = user::Entity;
    type Key = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

/// All users.
static ALL: LazyLock<List<user::Model>> = LazyLock::new(|| {
    List::root("users")
        .path(Path::by(user::Column::Id))
        .path(Path::by(user::Column::Id).given(user::Column::Role))
        .path(Path::by(user::Column::Name).ascending().also(user::Column::Name))
        .path(Path::by_lower(user::Column::Email).unique().ascending().also(user::Column::Email))
});

/// Who bought a product, by their latest purchase.
pub static BUYERS: LazyLock<List<user::Model>> = LazyLock::new(|| {
    List::through::<product_buyer::Entity>(
        "product.buyers",
        product_buyer::Column::ProductId,
        product_buyer::Column::UserId,
    )
    .made_of::<orders::Entity>()
    .made_of::<order_item::Entity>()
    .path(Path::by_link(product_buyer::Column::ItemId))
});

/// A customer's orders at a glance, one row for each currency.
static ORDER_SUMMARY: LazyLock<Aggregate<CurrencySummary>> = LazyLock::new(|| {
    Aggregate::over::<orders::Entity>("user.order_summary", orders::Column::UserId)
        .unless(orders::Column::Status, orders::Status::Cancelled)
        .by(orders::Column::Currency)
        .count("count")
        .sum(orders::Column::TotalCents, "total_cents")
        .max(orders::Column::CreatedAt, "last_order_at")
});

#[derive(Debug, FromQueryResult, Serialize, Deserialize)]
struct CurrencySummary {
    currency: String,
    count: i64,
    total_cents: i64,
    #[serde(with = "chrono::serde::ts_microseconds")]
    last_order_at: DateTimeUtc,
}

/// A user changed.
pub static UPDATED: LazyLock<Topic> = LazyLock::new(|| Topic::updated::<user::Model>("user_updated"));

/// What is read of users.
pub fn declare(to: &mut Declarations) {
    to.rows::<user::Model>().list(&ALL).list(&BUYERS).aggregate(&ORDER_SUMMARY).topic::<user::Model>(&UPDATED);
}

/// Somebody with an account.
#[derive(MergedObject)]
pub struct User(UserLists, UserFields);

/// The fields of a user that are not lists.
struct UserFields(Arc<user::Model>);

impl From<Arc<user::Model>> for User {
    fn from(user: Arc<user::Model>) -> Self {
        Self(UserLists::from(user.id), UserFields(user))
    }
}

impl Resource for User {
    type Record = user::Model;
    const TYPE: &'static str = "User";

    fn key(&self) -> i64 {
        self.1.0.id
    }
}

list_fields!(UserLists {
    /// The posts they wrote, newest first.
    posts: post::Post = post::BY_AUTHOR, filter: post::RelatedPostFilter, order: post::RelatedPostOrder;
    /// The comments they wrote, newest first.
    comments: comment::Comment = comment::BY_AUTHOR, filter: comment::RelatedCommentFilter, order: comment::CommentOrder;
    /// The orders they placed, newest first.
    orders: order::Order = order::BY_USER, filter: order::RelatedOrderFilter, order: order::OrderOrder;
});

#[Object]
impl UserFields {
    /// The global id.
    async fn id(&self) -> ID {
        id::encode::<User>(self.0.id)
    }

    /// The e-mail address, unique whatever its case.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What they may do.
    async fn role(&self) -> UserRole {
        self.0.role.into()
    }

    /// Whether the account is in use.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// When the account was made.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// Their orders at a glance, without the cancelled ones.
    #[graphql(directive = cost::apply(5))]
    async fn order_summary(&self, ctx: &Context<'_>) -> Result<OrderSummary> {
        let by_currency = ctx.aggregate(&ORDER_SUMMARY, self.0.id).await?;
        let totals: Vec<_> = by_currency.iter().map(|row| Money::new(row.total_cents, row.currency.clone())).collect();
        Ok(OrderSummary {
            count: by_currency.iter().map(|row| row.count).sum(),
            total: if let [total] = &totals[..] { Some(total.clone()) } else { None },
            totals,
            last_order_at: by_currency.iter().map(|row| row.last_order_at).max().map(Into::into),
        })
    }
}

/// A customer's orders at a glance.
#[derive(SimpleObject)]
struct OrderSummary {
    /// How many there are.
    count: i64,
    /// What they cost together; null without orders, or with orders in several currencies.
    total: Option<Money>,
    /// What they cost together, for each currency.
    totals: Vec<Money>,
    /// When the latest was placed.
    last_order_at: Option<DateTime>,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::user::Role")]
pub enum UserRole {
    /// Buys, and comments.
    Customer,
    /// Writes posts too.
    Author,
    /// Looks after what others write.
    Moderator,
    /// May do everything.
    Admin,
}

/// Which users. An index serves one of these at a time.
#[derive(Debug, Default, InputObject)]
struct UserFilter {
    /// Only users with this role, ordered by id.
    role: Option<UserRole>,
    /// Only names that start with this, ordered by name. Case matters.
    name_prefix: Option<String>,
    /// Only e-mail addresses that start with this, ordered by address. Case does not matter.
    email_prefix: Option<String>,
}

impl Filter<user::Model> for UserFilter {
    fn apply(self, selection: &mut Selection<user::Model>) -> Result<(), Error> {
        if let Some(role) = self.role {
            selection.only(Condition::is(user::Column::Role, user::Role::from(role)));
        }
        if let Some(prefix) = self.name_prefix {
            selection.only(Condition::prefix(user::Column::Name, &prefix)?);
        }
        if let Some(prefix) = self.email_prefix {
            selection.only(Condition::lower_prefix(user::Column::Email, &prefix)?);
        }
        Ok(())
    }
}

orders! {
    /// The order of users.
    UserOrder {
        /// Newest first.
        IdDesc = desc(user::Column::Id),
        /// Oldest first.
        IdAsc = asc(user::Column::Id),
        /// By name, from Z to A, by code points.
        NameDesc = desc(user::Column::Name),
        /// By name, from A to Z, by code points.
        NameAsc = asc(user::Column::Name),
        /// By e-mail address in lower case, from z to a.
        EmailDesc = desc(user::Column::Email),
        /// By e-mail address in lower case, from a to z.
        EmailAsc = asc(user::Column::Email),
    }
}

/// The users of the root.
#[derive(Default, MergedObject)]
pub struct UserRoot(UserRootLists, UserLookups);

list_fields!(UserRootLists {
    /// All users, newest first.
    users: User = ALL, filter: UserFilter, order: UserOrder;
});

#[derive(Default)]
struct UserLookups;

#[Object]
impl UserLookups {
    /// A user by global id or by e-mail address, whatever its case. Give one of them.
    async fn user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "The e-mail address.")] email: Option<String>,
    ) -> Result<Option<Row<User>>> {
        match (id, email) {
            (Some(id), None) => ctx.load_id(&id).await,
            (None, Some(email)) => {
                ctx.load_unique(Unique::by_lower(user::Column::Email), email.to_ascii_lowercase()).await
            }
            _ => Err(ctx.refuse(Error::bad_input("give either id or email"))),
        }
    }
}
