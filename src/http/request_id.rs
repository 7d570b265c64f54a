//! Names each request, so that what a client saw can be found in the log; counts and times it.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, histogram};

/// The name of a request.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Sets apart the requests of different processes.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
static COUNT: AtomicU64 = AtomicU64::new(0);

pub async fn measure(mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = format!("{:016x}", PROCESS.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)));
    let route = request.extensions().get::<MatchedPath>().map_or("none".to_owned(), |path| path.as_str().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    let status = response.status().as_u16().to_string();
    counter!("shoal_http_requests_total", "route" => route.clone(), "status" => status).increment(1);
    histogram!("shoal_http_seconds", "route" => route).record(start.elapsed());
    response
}
