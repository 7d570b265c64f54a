//! A value as the far tier keeps it: its stamp, when it was filled, then the value itself, all in postcard.
//! <https://postcard.jamesmunns.com/wire-format>

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::position::Position;

/// What comes with a value; the value follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub stamp: Position,
    /// When it was filled, in milliseconds since 1970, by the clock of who filled it. Nothing is decided by it.
    pub filled: u64,
}

impl Envelope {
    pub fn of_now(stamp: Position) -> Self {
        Self { stamp, filled: millis() }
    }

    /// How long ago it was filled, as far as the clocks of two processes agree.
    pub fn age(self) -> Duration {
        Duration::from_millis(millis().saturating_sub(self.filled))
    }

    /// The bytes of a value; none where nothing was found.
    pub fn seal<T: Serialize>(self, value: Option<&T>) -> Option<Vec<u8>> {
        postcard::to_stdvec(&(self.stamp.0, self.filled, value)).ok()
    }

    /// What is in the bytes; none if they are something else.
    #[allow(clippy::option_option)]
    pub fn open<T: DeserializeOwned>(bytes: &[u8]) -> Option<(Self, Option<T>)> {
        let ((stamp, filled, value), rest) = postcard::take_from_bytes::<(u64, u64, Option<T>)>(bytes).ok()?;
        rest.is_empty().then_some((Self { stamp: Position(stamp), filled }, value))
    }
}

/// Milliseconds since 1970.
fn millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sealed_is_opened(stamp: u64, filled: u64, value: Option<(i64, String)>) {
            let envelope = Envelope { stamp: Position(stamp), filled };
            let bytes = envelope.seal(value.as_ref()).unwrap();
            prop_assert_eq!(Envelope::open(&bytes), Some((envelope, value)));
            // Cut off, or with something behind, it is no value.
            prop_assert_eq!(Envelope::open::<(i64, String)>(&bytes[..bytes.len() - 1]), None);
            prop_assert_eq!(Envelope::open::<(i64, String)>(&[&bytes[..], &[0]].concat()), None);
        }

        #[test]
        fn anything_else_is_none_or_a_value(bytes: Vec<u8>) {
            let _ = Envelope::open::<(i64, String)>(&bytes);
        }
    }
}
