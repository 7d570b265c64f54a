//! Where a value is kept: the same place for the same question, in every process.

use std::hash::{Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::data::scalar::Scalar;

/// A question without its key.
#[derive(Clone, Copy, Debug, Eq)]
pub struct Space {
    /// The table, list or aggregate: settings and metrics call it so.
    pub resource: &'static str,
    /// What is asked of it.
    kind: &'static str,
    /// What else is asked, such as a filter and a page: a digest, since clients choose it.
    detail: Option<[u8; 16]>,
}

/// A question with its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub space: Space,
    pub key: Scalar,
}

impl PartialEq for Space {
    fn eq(&self, other: &Self) -> bool {
        // Nearly always they are the same literals, which is seen at once.
        let same = |one: &'static str, other: &'static str| std::ptr::eq(one, other) || one == other;
        self.detail == other.detail && same(self.kind, other.kind) && same(self.resource, other.resource)
    }
}

impl Hash for Space {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.resource, self.kind, self.detail).hash(state);
    }
}

impl Space {
    pub fn of(resource: &'static str, kind: &'static str) -> Self {
        Self { resource, kind, detail: None }
    }

    /// Rows of a table, by primary key.
    pub fn row(table: &'static str) -> Self {
        Self::of(table, "row")
    }

    pub fn with_detail(self, detail: &impl Serialize) -> Self {
        let bytes = postcard::to_stdvec(detail).expect("what is asked of a list always encodes");
        let digest = Sha256::digest(&bytes)[..16].try_into().expect("a hash has more than 16 bytes");
        Self { detail: Some(digest), ..self }
    }
}

impl Place {
    /// The key in the far tier: `resource:key:kind` after the prefix of a history.
    ///
    /// Only the key may contain a colon, so no two places have the same.
    pub fn far_key(&self, prefix: &str) -> String {
        let Space { resource, kind, detail } = self.space;
        let mut text = format!("{prefix}:{resource}:");
        match &self.key {
            Scalar::Null => {}
            Scalar::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Scalar::Int(value) | Scalar::Time(value) => text.push_str(&value.to_string()),
            Scalar::Text(value) => text.push_str(value),
        }
        text.push(':');
        text.push_str(kind);
        if let Some(detail) = detail {
            text.push(',');
            URL_SAFE_NO_PAD.encode_string(detail, &mut text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_places_apart() {
        let rows = Space::of("products", "row");
        let by_sku = Space::of("products", "sku");
        let page = Space::of("products", "page").with_detail(&(1, "a"));
        let other_page = Space::of("products", "page").with_detail(&(1, "b"));
        let place = |space, key| Place { space, key }.far_key("s2:7");
        assert_eq!(place(rows, Scalar::Int(42)), "s2:7:products:42:row");
        assert_eq!(place(by_sku, Scalar::Text("42:row".to_owned())), "s2:7:products:42:row:sku");
        assert!(place(page, Scalar::Null).starts_with("s2:7:products::page,"));
        assert_ne!(place(page, Scalar::Null), place(other_page, Scalar::Null));
        assert_eq!(page, Space::of("products", "page").with_detail(&(1, "a")));
    }
}
