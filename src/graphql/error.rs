//! What a client sees of a failure: a code, a sentence, a request id. Never a cause, a SQL text or a path on a disk.

use std::sync::Arc;

use async_graphql::{Context, ErrorExtensionValues, PathSegment, QueryPathSegment, ServerError};

use crate::data;

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
    /// It is one, from a page that may not ask.
    Forbidden = "FORBIDDEN",
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    NotAcceptable = "NOT_ACCEPTABLE",
    RequestTimeout = "REQUEST_TIMEOUT",
    PayloadTooLarge = "PAYLOAD_TOO_LARGE",
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE",
    BatchTooLarge = "BATCH_TOO_LARGE",
    /// More operations at once than a connection may have.
    TooManyOperations = "TOO_MANY_OPERATIONS",
    /// More events wait for a subscriber than may.
    SubscriberTooSlow = "SUBSCRIBER_TOO_SLOW",
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
    cause: data::Error,
}

/// An error of the field that `ctx` resolves.
pub fn fault(ctx: &Context<'_>, cause: data::Error) -> async_graphql::Error {
    let code = Code::of(&cause);
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code.name());
    async_graphql::Error {
        message: code.text(&cause),
        source: Some(Arc::new(Fault { path: path(ctx), cause })),
        extensions: Some(extensions),
    }
}

/// An error of the whole request.
pub fn request_error(code: Code, message: impl Into<String>) -> ServerError {
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", code.name());
    error
}

/// Makes an error of the executor fit for a client, and tells the log what the client is not told.
///
/// async-graphql 8.0.0-rc.5 cuts the `path` of an error that bubbles out of a list at the list's index: errors of our
/// fields bring their own path along. Its own errors have no code: they are all the document's or its variables' fault.
pub fn finish(error: &mut ServerError, request_id: &str) {
    if let Some(fault) = error.source::<Fault>() {
        if !fault.cause.is_clients() {
            let (path, cause) = (format!("{:?}", fault.path), &fault.cause);
            tracing::error!(request_id, path, ?cause, "a field failed");
        }
        // An element of a list knows better where it is.
        if error.path.len() < fault.path.len() {
            error.path = fault.path.clone();
        }
    }
    let extensions = error.extensions.get_or_insert_default();
    if extensions.get("code").is_none() {
        extensions.set("code", Code::BadUserInput.name());
    }
    extensions.set("requestId", request_id);
}

/// The code of a finished error.
pub fn code(error: &ServerError) -> String {
    match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(async_graphql::Value::String(code)) => code.clone(),
        _ => Code::Internal.name().to_owned(),
    }
}

fn path(ctx: &Context<'_>) -> Vec<PathSegment> {
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
