//! Files, each sent by a PUT as it is: what mutations then do with it takes its id.
//!
//! A browser asks before it sends one for a page of another origin: neither the method nor the type is one that forms have.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::accept::{Accepted, MediaType};
use super::graphql::{not_acceptable, refuse_cross_site};
use super::params::check_media_type;
use super::refusal::Refusal;
use super::request_id::{RequestId, traced};
use super::write::{self, NO_STORE};
use super::{Server, body, cache};
use crate::graphql::error::Code;
use crate::graphql::execute::Body;

pub const ALLOW: &str = "PUT, OPTIONS";
/// Most files that are taken in at once: each is in memory meanwhile.
const AT_ONCE: usize = 8;

/// How files are taken in. Cheap to clone.
#[derive(Clone)]
pub struct Uploads {
    pub limits: body::Limits,
    places: Arc<Semaphore>,
}

impl Uploads {
    pub fn new(limits: body::Limits) -> Self {
        Self { limits, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

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
    request_id: &str,
    address: SocketAddr,
    accepted: Accepted,
    request: Request,
) -> Result<Response, Refusal> {
    match *request.method() {
        Method::PUT => {}
        Method::OPTIONS => return Ok((StatusCode::NO_CONTENT, [(header::ALLOW, ALLOW)]).into_response()),
        _ => return Err(Refusal::method(ALLOW, "a file is sent by PUT")),
    }
    let (parts, body) = request.into_parts();
    refuse_cross_site(server, &parts.headers)?;
    let media_type = accepted.single.ok_or_else(not_acceptable)?;
    check_media_type(&parts.headers, "text/csv")?;
    let limits = server.uploads.limits;
    let place = tokio::time::timeout(limits.timeout, server.uploads.places.acquire()).await;
    let Ok(Ok(_place)) = place else {
        let message = "too many files are sent at once";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message));
    };
    let content = body::read(&parts.headers, body, limits).await?;
    let client = server.proxies.client(address.ip(), &parts.headers);
    match server.parts.executor.store_products(content, client, request_id, traced(&parts.extensions)).await {
        Ok(stored) => {
            let json = serde_json::json!({ "id": stored.id, "size": stored.size, "sha256": stored.sha256 });
            let headers = [(header::CONTENT_TYPE, MediaType::Json.content_type()), (header::CACHE_CONTROL, NO_STORE)];
            Ok((StatusCode::CREATED, headers, json.to_string()).into_response())
        }
        Err(error) => {
            let answer = async_graphql::Response::from_errors(vec![error]);
            // The status tells, whatever the type of the answer: there is no other way to see that nothing was kept.
            let refused = Body::Refused(Box::new(answer));
            let written = write::answer(refused, Arc::default(), MediaType::Response, request_id);
            Ok(written.into_response(media_type, cache::never()))
        }
    }
}
