//! Users: accounts that are opened, changed and closed.

use entity::user;
use serde::Serialize;

use super::job::{self, Task};
use super::refusal::{Refusal, Taken};
use super::text::{Email, PersonName};
use super::{BasedOn, unchanged};
use crate::data::write::{Refused, Set, Transaction, Work};

/// Opens an account.
#[derive(Debug, Serialize)]
pub struct CreateUser {
    pub email: Email,
    pub name: PersonName,
    pub role: user::Role,
}

impl Work for CreateUser {
    type Output = user::Model;
    type Refusal = Refusal<user::Model>;
    const NAME: &'static str = "createUser";

    async fn run(&self, transaction: &mut Transaction) -> Result<user::Model, Refused<Self::Refusal>> {
        let row = user::ActiveModel {
            email: Set(self.email.clone().into()),
            name: Set(self.name.clone().into()),
            role: Set(self.role),
            active: Set(true),
            ..Default::default()
        };
        let user = transaction.insert::<user::Model>(row).await;
        let user = user.map_err(Refused::from).taken("users_email", "email")?;
        job::enqueue(transaction, &Task::Welcome { user: user.id }).await?;
        Ok(user)
    }
}

/// Changes an account, or closes it. What is none stays as it is.
#[derive(Debug, Serialize)]
pub struct UpdateUser {
    pub id: i64,
    pub based_on: BasedOn,
    pub email: Option<Email>,
    pub name: Option<PersonName>,
    pub role: Option<user::Role>,
    pub active: Option<bool>,
}

impl Work for UpdateUser {
    type Output = user::Model;
    type Refusal = Refusal<user::Model>;
    const NAME: &'static str = "updateUser";

    async fn run(&self, transaction: &mut Transaction) -> Result<user::Model, Refused<Self::Refusal>> {
        let user = transaction.lock::<user::Model>(self.id).await?.ok_or_else(|| Refusal::missing("User"))?;
        unchanged(&user, user.updated_at, self.based_on)?;
        let columns = user::ActiveModel {
            email: self.email.clone().map(String::from).map(Set).unwrap_or_default(),
            name: self.name.clone().map(String::from).map(Set).unwrap_or_default(),
            role: self.role.map(Set).unwrap_or_default(),
            active: self.active.map(Set).unwrap_or_default(),
            ..Default::default()
        };
        let user = transaction.update(user, columns).await.map_err(Refused::from).taken("users_email", "email")?;
        Ok(user.into_row())
    }
}
