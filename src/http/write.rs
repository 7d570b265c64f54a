//! Writes answers: once, straight from the executor's values.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::{ServerError, Value};
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics::counter;
use serde::Serialize;

use super::accept::MediaType;
use crate::graphql::error::{self, Code};
use crate::graphql::execute::Body;
use crate::graphql::note::Note;

/// Of what nobody may keep.
pub const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");

/// How much memory a thread keeps to write answers in, in bytes.
const MOST_BUFFERED: usize = 256 << 10;

/// An answer as bytes, and what HTTP says of it.
pub struct Written {
    pub status: StatusCode,
    pub bytes: Bytes,
    /// After how many seconds what could not be had now may be asked for again.
    pub retry_after: Option<u64>,
    /// What caches may do with it.
    pub note: Arc<Note>,
}

/// A request that was not executed has no data, which is not the same as data that is null.
#[derive(Serialize)]
struct Refused<'a> {
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

/// The bytes of an answer.
pub fn answer(body: Body, note: Arc<Note>, media_type: MediaType, request_id: &str) -> Written {
    match body {
        Body::Written(bytes) => Written { status: StatusCode::OK, bytes, retry_after: None, note },
        Body::Refused(mut response) => {
            let bytes = refused(&mut response, request_id);
            let code = response.errors.first().map(error::code);
            let status = status(code.as_deref().unwrap_or_default(), media_type);
            let retry_after = response.errors.first().and_then(error::retry_after);
            Written { status, bytes, retry_after, note }
        }
        Body::Made(mut response, keep) => {
            let retry_after = finish(&mut response.errors, request_id);
            match to_bytes(&response) {
                Ok(bytes) => {
                    if let Some(keep) = keep {
                        keep.keep(bytes.clone(), note.clone(), note.size());
                    }
                    Written { status: StatusCode::OK, bytes, retry_after, note }
                }
                Err(error) => unwritable(&error, request_id),
            }
        }
    }
}

/// A value as JSON, in no more memory than it takes: much of it is kept.
fn to_bytes(value: &impl Serialize) -> serde_json::Result<Bytes> {
    thread_local!(static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });
    // Taken: nothing is left in it of an answer that could not be written.
    let mut buffer = BUFFER.take();
    serde_json::to_writer(&mut buffer, value)?;
    let bytes = Bytes::copy_from_slice(&buffer);
    buffer.clear();
    buffer.shrink_to(MOST_BUFFERED);
    BUFFER.set(buffer);
    Ok(bytes)
}

/// The bytes of the answer to a request that was not executed.
pub fn refused(answer: &mut async_graphql::Response, request_id: &str) -> Bytes {
    finish(&mut answer.errors, request_id);
    let refused = Refused { errors: &answer.errors, extensions: &answer.extensions };
    serde_json::to_vec(&refused).map_or_else(|error| unwritable(&error, request_id).bytes, Bytes::from)
}

impl Written {
    /// With the headers for caches.
    pub fn into_response(self, media_type: MediaType, for_caches: HeaderMap) -> Response {
        let content_type = [(header::CONTENT_TYPE, media_type.content_type())];
        let mut response = (self.status, content_type, for_caches, self.bytes).into_response();
        let seconds = self.retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds)));
        response.headers_mut().extend(seconds);
        response
    }
}

/// Makes errors fit for a client; after how many seconds what failed may be tried again, where that is of use.
fn finish(errors: &mut [ServerError], request_id: &str) -> Option<u64> {
    let mut retry_after = None;
    for error in errors {
        error::finish(error, request_id);
        retry_after = retry_after.max(error::retry_after(error));
        counter!("shoal_graphql_errors_total", "code" => error::code(error)).increment(1);
    }
    retry_after
}

/// What a client of HTTP, which does not look into the body, is told of a request that was not executed. In
/// `application/json` that is only what is not the request's own fault: everything else is 200 there, as it always was.
fn status(code: &str, media_type: MediaType) -> StatusCode {
    match Code::named(code) {
        Some(Code::BadRequest) => StatusCode::BAD_REQUEST,
        Some(Code::MethodNotAllowed) => StatusCode::METHOD_NOT_ALLOWED,
        Some(Code::RateLimited) => StatusCode::TOO_MANY_REQUESTS,
        Some(Code::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        Some(Code::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        Some(Code::Internal) => StatusCode::INTERNAL_SERVER_ERROR,
        _ if media_type == MediaType::Json => StatusCode::OK,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn unwritable(error: &serde_json::Error, request_id: &str) -> Written {
    tracing::error!(request_id, %error, "an answer could not be written");
    let bytes = Bytes::from_static(br#"{"errors":[{"message":"internal error","extensions":{"code":"INTERNAL"}}]}"#);
    Written { status: StatusCode::INTERNAL_SERVER_ERROR, bytes, retry_after: None, note: Arc::default() }
}
