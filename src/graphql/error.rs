//! What a client sees of a failure: a code, a sentence, a request id. Never a cause, a SQL text or a path on a disk.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ErrorExtensionValues, PathSegment, QueryPathSegment, ServerError, Value, parser};

use crate::data;

/// Most errors of a request that is not executed.
const MOST_ERRORS: usize = 50;
/// What is shown of a message, and of a word in it, in characters.
const MOST_OF_MESSAGE: usize = 500;
const MOST_OF_WORD: usize = 40;
/// Tells clients of GraphQL what the header tells those of HTTP.
const RETRY_AFTER: &str = "retryAfter";

/// Declares the codes of `extensions.code`, each with its name.
macro_rules! codes {
    ($($(#[$meta:meta])* $code:ident = $name:literal,)+) => {
        /// The codes of `extensions.code`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$meta])* $code,)+
        }

        impl Code {
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)+
                }
            }

            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$code),)+
                    _ => None,
                }
            }
        }
    };
}

codes! {
    BadUserInput = "BAD_USER_INPUT",
    NotFound = "NOT_FOUND",
    Conflict = "CONFLICT",
    Unavailable = "UNAVAILABLE",
    Internal = "INTERNAL",
    /// What was sent is no request.
    BadRequest = "BAD_REQUEST",
    /// It is one, from a page that may not ask; or it asks for what its viewer may not see or do.
    Forbidden = "FORBIDDEN",
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    NotAcceptable = "NOT_ACCEPTABLE",
    RequestTimeout = "REQUEST_TIMEOUT",
    PayloadTooLarge = "PAYLOAD_TOO_LARGE",
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE",
    BatchTooLarge = "BATCH_TOO_LARGE",
    /// The client asks for more than it may.
    RateLimited = "RATE_LIMITED",
    /// It took too long, and was given up.
    Timeout = "TIMEOUT",
    /// The document that is named is not known here: it has to be sent.
    PersistedQueryNotFound = "PERSISTED_QUERY_NOT_FOUND",
    /// Documents have to be sent.
    PersistedQueryNotSupported = "PERSISTED_QUERY_NOT_SUPPORTED",
    /// It was sent, and is another than is named.
    PersistedQueryMismatch = "PERSISTED_QUERY_MISMATCH",
    /// It is none of those that are trusted.
    QueryNotInSafelist = "QUERY_NOT_IN_SAFELIST",
    /// More operations at once than a connection may have.
    TooManyOperations = "TOO_MANY_OPERATIONS",
    /// More events wait for a subscriber than may.
    SubscriberTooSlow = "SUBSCRIBER_TOO_SLOW",
    /// The document is no GraphQL.
    ParseFailed = "GRAPHQL_PARSE_FAILED",
    /// It does not fit the schema.
    ValidationFailed = "GRAPHQL_VALIDATION_FAILED",
    /// It does not have the operation that is asked for, or does not say which of several.
    OperationUnknown = "OPERATION_RESOLUTION_FAILURE",
    /// The document or its variables are above a limit.
    QueryTooLarge = "QUERY_TOO_LARGE",
    /// Executing it would cost too much.
    QueryTooComplex = "QUERY_TOO_COMPLEX",
    IntrospectionDisabled = "INTROSPECTION_DISABLED",
}

impl Code {
    fn of(error: &data::Error) -> Self {
        match error {
            data::Error::BadInput(_) => Self::BadUserInput,
            data::Error::Conflict(_) => Self::Conflict,
            data::Error::Unavailable(_) | data::Error::Contention(_) => Self::Unavailable,
            data::Error::NotFound(_) | data::Error::Vanished(_) => Self::NotFound,
            data::Error::Database(_) | data::Error::Taken(_) | data::Error::Panicked => Self::Internal,
        }
    }

    fn text(self, error: &data::Error) -> String {
        match self {
            Self::BadUserInput | Self::NotFound | Self::Conflict => error.to_string(),
            Self::Unavailable => "the data cannot be reached at the moment".to_owned(),
            _ => "internal error".to_owned(),
        }
    }
}

/// What travels with an error through the executor, unseen by clients: the cause, for the log, and where it happened.
#[derive(Debug)]
struct Fault {
    path: Vec<PathSegment>,
    /// None where there is nothing to be told but the code.
    cause: Option<data::Error>,
}

/// An error of the field that `ctx` resolves.
pub fn fault(ctx: &Context<'_>, cause: data::Error) -> async_graphql::Error {
    let code = Code::of(&cause);
    of_field(ctx, code, code.text(&cause), Some(cause))
}

/// The error of a field that its viewer may not see or do.
pub fn forbidden(ctx: &Context<'_>) -> async_graphql::Error {
    of_field(ctx, Code::Forbidden, "that is not yours to see or do".to_owned(), None)
}

fn of_field(ctx: &Context<'_>, code: Code, message: String, cause: Option<data::Error>) -> async_graphql::Error {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code.name());
    let source = Arc::new(Fault { path: path(ctx), cause });
    async_graphql::Error { message, source: Some(source), extensions: Some(extensions) }
}

/// An error of the whole request.
pub fn request_error(code: Code, message: impl Into<String>) -> ServerError {
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", code.name());
    error
}

/// An error of the whole request, whose cause is for the log.
pub fn failure(cause: &data::Error, request_id: &str) -> ServerError {
    if !cause.is_clients() {
        tracing::error!(request_id, ?cause, "a request failed");
    }
    let code = Code::of(cause);
    request_error(code, code.text(cause))
}

/// The client has to wait for so long.
pub fn rate_limited(wait: Duration) -> ServerError {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let mut error = request_error(Code::RateLimited, format!("too much was asked for: try again in {seconds} s"));
    error.extensions.get_or_insert_default().set(RETRY_AFTER, seconds);
    error
}

/// After how many seconds what an error is about may be tried again, if that is of use.
pub fn retry_after(error: &ServerError) -> Option<u64> {
    let extensions = error.extensions.as_ref()?;
    match extensions.get(RETRY_AFTER) {
        Some(Value::Number(seconds)) => seconds.as_u64(),
        _ => (code(error) == Code::Unavailable.name()).then_some(1),
    }
}

/// The error of a text that is no document.
///
/// The parser's own would repeat the line in which it is wrong, however long.
pub fn parse_error(error: parser::Error) -> ServerError {
    let locations = error.positions().collect();
    let message = match error {
        parser::Error::Syntax { message, .. } => {
            let expected = message.lines().next_back().and_then(|line| line.trim_start().strip_prefix("= "));
            format!("syntax error: {}", expected.unwrap_or("this cannot be read"))
        }
        other => other.to_string(),
    };
    ServerError { locations, ..request_error(Code::ParseFailed, message) }
}

/// Gives the errors of a request that was not executed the codes that they lack, and keeps no more of them than anybody
/// reads: a document may be wrong in each of its tokens.
///
/// async-graphql 8.0.0-rc.5 validates literals and the values of variables in one, and says so in the same words.
pub fn refuse(errors: &mut Vec<ServerError>) {
    errors.truncate(MOST_ERRORS);
    for error in errors {
        let message = &error.message;
        let code = if message.starts_with("Invalid value for argument") {
            Code::BadUserInput
        } else if message.starts_with("Unknown operation named") || message.starts_with("Operation name required") {
            Code::OperationUnknown
        } else {
            Code::ValidationFailed
        };
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            extensions.set("code", code.name());
        }
    }
}

/// Makes an error of the executor fit for a client, and tells the log what the client is not told.
///
/// async-graphql 8.0.0-rc.5 cuts the `path` of an error that bubbles out of a list at the list's index: errors of our
/// fields bring their own path along. Its own errors in an execution have no code: an argument could not be coerced.
pub fn finish(error: &mut ServerError, request_id: &str) {
    if let Some(fault) = error.source::<Fault>() {
        if let Some(cause) = fault.cause.as_ref().filter(|cause| !cause.is_clients()) {
            let path = format!("{:?}", fault.path);
            tracing::error!(request_id, path, ?cause, "a field failed");
        }
        // An element of a list knows better where it is.
        if error.path.len() < fault.path.len() {
            error.path = fault.path.clone();
        }
    }
    error.message = brief(&error.message);
    let extensions = error.extensions.get_or_insert_default();
    if extensions.get("code").is_none() {
        extensions.set("code", Code::BadUserInput.name());
    }
    extensions.set("requestId", request_id);
}

/// A message in which no name, nor anything else that a client sent, is repeated at length.
fn brief(message: &str) -> String {
    let mut short = String::new();
    let mut of_word = 0;
    for character in message.chars().take(MOST_OF_MESSAGE) {
        of_word = if character == '_' || character.is_alphanumeric() { of_word + 1 } else { 0 };
        match of_word {
            ..=MOST_OF_WORD => short.push(character),
            of_word if of_word == MOST_OF_WORD + 1 => short.push('…'),
            _ => {}
        }
    }
    if message.chars().nth(MOST_OF_MESSAGE).is_some() {
        short.push('…');
    }
    short
}

/// The code of a finished error.
pub fn code(error: &ServerError) -> String {
    match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(code)) => code.clone(),
        _ => Code::Internal.name().to_owned(),
    }
}

/// Where a field stands in its answer.
pub fn path(ctx: &Context<'_>) -> Vec<PathSegment> {
    let Some(node) = &ctx.path_node else { return Vec::new() };
    let mut path: Vec<_> = std::iter::once(node)
        .chain(node.parents())
        .map(|node| match node.segment {
            QueryPathSegment::Index(index) => PathSegment::Index(index),
            QueryPathSegment::Name(name) => PathSegment::Field(name.to_owned()),
        })
        .collect();
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_repeated_at_length() {
        let told = |message: &str| {
            let mut error = ServerError::new(message, None);
            finish(&mut error, "0123456789abcdef");
            error.message
        };
        let name = "n".repeat(40);
        assert_eq!(
            told(&format!("Unknown field \"{name}\" on \"Query\"")),
            format!("Unknown field \"{name}\" on \"Query\"")
        );
        assert_eq!(told(&format!("\"{name}n\" and \"{name}nn\"")), format!("\"{name}…\" and \"{name}…\""));
        assert_eq!(told(&"é ".repeat(400)), format!("{}…", "é ".repeat(250)));
        assert_eq!(told(&"é ".repeat(250)), "é ".repeat(250));
    }

    #[test]
    fn errors_of_the_parser_repeat_nothing() {
        let error = parse_error(parser::parse_query("{ tag(name: \"secret\" { id } }").unwrap_err());
        assert!(error.message.starts_with("syntax error: expected "), "{}", error.message);
        assert!(!error.message.contains("secret"), "{}", error.message);
        assert_eq!(error.locations.len(), 1);
        let twice = parse_error(parser::parse_query("query a { b } query a { b }").unwrap_err());
        assert_eq!(twice.message, "operation a is defined twice");
    }
}
