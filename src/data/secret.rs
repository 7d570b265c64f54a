//! URLs with a password in them and other secrets, which never leave them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

/// A URL whose password shows as `***` wherever it is printed, logged or serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// The whole URL, to connect with.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

/// A text that shows as `***` wherever it is printed, logged or serialised.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl std::str::FromStr for SecretUrl {
    type Err = &'static str;

    /// The error does not repeat the text: it may hold a password.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "not a URL")
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut masked = self.0.clone();
        if masked.password().is_some() {
            // Fails only for URLs that cannot have a password.
            let _ = masked.set_password(Some("***"));
        }
        if masked.query().is_some() {
            masked.set_query(Some("***"));
        }
        masked.fmt(f)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows() {
        let url: SecretUrl = "postgres://shoal:hunter2@db:5432/shop?sslpassword=hunter2".parse().unwrap();
        for shown in [format!("{url}"), format!("{url:?}"), serde_json::to_string(&url).unwrap()] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert!(url.expose().as_str().contains("hunter2"));
        assert!(!"hunter2".parse::<SecretUrl>().unwrap_err().contains("hunter2"));
    }
}
