//! What an execution showed, as far as caches care: of which objects an answer is made, and what makes it nobody else's.
//!
//! Notes nothing where the document alone says that the answer may not be shown to others.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::policy::Policy;
use super::resource::Resource;
use super::table::Table;
use crate::data::Record;

/// More objects than these are not named one by one.
const MOST_OBJECTS: usize = 100;

/// What was shown so far; none if nobody asks.
#[derive(Debug)]
pub struct Shown(Option<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    is_private: bool,
    /// Whether there are too many objects to name them.
    is_large: bool,
    /// Types of which more counts than the objects that are named: a list changes with objects that are not in it.
    types: BTreeSet<&'static str>,
    objects: BTreeSet<(&'static str, i64)>,
    /// Types of objects of which the document does not say what they are.
    turned_out: BTreeSet<&'static str>,
}

impl Shown {
    /// For a document with this policy.
    pub fn of(policy: Policy) -> Self {
        Self(policy.is_public().then(Mutex::default))
    }

    /// An object was shown.
    pub fn object<T: Resource>(&self, record: &T::Record) {
        self.note(|noted| {
            noted.is_private |= !T::is_for_all(record);
            if noted.is_large {
                noted.types.insert(T::TYPE);
                return;
            }
            noted.objects.insert((T::TYPE, record.key()));
            if noted.objects.len() > MOST_OBJECTS {
                noted.is_large = true;
                noted.types.extend(std::mem::take(&mut noted.objects).into_iter().map(|(name, _)| name));
            }
        });
    }

    /// Any object of this type may change what was shown, also one that comes to be.
    pub fn any(&self, name: &'static str) {
        self.note(|noted| noted.types.extend([name]));
    }

    /// What could be any object is one of this type.
    pub fn turned_out(&self, name: &'static str) {
        self.note(|noted| noted.turned_out.extend([name]));
    }

    /// Something was shown that is not for all.
    pub fn private(&self) {
        self.note(|noted| noted.is_private = true);
    }

    /// The policy of an answer whose document has this one, and the tags of what is in it.
    pub fn judge(&self, policy: Policy, table: &Table) -> (Policy, String) {
        let mut tags = String::new();
        let mut judged = policy;
        self.note(|noted| {
            let types = noted.turned_out.iter().map(|name| table.named(name).map_or(Policy::NONE, |of| of.policy));
            judged = types.fold(policy, Policy::and);
            if noted.is_private {
                judged = Policy::NONE;
            }
            if judged.is_public() {
                tags = noted.tags();
            }
        });
        (judged, tags)
    }

    fn note(&self, note: impl FnOnce(&mut Noted)) {
        if let Some(noted) = &self.0 {
            note(&mut noted.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Noted {
    /// `Tag,Product,Product:12`: a type, or an object as its global id names it.
    fn tags(&self) -> String {
        let types = self.types.iter().map(|name| (*name).to_owned());
        let objects = self.objects.iter().map(|(name, key)| format!("{name}:{key}"));
        types.chain(objects).collect::<Vec<_>>().join(",")
    }
}
