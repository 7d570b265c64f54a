//! Global ids: `Type:key` in base64url without padding, opaque to clients.

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
    // Without a detour over the heap, or over what formats anything: a page has hundreds of ids.
    let (mut text, mut length, mut digits) = ([0; MAX_LENGTH], 0, itoa::Buffer::new());
    for part in [name, ":", digits.format(key)] {
        text[length..][..part.len()].copy_from_slice(part.as_bytes());
        length += part.len();
    }
    URL_SAFE_NO_PAD.encode(&text[..length]).into()
}

/// The type and key in a global id.
pub fn split(id: &ID) -> Result<(String, i64), Error> {
    read(id, |name, key| (name.to_owned(), key))
}

fn read<T>(id: &ID, of: impl FnOnce(&str, i64) -> T) -> Result<T, Error> {
    let bad = || Error::bad_input("not a valid id");
    if id.len() > MAX_LENGTH {
        return Err(bad());
    }
    let mut bytes = [0; MAX_LENGTH];
    let length = URL_SAFE_NO_PAD.decode_slice(id.as_str(), &mut bytes).map_err(|_| bad())?;
    let text = std::str::from_utf8(&bytes[..length]).map_err(|_| bad())?;
    let (name, digits) = text.split_once(':').ok_or_else(bad)?;
    let key: i64 = digits.parse().map_err(|_| bad())?;
    // One object, one id: `+7` and `07` are not other names of 7.
    if itoa::Buffer::new().format(key) != digits {
        return Err(bad());
    }
    Ok(of(name, key))
}

/// The key in the global id of a `T`.
pub fn decode<T: Resource>(id: &ID) -> Result<i64, Error> {
    key_of(T::TYPE, id)
}

/// The key in the global id of what has this name of a type.
pub fn key_of(name: &'static str, id: &ID) -> Result<i64, Error> {
    let key = read(id, |found, key| (found == name).then_some(key))?;
    key.ok_or_else(|| Error::bad_input(format!("not an id of a {name}")))
}
