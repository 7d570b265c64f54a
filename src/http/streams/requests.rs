//! The requests by which a stream is reserved, opened and used.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use crate::graphql::error::Code;
use crate::graphql::execute::{Answer, Body, Outcome};
use crate::http::accept::{Accepted, MediaType, Stream};
use crate::http::cache;
use crate::http::graphql::{envelope, give, refuse_cross_site};
use crate::http::params::{Asked, check_content_type};
use crate::http::refusal::Refusal;
use crate::http::request_id::{RequestId, traced};
use crate::http::write::{self, NO_STORE};
use crate::http::{Server, body};

const TOKEN: &str = "x-graphql-event-stream-token";
const ALLOW: &str = "GET, PUT, POST, DELETE, OPTIONS";
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub async fn answer(
    State(server): State<Server>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let accepted = Accepted::of(request.headers());
    let result = respond(&server, &request_id, address, accepted, request).await;
    result.unwrap_or_else(|refusal| refusal.answer(accepted.single, &request_id))
}

async fn respond(
    server: &Server,
    request_id: &Arc<str>,
    address: SocketAddr,
    accepted: Accepted,
    request: Request,
) -> Result<Response, Refusal> {
    let streams = &server.streams;
    match *request.method() {
        Method::OPTIONS => Ok((StatusCode::NO_CONTENT, [(header::ALLOW, ALLOW)]).into_response()),
        Method::PUT => {
            let token = streams.reserve()?;
            Ok((StatusCode::CREATED, [(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, NO_STORE)], token)
                .into_response())
        }
        Method::GET => {
            refuse_cross_site(server, request.headers())?;
            if accepted.stream != Some(Stream::Events) {
                let message = "a stream is text/event-stream";
                return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, Code::NotAcceptable, message));
            }
            streams.open(&token(&request)?, server.parts.sight.ending.stopping.clone())
        }
        Method::POST => begin(server, request_id, address, accepted, request).await,
        Method::DELETE => {
            let id = parameter(&request, "operationId").ok_or_else(unnamed)?;
            streams.end(&token(&request)?, &id)?;
            Ok(StatusCode::OK.into_response())
        }
        _ => Err(Refusal::method(ALLOW, "a stream is reserved by PUT, opened by GET, used by POST and DELETE")),
    }
}

/// Begins an operation, whose answers the stream brings; why it cannot be executed is answered here.
async fn begin(
    server: &Server,
    request_id: &Arc<str>,
    address: SocketAddr,
    accepted: Accepted,
    request: Request,
) -> Result<Response, Refusal> {
    let token = token(&request)?;
    let (parts, body) = request.into_parts();
    check_content_type(&parts.headers)?;
    let bytes = body::read(&parts.headers, body, server.limits.body).await?;
    let Asked::One(params) = Asked::of_body(&bytes, server.limits.batch)? else {
        return Err(Refusal::bad("a stream takes one operation at a time"));
    };
    let mut request = params.request()?;
    let id = match request.extensions.remove("operationId") {
        Some(async_graphql::Value::String(id)) if !id.is_empty() => id,
        Some(async_graphql::Value::Number(id)) => id.to_string(),
        _ => return Err(unnamed()),
    };
    let begun = server.streams.begin(&token, id)?;
    let media_type = accepted.single.unwrap_or(MediaType::Json);
    let envelope = envelope(server, &parts.headers, address, (false, request_id, traced(&parts.extensions)));
    let done = match server.parts.executor.operate(request, envelope).await {
        Outcome::Answer(Answer { body: body @ Body::Refused(_), note, .. }) => {
            return Ok(write::answer(body, note, media_type, request_id).into_response(media_type, cache::never()));
        }
        Outcome::Answer(Answer { body, token, note }) => {
            begun.answer(write::answer(body, note, media_type, request_id).bytes);
            token
        }
        Outcome::Events(subscribed) => {
            begun.events(subscribed);
            None
        }
    };
    let mut response = StatusCode::ACCEPTED.into_response();
    give(done, &mut response);
    Ok(response)
}

/// The token of the stream that a request means.
fn token(request: &Request) -> Result<String, Refusal> {
    let given = request.headers().get(TOKEN).and_then(|value| value.to_str().ok()).map(str::to_owned);
    given.or_else(|| parameter(request, "token")).ok_or_else(|| {
        let message = format!("the token of a stream is missing: the header {TOKEN}, or the parameter token");
        Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    })
}

/// A parameter of the URL.
fn parameter(request: &Request, name: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn unnamed() -> Refusal {
    Refusal::bad("the operationId is missing: in the extensions of a request, or in the URL that ends one")
}
