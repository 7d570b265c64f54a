//! Global ids, by the format that is promised to clients.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A global id.
pub fn global(kind: &str, key: impl std::fmt::Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{key}"))
}

/// The type and key in a global id.
pub fn parts(id: &str) -> (String, i64) {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).unwrap()).unwrap();
    let (kind, key) = text.split_once(':').unwrap();
    (kind.to_owned(), key.parse().unwrap())
}
