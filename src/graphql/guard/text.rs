//! The text of a document, before it is parsed. <https://spec.graphql.org/October2021/#sec-Language.Source-Text>
//!
//! Refuses whatever is no sequence of tokens. So the parser never meets a string without an end: it takes the beginning of
//! a block string for an empty string then, and tries again behind it, in time that grows with the square of the text.

use async_graphql::{Pos, ServerError};

use super::{Limits, above, unreadable};

/// How deep brackets may nest. The parser descends with them and would overflow the stack of its thread, which ends the
/// process, so this is no setting; nothing that can be asked needs half of it.
const MAX_NESTING: usize = 100;

/// Judges the text of a document, without remembering anything of it.
///
/// # Errors
/// For what is no token, and more than the limits of tokens, of names, and of brackets in each other.
pub fn text(text: &str, limits: &Limits) -> Result<(), ServerError> {
    let (mut tokens, mut depth) = (0_usize, 0_usize);
    let mut at = 0;
    while let Some(token) =
        next(text.as_bytes(), at).map_err(|(message, at)| unreadable(message, position(text, at)))?
    {
        tokens += 1;
        if tokens > limits.tokens {
            return Err(above("tokens", limits.tokens, None));
        }
        match token.kind {
            Kind::Opening => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(above("brackets in each other", MAX_NESTING, None));
                }
            }
            Kind::Closing => depth = depth.saturating_sub(1),
            Kind::Name if token.end - token.start > limits.name_bytes => {
                return Err(above("bytes in a name", limits.name_bytes, Some((token.end - token.start) as u64)));
            }
            Kind::Name | Kind::Other => {}
        }
        at = token.end;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Opening,
    Closing,
    Name,
    Other,
}

struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// What is wrong, and at which byte.
type Fault = (&'static str, usize);

/// The first token at or behind a byte; none at the end.
fn next(text: &[u8], at: usize) -> Result<Option<Token>, Fault> {
    let start = skip(text, at);
    let Some(&first) = text.get(start) else { return Ok(None) };
    let (kind, end) = match first {
        b'{' | b'[' | b'(' => (Kind::Opening, start + 1),
        b'}' | b']' | b')' => (Kind::Closing, start + 1),
        b'!' | b'$' | b'&' | b':' | b'=' | b'@' | b'|' => (Kind::Other, start + 1),
        b'.' if text[start..].starts_with(b"...") => (Kind::Other, start + 3),
        b'_' | b'a'..=b'z' | b'A'..=b'Z' => (Kind::Name, while_some(text, start, is_of_name)),
        b'-' | b'0'..=b'9' => (Kind::Other, number(text, start)?),
        b'"' if text[start..].starts_with(br#"""""#) => (Kind::Other, block_string(text, start)?),
        b'"' => (Kind::Other, string(text, start)?),
        _ => return Err(("this is no token", start)),
    };
    Ok(Some(Token { kind, start, end }))
}

/// Past what separates tokens.
fn skip(text: &[u8], mut at: usize) -> usize {
    loop {
        match text.get(at) {
            Some(b' ' | b'\t' | b'\n' | b'\r' | b',') => at += 1,
            Some(b'#') => at = while_some(text, at, |byte| !matches!(byte, b'\n' | b'\r')),
            Some(0xef) if text[at..].starts_with("\u{feff}".as_bytes()) => at += 3,
            _ => return at,
        }
    }
}

fn while_some(text: &[u8], from: usize, is_one: impl Fn(u8) -> bool) -> usize {
    text[from..].iter().position(|byte| !is_one(*byte)).map_or(text.len(), |length| from + length)
}

fn is_of_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// The end of a number: `-1`, `1.5`, `1e-3`.
fn number(text: &[u8], start: usize) -> Result<usize, Fault> {
    let digits = |from: usize| match while_some(text, from, |byte| byte.is_ascii_digit()) {
        end if end > from => Ok(end),
        end => Err(("a digit is missing", end)),
    };
    let whole = start + usize::from(text[start] == b'-');
    let mut end = digits(whole)?;
    if text[whole] == b'0' && end > whole + 1 {
        return Err(("a number does not begin with 0", whole));
    }
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        end = digits(end + 1 + usize::from(matches!(text.get(end + 1), Some(b'+' | b'-'))))?;
    }
    match text.get(end) {
        Some(byte) if is_of_name(*byte) || *byte == b'.' => Err(("a number ends before this", end)),
        _ => Ok(end),
    }
}

/// The end of a string in one line. What its escapes mean is the parser's.
fn string(text: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\n' | b'\r') | None => return Err(("this string has no end", start)),
            // A line's end cannot be escaped, nor can the end of the text.
            Some(b'\\') if !matches!(text.get(at + 1), Some(b'\n' | b'\r') | None) => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// The end of a block string, in which only `"""` can be escaped.
fn block_string(text: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start + 3;
    loop {
        match &text[at..] {
            [b'"', b'"', b'"', ..] => return Ok(at + 3),
            [b'\\', b'"', b'"', b'"', ..] => at += 4,
            [] => return Err(("this block string has no end", start)),
            [_, ..] => at += 1,
        }
    }
}

/// Line and column of a byte, as people count them.
fn position(text: &str, at: usize) -> Pos {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Pos { line, column }
}
