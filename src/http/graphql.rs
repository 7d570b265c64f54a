//! GraphQL over HTTP: a POST with a JSON body, an answer in JSON.

use async_graphql::{Request, Response as Answer, Variables};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics::counter;
use serde::Deserialize;

use super::Server;
use super::request_id::RequestId;
use crate::data::Needs;
use crate::graphql::error::{self, Code};
use crate::graphql::execute::Envelope;

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
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match read(&headers, body) {
        Ok(body) => body,
        Err((status, message)) => {
            let answer = Answer::from_errors(vec![error::request_error(Code::BadUserInput, message)]);
            return write(status, answer, &request_id);
        }
    };
    let mut request = Request::new(body.query).variables(body.variables.unwrap_or_default());
    request.operation_name = body.operation_name;
    for (name, value) in body.extensions.unwrap_or_default() {
        request.extensions.insert(name, async_graphql::Value::from_json(value).unwrap_or_default());
    }
    let envelope = Envelope { needs: Needs { primary: demands_fresh(&headers) }, trace: headers.contains_key(TRACE) };
    let answer = server.executor.execute(request, envelope).await;
    write(StatusCode::OK, answer, &request_id)
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
fn write(status: StatusCode, mut answer: Answer, request_id: &str) -> Response {
    for error in &mut answer.errors {
        error::finish(error, request_id);
        counter!("shoal_graphql_errors_total", "code" => error::code(error)).increment(1);
    }
    match serde_json::to_vec(&answer) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            tracing::error!(request_id, %error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
