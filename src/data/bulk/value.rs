//! One field of a CSV, read as its column's type.
//!
//! Accepts only what PostgreSQL reads to the same value, so that a file means the same on both databases.

use chrono::{DateTime, Datelike, Duration, FixedOffset, NaiveDate, NaiveTime, Utc};
use sea_orm::sea_query::ColumnType;

/// How the fields of a column are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Bool,
    Int16,
    Int32,
    Int64,
    Text,
    /// An instant.
    Time,
    /// Any other type: the database reads the text.
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Time(DateTime<Utc>),
    Text(&'a str),
}

impl Format {
    pub fn of(column: &ColumnType) -> Self {
        match column {
            ColumnType::Boolean => Self::Bool,
            ColumnType::SmallInteger => Self::Int16,
            ColumnType::Integer => Self::Int32,
            ColumnType::BigInteger => Self::Int64,
            ColumnType::Char(_) | ColumnType::String(_) | ColumnType::Text => Self::Text,
            ColumnType::TimestampWithTimeZone => Self::Time,
            _ => Self::Other,
        }
    }

    /// Reads a field that is not NULL.
    pub(super) fn read(self, field: &str) -> Option<Value<'_>> {
        match self {
            Self::Bool => bool(field).map(Value::Bool),
            Self::Int16 => field.parse::<i16>().ok().map(|value| Value::Int(value.into())),
            Self::Int32 => field.parse::<i32>().ok().map(|value| Value::Int(value.into())),
            Self::Int64 => field.parse::<i64>().ok().map(Value::Int),
            Self::Time => time(field).map(Value::Time),
            Self::Text | Self::Other => Some(Value::Text(field)),
        }
    }

    /// What a field must be, to end the sentence "x is not …".
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Bool => "a boolean: true or false",
            Self::Int16 => "a whole number between -32768 and 32767",
            Self::Int32 => "a whole number between -2147483648 and 2147483647",
            Self::Int64 => "a whole number of 64 bits",
            Self::Time => "an instant like 2026-01-31T23:59:59.123456Z or with an offset like +01:00",
            Self::Text | Self::Other => "a text",
        }
    }
}

fn bool(field: &str) -> Option<bool> {
    let is = |word: &str| field.eq_ignore_ascii_case(word);
    if is("true") || is("t") || field == "1" {
        Some(true)
    } else if is("false") || is("f") || field == "0" {
        Some(false)
    } else {
        None
    }
}

/// RFC 3339, also with a space for the T and an offset of hours only, as PostgreSQL itself writes them. Digits beyond
/// microseconds are rounded, as there. No leap seconds: PostgreSQL moves them to the next minute.
fn time(field: &str) -> Option<DateTime<Utc>> {
    let bytes = field.as_bytes();
    let punctuated = bytes.len() > 19
        && (bytes[4], bytes[7], bytes[13], bytes[16]) == (b'-', b'-', b':', b':')
        && matches!(bytes[10], b'T' | b' ');
    if !punctuated {
        return None;
    }
    let number = |from, to| digits(&bytes[from..to]);
    let year = number(0, 4).filter(|year| *year > 0)?;
    let date = NaiveDate::from_ymd_opt(year.try_into().ok()?, number(5, 7)?, number(8, 10)?)?;
    let time = NaiveTime::from_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)?;
    let (nanos, zone) = match bytes[19] {
        b'.' => {
            let end = 20 + bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let fraction = &bytes[20..end];
            let scale = 9_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?;
            (digits(fraction)? * 10_u32.pow(scale), &bytes[end..])
        }
        _ => (0, &bytes[19..]),
    };
    let micros = i64::from((nanos + 500) / 1000);
    let local = date.and_time(time) + Duration::microseconds(micros);
    // An offset may lead out of the first year.
    Some((local - offset(zone)?).and_utc()).filter(|time| time.year() > 0)
}

/// `Z`, `+01`, `+0100` or `+01:00`, below 16 hours.
fn offset(zone: &[u8]) -> Option<FixedOffset> {
    let (hours, minutes) = match zone {
        b"Z" => return FixedOffset::east_opt(0),
        [_, hours @ ..] if hours.len() == 2 => (hours, &b"00"[..]),
        [_, rest @ ..] if rest.len() == 4 => rest.split_at(2),
        [_, rest @ ..] if rest.len() == 5 && rest[2] == b':' => (&rest[..2], &rest[3..]),
        _ => return None,
    };
    let hours = digits(hours).filter(|hours| *hours < 16)?;
    let minutes = digits(minutes).filter(|minutes| *minutes < 60)?;
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    match zone[0] {
        b'+' => FixedOffset::east_opt(seconds),
        b'-' => FixedOffset::west_opt(seconds),
        _ => None,
    }
}

fn digits(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_to_the_microsecond() {
        for (field, canonical) in [
            ("2018-04-13T02:51:38Z", "2018-04-13T02:51:38+00:00"),
            ("2018-04-13 02:51:38.5+00", "2018-04-13T02:51:38.500+00:00"),
            ("2018-04-13T02:51:38.1234565+05:30", "2018-04-12T21:21:38.123457+00:00"),
            ("2018-12-31T23:59:59.999999999-0100", "2019-01-01T01:00:00+00:00"),
        ] {
            assert_eq!(time(field).map(|time| time.to_rfc3339()).as_deref(), Some(canonical), "{field}");
        }
    }

    #[test]
    fn doubtful_instants_are_refused() {
        for field in [
            "",
            "now",
            "infinity",
            "2018-04-13",
            "2018-04-13T02:51Z",
            "2018-04-13T02:51:38",
            "2018-04-13T02:51:38.Z",
            "2018-04-13T02:51:38.1234567890Z",
            "2018-04-13T02:51:60Z",
            "2018-04-13T24:00:00Z",
            "2018-02-29T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "2018-04-13T02:51:38+16:00",
            "2018-04-13T02:51:38Zürich",
            "２018-04-13T02:51:38Z",
        ] {
            assert_eq!(time(field), None, "{field}");
        }
    }

    #[test]
    fn numbers_keep_to_their_range() {
        assert_eq!(Format::Int32.read("-2147483648"), Some(Value::Int(i32::MIN.into())));
        assert_eq!(Format::Int32.read("2147483648"), None);
        assert_eq!(Format::Int64.read("9223372036854775808"), None);
        for field in ["", " 1", "1.0", "0x10", "1_000", "１"] {
            assert_eq!(Format::Int64.read(field), None, "{field}");
        }
    }

    #[test]
    fn booleans_are_the_words_both_databases_know() {
        assert_eq!(Format::Bool.read("TRUE"), Some(Value::Bool(true)));
        assert_eq!(Format::Bool.read("0"), Some(Value::Bool(false)));
        assert_eq!(Format::Bool.read("yep"), None);
    }
}
