//! Reads an input into the types of the domain, and gathers all that is wrong with it.

use std::fmt::Display;
use std::ops::RangeInclusive;

use async_graphql::{Context, ID, Result};

use crate::data::write::Once;
use crate::domain::product::{MAX_PRICE, Price};
use crate::domain::refusal::{Code, Problem};
use crate::domain::text::{IdempotencyKey, Text};
use crate::graphql::id;
use crate::graphql::resource::{Load, Resource};
use crate::graphql::scalars::{MoneyInput, minor_units};
use crate::graphql::user::User;

/// What is wrong with an input so far. Fields are named by their path, with dots: `items.0.quantity`.
#[derive(Default)]
pub struct Check {
    problems: Vec<Problem>,
    key: Option<IdempotencyKey>,
}

impl Check {
    /// An input that is to be done once under this key, if it has one.
    pub fn once(key: Option<&str>) -> Self {
        let mut check = Self::default();
        check.key = check.optional("idempotencyKey", key).flatten();
        check
    }

    /// A text that keeps the rule of its type; none if it does not.
    pub fn text<T: Text>(&mut self, field: &str, text: &str) -> Option<T> {
        match T::read(text) {
            Ok(text) => Some(text),
            Err((code, flaw)) => {
                let name = field.rsplit('.').find(|part| !part.bytes().all(|b| b.is_ascii_digit())).unwrap_or(field);
                self.wrong(field, code, format!("{name} {flaw}"));
                None
            }
        }
    }

    /// A text that need not be given; the outer none is for one that breaks the rule.
    pub fn optional<T: Text>(&mut self, field: &str, text: Option<&str>) -> Option<Option<T>> {
        match text {
            Some(text) => self.text(field, text).map(Some),
            None => Some(None),
        }
    }

    /// A number within bounds.
    pub fn within<N: PartialOrd + Display>(&mut self, field: &str, number: N, bounds: RangeInclusive<N>) -> Option<N> {
        if bounds.contains(&number) {
            return Some(number);
        }
        let text = format!("must be {} to {}", bounds.start(), bounds.end());
        self.wrong(field, Code::OutOfRange, text);
        None
    }

    /// A list of so many things.
    pub fn length(&mut self, field: &str, length: usize, bounds: RangeInclusive<usize>) {
        if length < *bounds.start() {
            self.wrong(field, Code::Blank, "must not be empty");
        } else if length > *bounds.end() {
            self.wrong(field, Code::TooMany, format!("must not be more than {}", bounds.end()));
        }
    }

    /// What something costs.
    pub fn price(&mut self, field: &str, money: &MoneyInput) -> Option<Price> {
        let currency = self.text(&format!("{field}.currencyCode"), &money.currency_code);
        // The places of an amount follow from its currency.
        let amount = format!("{field}.amount");
        match minor_units(&money.amount, &money.currency_code) {
            Some(cents) => {
                let cents = self.within(&amount, cents, 0..=MAX_PRICE);
                Some(Price { cents: cents?, currency: currency? })
            }
            None => {
                self.wrong(
                    &amount,
                    Code::Invalid,
                    "must be a decimal number with no more places than the currency has",
                );
                None
            }
        }
    }

    /// The user that an id names, or the viewer.
    ///
    /// # Errors
    /// When it is not an id of a user.
    pub fn user_or_viewer(&mut self, ctx: &Context<'_>, field: &str, id: Option<&ID>) -> Result<Option<i64>> {
        let user = match id {
            Some(id) => Some(key::<User>(ctx, id)?),
            None => ctx.request().viewer.user,
        };
        if user.is_none() {
            self.wrong(field, Code::Blank, "must be given, since nobody is signed in");
        }
        Ok(user)
    }

    pub fn wrong(&mut self, field: &str, code: Code, message: impl Into<String>) {
        let path: Vec<_> = field.split('.').collect();
        self.problems.push(Problem::new(&path, code, message));
    }

    /// What is wrong, and under which key the mutation is to be done once.
    pub fn end(self, ctx: &Context<'_>) -> (Option<Once>, Vec<Problem>) {
        let viewer = || ctx.request().viewer.scope();
        let once = self.key.map(|key| Once { viewer: viewer(), key: key.into() });
        (once, self.problems)
    }
}

/// The key in the global id of a `T`.
///
/// # Errors
/// When it is not an id of a `T`: no person can mend that, but whoever wrote the client.
pub fn key<T: Resource>(ctx: &Context<'_>, id: &ID) -> Result<i64> {
    id::decode::<T>(id).map_err(|error| ctx.refuse(error))
}
