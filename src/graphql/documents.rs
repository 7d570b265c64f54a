//! Parsed documents, kept by their text: clients send the same few again and again. Whether one is valid need be found out
//! only once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition};
use async_graphql::{Positioned, ServerError, Variables};
use moka::sync::Cache;

use super::variables;

/// How deep brackets may nest. The parser descends with them and would overflow the stack of its thread, which ends the
/// process; nothing that can be asked needs half of this.
const MAX_NESTING: usize = 100;
/// Most fragments of a document. Validation descends from fragment to fragment, also through those nobody uses, in time
/// that grows with the square of their number.
const MAX_FRAGMENTS: usize = 200;

/// A bounded memory of parsed documents.
pub struct Documents {
    known: Cache<Arc<str>, Arc<Document>>,
}

/// A parsed document.
pub struct Document {
    parsed: ExecutableDocument,
    /// Whether it has been found valid, with nothing left unseen.
    is_valid: AtomicBool,
}

impl Documents {
    /// Keeps at most about `bytes` of text.
    pub fn new(bytes: u64) -> Self {
        let weigh = |text: &Arc<str>, _: &Arc<Document>| u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self { known: Cache::builder().weigher(weigh).max_capacity(bytes).build() }
    }

    /// The document of a text.
    pub fn parse(&self, text: &str) -> Result<Arc<Document>, ServerError> {
        if let Some(document) = self.known.get(text) {
            return Ok(document);
        }
        if nesting(text) > MAX_NESTING {
            return Err(ServerError::new("the document is nested too deeply", None));
        }
        let parsed = parse_query(text)?;
        if parsed.fragments.len() > MAX_FRAGMENTS {
            return Err(ServerError::new(format!("more than {MAX_FRAGMENTS} fragments"), None));
        }
        let document = Arc::new(Document { parsed, is_valid: AtomicBool::new(false) });
        self.known.insert(text.into(), document.clone());
        Ok(document)
    }
}

impl Document {
    pub fn parsed(&self) -> &ExecutableDocument {
        &self.parsed
    }

    /// Whether it was found valid before, and these variables cannot change that.
    pub fn is_known_valid(&self, variables: &Variables) -> bool {
        self.is_valid.load(Ordering::Relaxed)
            && self.only_operation().is_some_and(|operation| variables::are_plain(operation, variables))
    }

    /// Whether validation with these variables looks at everything: it passes over a value in which one is missing, and
    /// over the values of operations that were not asked for.
    pub fn is_seen_whole(&self, variables: &Variables) -> bool {
        self.only_operation().is_some_and(|operation| variables::are_all_given(operation, variables))
    }

    /// It was found valid, and seen whole.
    pub fn passed(&self) {
        self.is_valid.store(true, Ordering::Relaxed);
    }

    fn only_operation(&self) -> Option<&OperationDefinition> {
        let mut operations = self.parsed.operations.iter();
        let (_, only) = operations.next()?;
        operations.next().is_none().then_some(&only.node)
    }
}

/// The operation that a request means; none if it does not say which of several.
pub fn operation<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a OperationDefinition> {
    placed_operation(document, name).map(|operation| &operation.node)
}

/// The same with its place in the document.
pub fn placed_operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a Positioned<OperationDefinition>> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        // One that has a name need not be named.
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => operations.values().next(),
        (DocumentOperations::Multiple(_), None) => None,
    }
}

/// How deep the brackets of a document nest, outside strings and comments; no less than the parser may see.
fn nesting(text: &str) -> usize {
    let mut bytes = text.as_bytes();
    let (mut depth, mut deepest) = (0_usize, 0);
    while let Some((first, rest)) = bytes.split_first() {
        bytes = match first {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
                rest
            }
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                rest
            }
            b'#' => rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).map_or(&[], |end| &rest[end..]),
            b'"' if rest.starts_with(br#""""#) => match behind(&rest[2..], br#"""""#, br#"\""""#) {
                Some(behind) => behind,
                // It is none, but the empty string and another.
                None => {
                    let more = rest.iter().filter(|byte| matches!(byte, b'{' | b'[' | b'(')).count();
                    return deepest.max(depth + more);
                }
            },
            // Without its end the parser gets no further.
            b'"' => behind(rest, br#"""#, br"\").unwrap_or_default(),
            _ => rest,
        };
    }
    deepest
}

/// What follows the `end` of a string, unless that was part of an `escape`: a backslash and what it protects, or any
/// one byte.
fn behind<'a>(mut bytes: &'a [u8], end: &[u8], escape: &[u8]) -> Option<&'a [u8]> {
    while !bytes.starts_with(end) {
        let width = if !bytes.starts_with(escape) { 1 } else { escape.len().max(2) };
        bytes = bytes.get(width..)?;
    }
    Some(&bytes[end.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brackets_of_the_document_nest() {
        assert_eq!(nesting("{ a(b: [{ c: 1 }]) { d } }"), 4);
        assert_eq!(nesting("{ a } { b } { c }"), 1);
        assert_eq!(nesting("}}} { a }"), 1);
        assert_eq!(nesting(r#"{ a(b: "{{\"{{", c: "") { d } }"#), 2);
        assert_eq!(nesting(r#"{ a(b: """{ " {{ \""" {{{""") { d } } # {{{{"#), 2);
        assert_eq!(nesting("# {{{\n{ a } # {{\r{ b }"), 1);
    }

    #[test]
    fn nothing_hides_brackets_from_the_count() {
        // A comment has no escapes, a block string but one.
        assert_eq!(nesting("# \\\n{{{"), 3);
        assert_eq!(nesting(r#"{a(b:"""\\""" " """[[["#), 5);
        // Two empty strings, as a block string that never ends reads to the parser.
        assert_eq!(nesting(r#"{a(b:[""""[[["#), 6);
    }
}
