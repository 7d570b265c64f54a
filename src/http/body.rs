//! Reads the body of a request: so many bytes, in so much time, whatever the client says of it and however slowly it
//! sends.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::refusal::Refusal;
use crate::graphql::error::Code;

/// How much is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes, as they are sent and as they are meant.
    pub bytes: usize,
    pub timeout: Duration,
}

/// Bounds what comes in, before anything decodes it: a stream that decodes to nothing would have no end.
pub fn bound(request: Request, limits: Limits) -> Request<Limited<Body>> {
    request.map(|body| Limited::new(body, limits.bytes))
}

/// The whole body, decoded.
///
/// # Errors
/// For one that is too long, too slow, cut off, or not of the coding that it says.
pub async fn read(headers: &HeaderMap, body: Body, limits: Limits) -> Result<Bytes, Refusal> {
    // What was decoded has lost the header that said so: what is left is a coding that nobody here knows.
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or_default());
    if codings.any(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
        let message = "the content encoding must be gzip, br or zstd";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType, message));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.bytes as u64) {
        return Err(too_large(limits));
    }
    match tokio::time::timeout(limits.timeout, Limited::new(body, limits.bytes).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if is_too_large(&*error) => Err(too_large(limits)),
        Ok(Err(_)) => Err(Refusal::bad("the body was cut off, or is not of its content encoding")),
        Err(_) => {
            let message = "the body did not arrive in time";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::RequestTimeout, message))
        }
    }
}

fn too_large(limits: Limits) -> Refusal {
    let message = format!("the body is larger than {} bytes", limits.bytes);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::PayloadTooLarge, message)
}

fn is_too_large(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_too_large)
}
