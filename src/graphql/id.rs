//! Global ids: `Type:key` in base64url without padding, opaque to clients.

use std::io::Write;

use async_graphql::ID;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::resource::Resource;
use crate::data::Error;

/// What is named by a global id, and is no type of the graph.
pub const UPLOAD: &str = "Upload";

/// Longest id looked at: the longest type name and a 64-bit key need less.
const MAX_LENGTH: usize = 128;

/// The global id of a record.
pub fn encode<T: Resource>(key: i64) -> ID {
    named(T::TYPE, key)
}

/// The global id of what has this name of a type.
pub fn named(name: &'static str, key: i64) -> ID {
    // Without a detour over the heap: a page has hundreds of ids.
    let mut text = [0; MAX_LENGTH];
    let mut rest = &mut text[..];
    write!(rest, "{name}:{key}").expect("the names of types are short");
    let length = MAX_LENGTH - rest.len();
    URL_SAFE_NO_PAD.encode(&text[..length]).into()
}

/// The type and key in a global id.
pub fn split(id: &ID) -> Result<(String, i64), Error> {
    let bad = || Error::bad_input("not a valid id");
    if id.len() > MAX_LENGTH {
        return Err(bad());
    }
    let bytes = URL_SAFE_NO_PAD.decode(id.as_str()).map_err(|_| bad())?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    let (name, digits) = text.split_once(':').ok_or_else(bad)?;
    let key: i64 = digits.parse().map_err(|_| bad())?;
    // One object, one id: `+7` and `07` are not other names of 7.
    if key.to_string() != digits {
        return Err(bad());
    }
    Ok((name.to_owned(), key))
}

/// The key in the global id of a `T`.
pub fn decode<T: Resource>(id: &ID) -> Result<i64, Error> {
    key_of(T::TYPE, id)
}

/// The key in the global id of what has this name of a type.
pub fn key_of(name: &'static str, id: &ID) -> Result<i64, Error> {
    match split(id)? {
        (found, key) if found == name => Ok(key),
        _ => Err(Error::bad_input(format!("not an id of a {name}"))),
    }
}
