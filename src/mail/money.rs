//! Amounts of money as people read them.

/// Currencies whose minor unit is not a hundredth, and how many decimals they have: ISO 4217, list one.
const DECIMALS: [(usize, &[&str]); 2] = [
    (
        0,
        &[
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
            "XPF",
        ],
    ),
    (3, &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
];

/// An amount in minor units of a currency: `1,234.50 EUR`.
pub fn money(cents: i64, currency: &str) -> String {
    let decimals = DECIMALS.iter().find(|(_, codes)| codes.contains(&currency)).map_or(2, |(decimals, _)| *decimals);
    let digits = format!("{:0>1$}", cents.unsigned_abs(), decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let mut text = String::from(if cents < 0 { "-" } else { "" });
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if decimals > 0 {
        text.push('.');
        text.push_str(fraction);
    }
    format!("{text} {currency}")
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (cents, currency, text) in [
            (0, "EUR", "0.00 EUR"),
            (5, "EUR", "0.05 EUR"),
            (99_999, "USD", "999.99 USD"),
            (123_450, "EUR", "1,234.50 EUR"),
            (-123_456_789, "EUR", "-1,234,567.89 EUR"),
            (-1, "EUR", "-0.01 EUR"),
            (1_500, "JPY", "1,500 JPY"),
            (0, "JPY", "0 JPY"),
            (1_500, "KWD", "1.500 KWD"),
            (i64::MIN, "EUR", "-92,233,720,368,547,758.08 EUR"),
        ] {
            assert_eq!(money(cents, currency), text);
        }
    }
}
