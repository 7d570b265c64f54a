//! Texts that people write, as types: one that exists has been normalised and keeps its rule.
//!
//! Normalised means Unicode's NFC, so that texts that look the same are the same; no blanks around it; lines that end in
//! a line feed. A text of one line has no control characters, others have line feeds and tabs only. NUL is in none.

use email_address::{EmailAddress, Options};
use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use super::refusal::Code;

/// What is wrong with a text: for programs, and for people, to be read behind the name of its field.
pub type Flaw = (Code, String);

/// A text that keeps a rule.
pub trait Text: Sized {
    /// The text, normalised.
    ///
    /// # Errors
    /// The first rule that it does not keep.
    fn read(text: &str) -> Result<Self, Flaw>;
}

/// Declares types of texts: the fewest and the most characters, whether there may be several lines, and what else holds.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $least:literal..=$most:literal, $lines:ident, $form:expr;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
            pub struct $name(String);

            impl Text for $name {
                fn read(text: &str) -> Result<Self, Flaw> {
                    let form: Option<Form> = $form;
                    normal(text, $least, $most, Lines::$lines, form).map(Self)
                }
            }

            impl From<$name> for String {
                fn from(text: $name) -> Self {
                    text.0
                }
            }

            impl AsRef<str> for $name {
                fn as_ref(&self) -> &str {
                    &self.0
                }
            }
        )+
    };
}

texts! {
    /// An e-mail address: RFC 5321's local part and domain, without a display name. At most 254 characters.
    Email: 1..=254, One, Some((is_email, "is not an e-mail address"));
    /// The name of a person. 1 to 100 characters.
    PersonName: 1..=100, One, None;
    /// The headline of a post. 1 to 200 characters.
    Title: 1..=200, One, None;
    /// The text of a post. 1 to 100,000 characters.
    Article: 1..=100_000, Many, None;
    /// The text of a comment. 1 to 10,000 characters.
    Remark: 1..=10_000, Many, None;
    /// A tag: a slug of 1 to 64 lower-case letters a to z and digits, joined by single hyphens.
    TagName: 1..=64, One, Some((is_slug, "must be lower-case letters a to z and digits, joined by single hyphens"));
    /// A merchant's number of a product: 1 to 64 letters A to Z and a to z, digits, and between them hyphens, dots,
    /// underscores and slashes.
    Sku: 1..=64, One, Some((is_sku, "must be letters and digits, with - . _ / between them"));
    /// The name of a product. 1 to 200 characters.
    ProductName: 1..=200, One, None;
    /// The description of a product. At most 20,000 characters.
    Description: 0..=20_000, Many, None;
    /// The code of a currency in ISO 4217: three upper-case letters.
    Currency: 3..=3, One, Some((is_currency, "must be three upper-case letters"));
    /// A key that a client chooses, so that a mutation is done once. 1 to 255 characters.
    IdempotencyKey: 1..=255, One, None;
}

type Form = (fn(&str) -> bool, &'static str);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    One,
    Many,
}

fn normal(text: &str, least: usize, most: usize, lines: Lines, form: Option<Form>) -> Result<String, Flaw> {
    // Normalising can make a text three times as long: one that is far too long is not worth it.
    if text.len() > most.saturating_mul(16) {
        return Err(too_long(most));
    }
    let text: String = text.nfc().collect();
    let text = text.trim();
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() };
    let is_forbidden = |c: char| c.is_control() && !(lines == Lines::Many && matches!(c, '\n' | '\t'));
    if let Some(found) = text.chars().find(|c| is_forbidden(*c)) {
        let name =
            if found == '\0' { "NUL".to_owned() } else { format!("the control character U+{:04X}", u32::from(found)) };
        return Err((Code::Invalid, format!("must not contain {name}")));
    }
    if text.is_empty() && least > 0 {
        return Err((Code::Blank, "must not be blank".to_owned()));
    }
    let length = text.chars().count();
    if length > most {
        return Err(too_long(most));
    }
    match form {
        Some((holds, sentence)) if !holds(&text) => Err((Code::Invalid, sentence.to_owned())),
        _ if length < least => Err((Code::Invalid, format!("must have at least {least} characters"))),
        _ => Ok(text),
    }
}

fn too_long(most: usize) -> Flaw {
    (Code::TooLong, format!("must not be longer than {most} characters"))
}

fn is_email(text: &str) -> bool {
    let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
    EmailAddress::parse_with_options(text, options).is_ok()
}

fn is_slug(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.split('-').all(is_word)
}

fn is_sku(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
    text.split(['-', '.', '_', '/']).all(is_word)
}

fn is_currency(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Text + Into<String>>(text: &str) -> Result<String, Code> {
        T::read(text).map(Into::into).map_err(|(code, _)| code)
    }

    #[test]
    fn texts_are_normalised() {
        assert_eq!(read::<Title>(" \u{a0}Cafe\u{301}\n").as_deref(), Ok("Café"));
        assert_eq!(read::<Article>("one\r\ntwo\rthree\tfour ").as_deref(), Ok("one\ntwo\nthree\tfour"));
        assert_eq!(read::<Description>("  ").as_deref(), Ok(""));
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(read::<Title>(&"é".repeat(200)).map(|text| text.len()), Ok(400));
        assert_eq!(read::<Title>(&"e\u{301}".repeat(200)).map(|text| text.len()), Ok(400));
        assert_eq!(read::<Title>(&"é".repeat(201)), Err(Code::TooLong));
        assert_eq!(read::<Title>(&" ".repeat(10_000)), Err(Code::TooLong));
        assert_eq!(read::<Title>(" \u{2003}\t"), Err(Code::Blank));
    }

    #[test]
    fn control_characters_are_refused() {
        for text in ["a\0b", "a\u{7f}b", "a\u{85}b", "a\nb", "a\tb"] {
            assert_eq!(read::<Title>(text), Err(Code::Invalid), "{text:?}");
        }
        assert_eq!(read::<Article>("a\0b"), Err(Code::Invalid));
        assert_eq!(Title::read("a\0b").unwrap_err().1, "must not contain NUL");
    }

    #[test]
    fn forms() {
        for good in ["a@b.example", "first.last+tag@sub.domain.example", "ü@ü.example"] {
            assert_eq!(read::<Email>(good).as_deref(), Ok(good));
        }
        for bad in [
            "a",
            "a@b",
            "@b.example",
            "a b@c.example",
            "A <a@b.example>",
            "a@[127.0.0.1]",
            "a@b..example",
            "a@@b.example",
        ] {
            assert_eq!(read::<Email>(bad), Err(Code::Invalid), "{bad}");
        }
        assert_eq!(read::<TagName>("rust-2026").as_deref(), Ok("rust-2026"));
        for bad in ["Rust", "-rust", "rust-", "ru--st", "ru st", "rüst"] {
            assert_eq!(read::<TagName>(bad), Err(Code::Invalid), "{bad}");
        }
        assert_eq!(read::<Sku>("A-7.b_c/9").as_deref(), Ok("A-7.b_c/9"));
        for bad in ["-A", "A-", "A--B", "A B", "Ä"] {
            assert_eq!(read::<Sku>(bad), Err(Code::Invalid), "{bad}");
        }
        assert_eq!(read::<Currency>("EUR").as_deref(), Ok("EUR"));
        for bad in ["eur", "EU", "E1R", "EURO"] {
            assert!(read::<Currency>(bad).is_err(), "{bad}");
        }
    }
}
