//! Places in the history of a database, and the tokens in which clients carry them.
//!
//! Pure: knows no server. A position only says something within its [`Universe`].

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A place in the primary's WAL, in bytes from its beginning (an LSN); on the embedded database the number of commits of
/// this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// The history that positions belong to. Two are comparable only if they are of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Universe(u64);

/// What a client has seen: reads that honour it show at least that much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub universe: Universe,
    pub position: Position,
}

/// Signs tokens, so that nobody can ask for a position that has not come.
#[derive(Clone)]
pub struct Keys {
    /// The first signs; all are accepted.
    keys: Vec<Vec<u8>>,
}

/// How much of a signature is kept: nobody guesses 128 bits.
const SIGNATURE: usize = 16;
const LENGTH: usize = 16 + SIGNATURE;
/// The length of a token as a text: base64 without padding.
const TEXT_LENGTH: usize = (LENGTH * 8).div_ceil(6);

impl fmt::Display for Position {
    /// As PostgreSQL writes it: `0/16B3740`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl std::str::FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (high, low) = text.split_once('/').ok_or(())?;
        let half = |digits| u32::from_str_radix(digits, 16).map_err(|_| ());
        Ok(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

impl Universe {
    /// The history of one timeline of a database.
    pub fn of(system: i64, database: i64, timeline: u32) -> Self {
        let hash = Sha256::new().chain_update(system.to_be_bytes()).chain_update(database.to_be_bytes());
        let hash = hash.chain_update(timeline.to_be_bytes()).finalize();
        Self(u64::from_be_bytes(hash[..8].try_into().expect("a hash has more than eight bytes")))
    }

    /// A number that is the same for the same universe and salt, and for no others.
    pub fn salted(self, salt: u64) -> u64 {
        let hash = Sha256::new().chain_update(self.0.to_be_bytes()).chain_update(salt.to_be_bytes()).finalize();
        u64::from_be_bytes(hash[..8].try_into().expect("a hash has more than eight bytes"))
    }

    /// One that nobody else knows: that of a process.
    pub fn random() -> Self {
        Self(u64::from_ne_bytes(random()))
    }
}

/// Bytes that nobody can guess.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

impl Keys {
    /// # Panics
    /// Without a key.
    pub fn new(keys: Vec<Vec<u8>>) -> Self {
        assert!(!keys.is_empty(), "there is a key to sign with");
        Self { keys }
    }

    /// The token as a client sees it: opaque, and of use only here.
    pub fn sign(&self, token: Token) -> String {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&token.universe.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&token.position.0.to_be_bytes());
        let signature = signature(&self.keys[0], &bytes[..16]).finalize().into_bytes();
        bytes[16..].copy_from_slice(&signature[..SIGNATURE]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The token in a text; none unless it was signed here.
    pub fn read(&self, text: &str) -> Option<Token> {
        // Not a byte of what cannot be one is looked at.
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (says, signed) = bytes.split_at(16);
        let is_ours = |key: &Vec<u8>| signature(key, says).verify_truncated_left(signed).is_ok();
        self.keys.iter().any(is_ours).then(|| {
            let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
            Token { universe: Universe(number(&says[..8])), position: Position(number(&says[8..])) }
        })
    }
}

fn signature(key: &[u8], says: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.chain_update(b"shoal-token\0").chain_update(says)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(position: u64) -> Token {
        Token { universe: Universe::of(7, 16384, 1), position: Position(position) }
    }

    #[test]
    fn positions_are_written_as_postgres_writes_them() {
        for (text, position) in [("0/0", 0), ("0/16B3740", 0x16B_3740), ("2A/FF000000", 0x2A_FF00_0000)] {
            assert_eq!(text.parse(), Ok(Position(position)));
            assert_eq!(Position(position).to_string(), text);
        }
        for bad in ["", "0", "0/", "/0", "0/g", "100000000/0", "0/0/0"] {
            assert_eq!(bad.parse::<Position>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn universes_differ_in_system_database_and_timeline() {
        let all = [Universe::of(1, 2, 3), Universe::of(2, 2, 3), Universe::of(1, 3, 3), Universe::of(1, 2, 4)];
        assert!(all.iter().enumerate().all(|(index, one)| !all[..index].contains(one)));
        assert_eq!(Universe::of(1, 2, 3), Universe::of(1, 2, 3));
    }

    #[test]
    fn a_key_that_was_rotated_is_still_accepted() {
        let (old, new) = (Keys::new(vec![b"old".to_vec()]), Keys::new(vec![b"new".to_vec(), b"old".to_vec()]));
        assert_eq!(new.read(&old.sign(token(1))), Some(token(1)));
        assert_eq!(new.read(&new.sign(token(2))), Some(token(2)));
        assert_eq!(old.read(&new.sign(token(2))), None);
    }

    proptest! {
        #[test]
        fn a_token_survives_its_journey(position: u64) {
            let keys = Keys::new(vec![b"key".to_vec()]);
            prop_assert_eq!(keys.read(&keys.sign(token(position))), Some(token(position)));
        }

        #[test]
        fn a_token_with_any_bit_changed_is_none(position: u64, bit in 0..LENGTH * 8) {
            let keys = Keys::new(vec![b"key".to_vec()]);
            let mut bytes = URL_SAFE_NO_PAD.decode(keys.sign(token(position))).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(keys.read(&URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        #[test]
        fn anything_else_is_none(text in "\\PC{0,80}") {
            prop_assert_eq!(Keys::new(vec![b"key".to_vec()]).read(&text), None);
        }
    }
}
