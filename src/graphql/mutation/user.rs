//! Mutations of users.

use async_graphql::{Context, ID, InputObject, Object, Result};

use super::check::{Check, key};
use super::{payloads, run};
use crate::domain::user::{CreateUser, UpdateUser};
use crate::graphql::scalars::DateTime;
use crate::graphql::user::{User, UserRole};

#[derive(Default)]
pub struct UserMutations;

#[Object]
impl UserMutations {
    /// Opens an account.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account.")] input: CreateUserInput,
    ) -> Result<Option<CreateUserPayload>> {
        let mut check = Check::once(input.idempotency_key.as_deref());
        let email = check.text("email", &input.email);
        let name = check.text("name", &input.name);
        let work = || Some(CreateUser { email: email?, name: name?, role: input.role.into() });
        Ok(Some(run(ctx, check, work).await?.into()))
    }

    /// Changes an account, or closes it.
    async fn update_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account, and what is to change.")] input: UpdateUserInput,
    ) -> Result<Option<UpdateUserPayload>> {
        let mut check = Check::once(input.idempotency_key.as_deref());
        let id = key::<User>(ctx, &input.id)?;
        let email = check.optional("email", input.email.as_deref());
        let name = check.optional("name", input.name.as_deref());
        let work = || {
            Some(UpdateUser {
                id,
                based_on: input.updated_at.map(Into::into),
                email: email?,
                name: name?,
                role: input.role.map(Into::into),
                active: input.active,
            })
        };
        Ok(Some(run(ctx, check, work).await?.into()))
    }
}

/// An account to be opened.
#[derive(InputObject)]
struct CreateUserInput {
    /// The e-mail address, at most 254 characters; no other account may have it, whatever its case.
    email: String,
    /// The name to show, 1 to 100 characters.
    name: String,
    /// What they may do.
    #[graphql(default_with = "UserRole::Customer")]
    role: UserRole,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

/// What is to be changed in an account. What is not given, or null, stays as it is.
#[derive(InputObject)]
struct UpdateUserInput {
    /// The global id.
    id: ID,
    /// The e-mail address, at most 254 characters; no other account may have it, whatever its case.
    email: Option<String>,
    /// The name to show, 1 to 100 characters.
    name: Option<String>,
    /// What they may do.
    role: Option<UserRole>,
    /// Whether the account is in use.
    active: Option<bool>,
    /// When the account last changed, as you know it: if it changed since, nothing is done.
    updated_at: Option<DateTime>,
    /// A key of your own, so that sending this twice does it once.
    idempotency_key: Option<String>,
}

payloads! {
    /// What createUser did.
    CreateUserPayload {
        /// The new account; null if none was opened.
        user: User
    }
    /// What updateUser did.
    UpdateUserPayload {
        /// The account, changed; or as it is, if it changed since the state that updatedAt names.
        user: User
    }
}
