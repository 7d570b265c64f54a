//! Requests that are refused before GraphQL sees them: a status, a code, a sentence.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::accept::MediaType;
use super::write;
use crate::graphql::error::{Code, request_error};

/// Why a request is none that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: Code,
    pub message: String,
    /// The methods that would do.
    pub allow: Option<HeaderValue>,
}

impl Refusal {
    pub fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), allow: None }
    }

    /// What was sent is no request.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    }

    pub fn method(allow: &'static str, message: impl Into<String>) -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, message);
        Self { allow: Some(HeaderValue::from_static(allow)), ..refusal }
    }

    /// As it is answered, whatever the client accepts: it should learn why.
    pub fn answer(self, media_type: Option<MediaType>, request_id: &str) -> Response {
        let mut answer = async_graphql::Response::from_errors(vec![request_error(self.code, self.message)]);
        let bytes = write::refused(&mut answer, request_id);
        let media_type = media_type.unwrap_or(MediaType::Json);
        let headers = [(header::CONTENT_TYPE, media_type.content_type()), (header::CACHE_CONTROL, write::NO_STORE)];
        let mut response = (self.status, headers, bytes).into_response();
        if matches!(self.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // There is more of the body, which nobody will read.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.headers_mut().extend(self.allow.map(|allow| (header::ALLOW, allow)));
        response
    }
}
