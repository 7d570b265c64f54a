//! Parsed documents, kept by their text: clients send the same few again and again. Whether one is within the limits, and
//! whether it is valid, need be found out only once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition};
use async_graphql::{Positioned, ServerError, Value, Variables};
use moka::sync::Cache;

use super::context::Settings;
use super::error::{Code, parse_error, request_error};
use super::policy::Policy;
use super::{guard, price, variables};
use guard::Limits;

/// A bounded memory of parsed documents.
pub struct Documents {
    known: Cache<Arc<str>, Arc<Document>>,
    limits: Limits,
    introspection: bool,
}

/// A parsed document.
pub struct Document {
    parsed: ExecutableDocument,
    /// Whether it has been found valid, with nothing left unseen.
    is_valid: AtomicBool,
    /// How many bytes it has, and how often it may name a variable.
    length: usize,
    mentions: usize,
    /// What requests that are alike may cost, and for how long and for whom answers to them may be kept.
    judged: OnceLock<(u64, Policy)>,
}

impl Documents {
    /// Keeps at most about so many bytes of text.
    pub fn new(settings: &Settings) -> Self {
        let weigh = |text: &Arc<str>, _: &Arc<Document>| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let known = Cache::builder().weigher(weigh).max_capacity(settings.document_cache_bytes).build();
        Self { known, limits: settings.limits.clone(), introspection: settings.introspection }
    }

    /// The document of a text. What is remembered is within the limits.
    pub fn parse(&self, text: &str) -> Result<Arc<Document>, ServerError> {
        if let Some(document) = self.known.get(text) {
            return Ok(document);
        }
        guard::text(text, &self.limits)?;
        let parsed = parse_query(text).map_err(parse_error)?;
        guard::structure(&parsed, &self.limits, self.introspection)?;
        let document = Arc::new(Document {
            parsed,
            is_valid: AtomicBool::new(false),
            length: text.len(),
            mentions: text.matches('$').count(),
            judged: OnceLock::new(),
        });
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

    /// The price and the policy of a request for it with these variables, which for those that are alike are found out once.
    pub fn judged(&self, variables: &Variables, find_out: impl FnOnce() -> (u64, Policy)) -> (u64, Policy) {
        if self.are_like_others(variables) { *self.judged.get_or_init(find_out) } else { find_out() }
    }

    /// Whether all there is are texts, too short to cost anything by themselves. Those say neither how many rows are asked
    /// for nor what is left out.
    fn are_like_others(&self, variables: &Variables) -> bool {
        let Some(operation) = self.only_operation() else { return false };
        let bytes =
            operation.variable_definitions.iter().map(|definition| match variables.get(&definition.node.name.node) {
                Some(Value::String(text)) => Some(text.len()),
                _ => None,
            });
        bytes.sum::<Option<usize>>().is_some_and(|bytes| {
            let most = bytes.saturating_mul(self.mentions);
            most == 0 || self.length.saturating_add(most) < price::BYTES
        })
    }

    fn only_operation(&self) -> Option<&OperationDefinition> {
        let mut operations = self.parsed.operations.iter();
        let (_, only) = operations.next()?;
        operations.next().is_none().then_some(&only.node)
    }
}

/// The operation that a request means. <https://spec.graphql.org/October2021/#GetOperation()>
///
/// # Errors
/// When there is none of that name, or no name and several of them.
pub fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a Positioned<OperationDefinition>, ServerError> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        // One that has a name need not be named.
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => operations.values().next(),
        (DocumentOperations::Multiple(_), None) => {
            let message = "the document has several operations: operationName must say which is meant";
            return Err(request_error(Code::OperationUnknown, message));
        }
    };
    found.ok_or_else(|| {
        let name = name.unwrap_or_default();
        request_error(Code::OperationUnknown, format!("the document has no operation named \"{name}\""))
    })
}

/// The name of the only operation, if it has one.
pub fn only_name(document: &ExecutableDocument) -> Option<&str> {
    match &document.operations {
        DocumentOperations::Multiple(operations) if operations.len() == 1 => {
            operations.keys().next().map(|name| name.as_str())
        }
        _ => None,
    }
}
