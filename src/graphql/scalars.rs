//! Scalars and small value types of the graph.

use async_graphql::{InputObject, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};
use chrono::{Datelike, SecondsFormat, Timelike, Utc};
use sea_orm::ColumnTrait;

use super::connection::Selection;
use super::policy;
use crate::data::Record;
use crate::data::condition::Condition;

/// A point in time, shown and read in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub chrono::DateTime<Utc>);

/// A point in time, RFC 3339 in UTC: 2026-11-22T08:30:00Z. At most microseconds are kept.
#[Scalar(specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => {
                read(text).map(Self).ok_or_else(|| InputValueError::custom("not a point in time in RFC 3339"))
            }
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if read(text).is_some())
    }

    fn to_value(&self) -> Value {
        Value::String(show(self.0))
    }
}

/// What `to_rfc3339_opts(SecondsFormat::AutoSi, true)` shows of microseconds, in a fifth of the time: a page may have a
/// hundred times to show.
fn show(time: chrono::DateTime<Utc>) -> String {
    let time = time.naive_utc();
    let (micros, year) = (time.nanosecond() / 1000, time.year());
    if micros >= 1_000_000 || !(0..=9999).contains(&year) {
        return time.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true);
    }
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let numbers = [year.unsigned_abs(), time.month(), time.day(), time.hour(), time.minute(), time.second(), micros];
    for (mut number, end) in numbers.into_iter().zip([4, 7, 10, 13, 16, 19, 26]) {
        let mut place = end;
        while number > 0 {
            place -= 1;
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
    // No fraction, milliseconds or microseconds.
    let length = match micros {
        0 => 19,
        _ if micros % 1000 == 0 => 23,
        _ => 26,
    };
    text[length] = b'Z';
    String::from_utf8_lossy(&text[..=length]).into_owned()
}

/// A time zone can push a time out of the years that RFC 3339 can write, and that sort as text on SQLite.
fn read(text: &str) -> Option<chrono::DateTime<Utc>> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    (0..=9999).contains(&time.year()).then_some(time)
}

impl From<DateTime> for chrono::DateTime<Utc> {
    fn from(time: DateTime) -> Self {
        time.0
    }
}

impl From<chrono::DateTime<Utc>> for DateTime {
    fn from(time: chrono::DateTime<Utc>) -> Self {
        Self(time)
    }
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
#[graphql(directive = policy::cache_control::apply(None, None, Some(true)))]
pub struct Money {
    /// A decimal number with as many places as the currency has: 12.50. Never a float.
    pub amount: String,
    /// The currency's code in ISO 4217: USD.
    pub currency_code: String,
}

impl Money {
    /// `minor` units, such as cents, of a currency.
    pub fn new(minor: i64, currency_code: String) -> Self {
        let places = minor_digits(&currency_code);
        let sign = if minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", minor.unsigned_abs(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let point = if places == 0 { "" } else { "." };
        Self { amount: format!("{sign}{whole}{point}{fraction}"), currency_code }
    }
}

/// An amount of money that is given.
#[derive(Clone, Debug, InputObject)]
pub struct MoneyInput {
    /// A decimal number with no more places than the currency has: 12.50.
    pub amount: String,
    /// The currency's code in ISO 4217: USD.
    pub currency_code: String,
}

/// How many minor units, such as cents, an amount is; none if it is not a decimal number, or has too many places.
pub fn minor_units(amount: &str, currency: &str) -> Option<i64> {
    let places = minor_digits(currency);
    let (negative, digits) = amount.strip_prefix('-').map_or((false, amount), |digits| (true, digits));
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (digits, ""),
    };
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits || fraction.len() > places {
        return None;
    }
    let minor: i64 = format!("{whole}{fraction:0<places$}").parse().ok()?;
    Some(if negative { -minor } else { minor })
}

/// How many decimal places a currency has. Source: ISO 4217, list one, "minor unit"; all others have two.
fn minor_digits(currency: &str) -> usize {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, Default, InputObject)]
pub struct DateTimeRange {
    /// Not before this time.
    from: Option<DateTime>,
    /// Before this time.
    until: Option<DateTime>,
}

impl DateTimeRange {
    pub fn apply<R: Record>(self, column: impl ColumnTrait, selection: &mut Selection<R>) {
        if let Some(DateTime(from)) = self.from {
            selection.only(Condition::at_least(column, from));
        }
        if let Some(DateTime(until)) = self.until {
            selection.only(Condition::below(column, until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_the_places_of_its_currency() {
        let amount = |minor, code: &str| Money::new(minor, code.to_owned()).amount;
        assert_eq!(amount(1250, "USD"), "12.50");
        assert_eq!(amount(5, "USD"), "0.05");
        assert_eq!(amount(-5, "EUR"), "-0.05");
        assert_eq!(amount(1250, "JPY"), "1250");
        assert_eq!(amount(1, "KWD"), "0.001");
        assert_eq!(amount(i64::MIN, "USD"), "-92233720368547758.08");
    }

    #[test]
    fn times_are_shown_as_chrono_shows_them() {
        let start = chrono::DateTime::parse_from_rfc3339("0000-01-01T00:00:00Z").unwrap().to_utc();
        let end = chrono::DateTime::parse_from_rfc3339("9999-12-31T23:59:59.999999Z").unwrap().to_utc();
        let (first, last) = (start.timestamp_micros(), end.timestamp_micros());
        // Steps that meet all months, hours, and fractions of one to six places.
        let steps = (first..=last).step_by(6_311_433_519_000_123).chain((0..2_000_000).step_by(1000)).chain(0..2000);
        for micros in steps.chain([first, last, -1, 1_709_208_000_000_000]) {
            let time = chrono::DateTime::from_timestamp_micros(micros).unwrap();
            assert_eq!(show(time), time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        }
        let leap = chrono::DateTime::parse_from_rfc3339("2016-12-31T23:59:60.5Z").unwrap().to_utc();
        assert_eq!(show(leap), "2016-12-31T23:59:60.500Z");
    }

    #[test]
    fn amounts_are_read_as_they_are_written() {
        let whole = |amount| minor_units(amount, "USD");
        assert_eq!(
            [whole("12.50"), whole("12.5"), whole("12"), whole("-0.05")],
            [Some(1250), Some(1250), Some(1200), Some(-5)]
        );
        for bad in ["", ".", "1.", ".5", "1.005", "1e3", "1,000", "+1", " 1", "--1", "0x1", "99999999999999999999"] {
            assert_eq!(whole(bad), None, "{bad}");
        }
        assert_eq!((minor_units("1250", "JPY"), minor_units("1250.0", "JPY")), (Some(1250), None));
        assert_eq!(minor_units("0.001", "KWD"), Some(1));
    }
}
