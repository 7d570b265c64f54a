//! GraphQL over HTTP: an operation by POST, a query by GET, several in a batch.
//! <https://graphql.github.io/graphql-over-http/draft/>

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::accept::{Accepted, MediaType, Stream};
use super::cache::{self, Asker};
use super::live::live;
use super::params::{self, Asked, Params};
use super::refusal::Refusal;
use super::request_id::{RequestId, traced};
use super::write::{self, Written};
use super::{Server, body, multipart, socket, sse};
use crate::data::trace::Trace;
use crate::graphql::error::Code;
use crate::graphql::execute::{Answer, Envelope, Outcome, Subscribed};

pub const PATH: &str = "/graphql";
/// The header and the cookie that carry what a client has seen.
const TOKEN: &str = "shoal-token";
const COOKIE: &[u8] = b"; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax";
/// More than these are not looked at.
const MAX_TOKENS: usize = 4;
/// The header with which a client asks what its request cost.
const TRACE: &str = "shoal-trace";
/// The header with which a client asks for the price of its request.
const COST: &str = "shoal-cost";
pub const ALLOW: &str = "GET, HEAD, POST, OPTIONS";
/// What of a request decides how it is answered.
pub const VARY: HeaderValue = HeaderValue::from_static("accept, accept-encoding, authorization, cookie, shoal-token");

pub async fn answer(
    State(server): State<Server>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let accepted = Accepted::of(request.headers());
    let result = respond(&server, &request_id, address, accepted, request).await;
    let mut response = result.unwrap_or_else(|refusal| refusal.answer(accepted.single, &request_id));
    response.headers_mut().insert(header::VARY, VARY);
    response
}

async fn respond(
    server: &Server,
    request_id: &Arc<str>,
    address: SocketAddr,
    accepted: Accepted,
    request: Request,
) -> Result<Response, Refusal> {
    if request.method() == Method::GET && socket::is_wanted(request.headers()) {
        return open_socket(server, request_id, address, request).boxed().await;
    }
    let is_read = match *request.method() {
        Method::GET | Method::HEAD => true,
        Method::POST => false,
        Method::OPTIONS => return Ok((StatusCode::NO_CONTENT, [(header::ALLOW, ALLOW)]).into_response()),
        _ => return Err(Refusal::method(ALLOW, "a request is a GET or a POST")),
    };
    let (parts, body) = request.into_parts();
    if is_read && server.has_page && parts.uri.query().is_none() && wants_page(&parts.headers) {
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, "./")]).into_response());
    }
    if is_read {
        refuse_cross_site(server, &parts.headers)?;
    }
    if (accepted.single, accepted.stream) == (None, None) {
        return Err(not_acceptable());
    }
    let asked = if is_read {
        Asked::One(Params::of_url(parts.uri.query().unwrap_or_default())?)
    } else {
        // First it is read: a connection with a body left on it could not be used again.
        let body = body::read(&parts.headers, body, server.limits.body).await?;
        params::check_content_type(&parts.headers)?;
        Asked::of_body(&body, server.limits.batch)?
    };
    let envelope = envelope(server, &parts.headers, address, (is_read, request_id, traced(&parts.extensions)));
    let has_name = parts.headers.contains_key(header::AUTHORIZATION);
    let asker = Asker { is_somebody: has_name || !envelope.tokens.is_empty(), reads: is_read };
    match asked {
        Asked::One(params) => {
            let request = params.request()?;
            let executor = &server.parts.executor;
            let Answer { body, token, note } = match accepted.stream {
                None => executor.execute(request, envelope).await,
                Some(stream) => match executor.operate(request, envelope).boxed().await {
                    Outcome::Answer(answer) => answer,
                    Outcome::Events(subscribed) => return Ok(show(server, stream, subscribed)),
                },
            };
            let media_type = accepted.single.unwrap_or(MediaType::Response);
            let written = write::answer(body, note, media_type, request_id);
            let asker = Asker { is_somebody: asker.is_somebody || token.is_some(), ..asker };
            let whole = |written: Written| {
                let for_caches = cache::headers(&written, media_type, asker, &server.cache.get());
                written.into_response(media_type, for_caches)
            };
            let mut response = match accepted {
                // Of who takes both, a stream is for what needs one.
                Accepted { single: Some(_), .. } | Accepted { stream: None, .. } => whole(written),
                _ if written.status == StatusCode::METHOD_NOT_ALLOWED => whole(written),
                Accepted { stream: Some(Stream::Events), .. } => sse::once(&written.bytes),
                Accepted { stream: Some(Stream::Multipart), .. } => multipart::once(&written.bytes),
            };
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
            }
            give(token, &mut response);
            Ok(response)
        }
        Asked::Batch(batch) => {
            let media_type = accepted.single.ok_or_else(not_acceptable)?;
            answer_all(server, request_id, media_type, envelope, batch).boxed().await
        }
    }
}

/// Makes a WebSocket of a request, for a page that may ask.
async fn open_socket(
    server: &Server,
    request_id: &Arc<str>,
    address: SocketAddr,
    request: Request,
) -> Result<Response, Refusal> {
    if !server.origins.allow(request.headers()) {
        let message = "a page of this origin may not open a WebSocket";
        return Err(Refusal::new(StatusCode::FORBIDDEN, Code::Forbidden, message));
    }
    let envelope = envelope(server, request.headers(), address, (false, request_id, traced(request.extensions())));
    server.sockets.open(request, envelope, request_id).await
}

/// The events of a subscription, as a client takes them.
fn show(server: &Server, stream: Stream, subscribed: Subscribed) -> Response {
    let parts = &server.parts;
    let pause = Duration::from_millis(parts.subscriptions.heartbeat_ms.max(1));
    let live = live(subscribed, pause, parts.sight.ending.stopping.clone());
    match stream {
        Stream::Events => sse::events(live),
        Stream::Multipart => multipart::events(live),
    }
}

/// What comes with a request besides its document.
pub fn envelope(
    server: &Server,
    headers: &HeaderMap,
    address: SocketAddr,
    (only_reads, request_id, within): (bool, &Arc<str>, Trace),
) -> Envelope {
    Envelope {
        latest: demands_fresh(headers),
        tokens: tokens(headers).map(str::to_owned).collect(),
        client: server.proxies.client(address.ip(), headers),
        trace: headers.contains_key(TRACE),
        cost: headers.contains_key(COST),
        only_reads,
        request_id: request_id.clone(),
        within,
    }
}

pub fn not_acceptable() -> Refusal {
    let message = "the answer is application/graphql-response+json or application/json";
    Refusal::new(StatusCode::NOT_ACCEPTABLE, Code::NotAcceptable, message)
}

/// Refuses what a browser sends for a page of another site without having asked whether it may.
pub fn refuse_cross_site(server: &Server, headers: &HeaderMap) -> Result<(), Refusal> {
    if !is_cross_site(headers) || server.origins.allow(headers) {
        return Ok(());
    }
    let message = "a page of another site may not ask without a preflight";
    Err(Refusal::new(StatusCode::FORBIDDEN, Code::Forbidden, message))
}

/// Answers several operations, one after the other: each sees what those before it have done.
async fn answer_all(
    server: &Server,
    request_id: &str,
    media_type: MediaType,
    mut envelope: Envelope,
    batch: Vec<Params>,
) -> Result<Response, Refusal> {
    let requests = batch.into_iter().map(Params::request).collect::<Result<Vec<_>, _>>()?;
    let (mut bytes, mut last, mut retry_after) = (vec![b'['], None, None);
    for request in requests {
        let Answer { body, token, note } = server.parts.executor.execute(request, envelope.clone()).await;
        let written = write::answer(body, note, media_type, request_id);
        if bytes.len() > 1 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(&written.bytes);
        retry_after = retry_after.max(written.retry_after);
        if let Some(token) = token {
            envelope.tokens.insert(0, token.clone());
            last = Some(token);
        }
    }
    bytes.push(b']');
    let (bytes, note) = (Bytes::from(bytes), Arc::default());
    let written = Written { status: StatusCode::OK, bytes, retry_after, note };
    let mut response = written.into_response(media_type, cache::never());
    give(last, &mut response);
    Ok(response)
}

/// Hands a token to whoever keeps one, and to browsers.
pub fn give(token: Option<String>, response: &mut Response) {
    let headers = response.headers_mut();
    if let Some(token) = token.and_then(|token| HeaderValue::try_from(token).ok()) {
        // It holds nothing secret, and is of no use a day later.
        let cookie = [TOKEN.as_bytes(), b"=", token.as_bytes(), COOKIE].concat();
        headers.extend(HeaderValue::try_from(cookie).ok().map(|cookie| (header::SET_COOKIE, cookie)));
        headers.insert(TOKEN, token);
    }
}

/// The tokens of a request: in the header, for whoever keeps one, and in the cookie, for browsers.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let given = headers.get_all(TOKEN).iter().filter_map(|value| value.to_str().ok());
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    given.chain(cookies.filter(|(name, _)| *name == TOKEN).map(|(_, token)| token)).take(MAX_TOKENS)
}

/// Whether somebody has typed the address into a browser.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|range| range.split(';').next().is_some_and(|name| name.trim() == "text/html"))
}

/// Whether a browser sends this for a page of another site, which could not read the answer, but measure how long it takes.
/// <https://www.w3.org/TR/fetch-metadata/>
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// Whether a client asks for the latest state: only the primary knows it. RFC 9111, 5.2.1.4.
fn demands_fresh(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}
