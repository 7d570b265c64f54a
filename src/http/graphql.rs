//! GraphQL over HTTP: a POST with a JSON body, an answer in JSON.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

use async_graphql::{Request, Variables};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics::counter;
use serde::Deserialize;

use super::Server;
use super::request_id::RequestId;
use crate::data::fetch::Keep;
use crate::graphql::error::{self, Code};
use crate::graphql::execute::{self, Answer, Envelope};

const JSON: [(HeaderName, HeaderValue); 1] = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
/// The header and the cookie that carry what a client has seen.
const TOKEN: &str = "shoal-token";
const COOKIE: &[u8] = b"; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax";
/// More than these are not looked at.
const MAX_TOKENS: usize = 4;
/// After how many seconds a client may try again what cannot be had now.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
/// The header with which a client asks what its request cost.
const TRACE: &str = "shoal-trace";

/// The body of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    query: String,
    operation_name: Option<String>,
    variables: Option<Variables>,
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

pub async fn answer(
    State(server): State<Server>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match read(&headers, body) {
        Ok(body) => body,
        Err((status, message)) => {
            let answer = async_graphql::Response::from_errors(vec![error::request_error(Code::BadUserInput, message)]);
            return write(status, answer, None, &request_id);
        }
    };
    let mut request = Request::new(body.query).variables(body.variables.unwrap_or_default());
    request.operation_name = body.operation_name;
    for (name, value) in body.extensions.unwrap_or_default() {
        request.extensions.insert(name, async_graphql::Value::from_json(value).unwrap_or_default());
    }
    let envelope = Envelope {
        latest: demands_fresh(&headers),
        tokens: tokens(&headers).map(str::to_owned).collect(),
        client: client(address),
        trace: headers.contains_key(TRACE),
    };
    let Answer { body, token } = server.executor.execute(request, envelope).await;
    let mut response = match body {
        execute::Body::Written(bytes) => (StatusCode::OK, JSON, bytes).into_response(),
        execute::Body::Made(response, keep) => write(StatusCode::OK, *response, keep, &request_id),
    };
    let headers = response.headers_mut();
    // What a client has seen decides what it is shown.
    headers.insert(header::VARY, HeaderValue::from_static("shoal-token, cookie"));
    if let Some(token) = token.and_then(|token| HeaderValue::try_from(token).ok()) {
        // It holds nothing secret, and is of no use a day later.
        let cookie = [TOKEN.as_bytes(), b"=", token.as_bytes(), COOKIE].concat();
        headers.extend(HeaderValue::try_from(cookie).ok().map(|cookie| (header::SET_COOKIE, cookie)));
        headers.insert(TOKEN, token);
    }
    response
}

/// The tokens of a request: in the header, for whoever keeps one, and in the cookie, for browsers.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let given = headers.get_all(TOKEN).iter().filter_map(|value| value.to_str().ok());
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    given.chain(cookies.filter(|(name, _)| *name == TOKEN).map(|(_, token)| token)).take(MAX_TOKENS)
}

/// Tells clients apart by where they come from.
fn client(address: SocketAddr) -> u64 {
    // The same in all processes.
    let mut hasher = std::hash::DefaultHasher::new();
    address.ip().hash(&mut hasher);
    hasher.finish()
}

/// The body of a request, or why there is none.
fn read(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Body, (StatusCode, String)> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let message = "the body must be application/json".to_owned();
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let body = body.map_err(|rejection| (rejection.status(), "the body is too large or was cut off".to_owned()))?;
    serde_json::from_slice(&body).map_err(|error| {
        // Where, not what: the text of the error would repeat the body.
        let (line, column) = (error.line(), error.column());
        let message = format!("the body is not a GraphQL request in JSON: line {line}, column {column}");
        (StatusCode::BAD_REQUEST, message)
    })
}

/// Whether a client asks for the latest state: only the primary knows it. RFC 9111, 5.2.1.4.
fn demands_fresh(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}

/// Writes the answer once, straight from the executor's values.
fn write(status: StatusCode, mut answer: async_graphql::Response, keep: Option<Keep>, request_id: &str) -> Response {
    let mut is_unavailable = false;
    for error in &mut answer.errors {
        error::finish(error, request_id);
        let code = error::code(error);
        is_unavailable |= code == Code::Unavailable.name();
        counter!("shoal_graphql_errors_total", "code" => code).increment(1);
    }
    match serde_json::to_vec(&answer) {
        Ok(bytes) => {
            let bytes = Bytes::from(bytes);
            if let Some(keep) = keep {
                keep.keep(bytes.clone());
            }
            let mut response = (status, JSON, bytes).into_response();
            response.headers_mut().extend(is_unavailable.then_some((header::RETRY_AFTER, RETRY_AFTER)));
            response
        }
        Err(error) => {
            tracing::error!(request_id, %error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
