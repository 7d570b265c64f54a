//! A page of a list: what a client may ask for, checked before any SQL, and what it gets.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::find::Found;
use super::list::Listing;
use super::record::Record;
use super::scalar::Scalar;

/// The four arguments of a Relay connection. <https://relay.dev/graphql/connections.htm>
#[derive(Clone, Debug, Default)]
pub struct PageArgs {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

/// How many rows a page has.
#[derive(Clone, Copy, Debug)]
pub struct PageLimits {
    /// Without `first` and `last`.
    pub default: u32,
    pub max: u32,
}

/// One page of a listing, checked: limits, conflicts and cursors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct PageSpec {
    pub(super) limit: u32,
    pub(super) backward: bool,
    pub(super) after: Option<Cursor>,
    pub(super) before: Option<Cursor>,
}

/// A place in an order: the values of the keyset columns of the row at that place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor(pub(super) Vec<Scalar>);

/// The rows of a page in the order asked for, each with its place.
#[derive(Serialize, Deserialize)]
#[serde(bound = "R: Record")]
pub struct Page<R> {
    pub rows: Vec<Found<R>>,
    pub cursors: Vec<Cursor>,
    pub has_next: bool,
    pub has_previous: bool,
}

impl PageSpec {
    /// # Errors
    /// `BadInput` for negative or too large numbers, `first` with `last`, and cursors of another list or order.
    pub fn new<R: Record>(args: &PageArgs, limits: PageLimits, listing: &Listing<R>) -> Result<Self, Error> {
        let (count, name) = match (args.first, args.last) {
            (Some(_), Some(_)) => return Err(Error::bad_input("give either first or last, not both")),
            (None, Some(last)) => (Some(last), "last"),
            (first, None) => (first, "first"),
        };
        let limit = match count.map(u32::try_from) {
            None => limits.default,
            Some(Err(_)) => return Err(Error::bad_input(format!("{name} must not be negative"))),
            Some(Ok(count)) if count > limits.max => {
                return Err(Error::bad_input(format!("{name} must not be above {}", limits.max)));
            }
            Some(Ok(count)) => count,
        };
        Ok(Self {
            limit,
            backward: args.last.is_some(),
            after: args.after.as_deref().map(|text| Cursor::decode(text, "after", listing)).transpose()?,
            before: args.before.as_deref().map(|text| Cursor::decode(text, "before", listing)).transpose()?,
        })
    }
}

impl Cursor {
    /// The cursor as a client sees it: opaque, and bound to its list and order.
    pub fn encode<R: Record>(&self, listing: &Listing<R>) -> String {
        let bytes = postcard::to_stdvec(&(listing.binding(), &self.0)).expect("scalars always encode");
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode<R: Record>(text: &str, argument: &str, listing: &Listing<R>) -> Result<Self, Error> {
        let sort = listing.sort();
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| {
                postcard::take_from_bytes::<(u32, Vec<Scalar>)>(&bytes).ok().map(|(all, rest)| (all, rest.len()))
            })
            .filter(|((binding, values), rest)| {
                *rest == 0
                    && *binding == listing.binding()
                    && values.len() == sort.len()
                    && values.iter().zip(sort).all(|(value, key)| value.fits(key.kind))
            })
            .map(|((_, values), _)| Self(values))
            .ok_or_else(|| Error::bad_input(format!("{argument} is not a cursor of this list and order")))
    }
}
