//! What is done for all requests: they are named, counted, timed and traced, and their answers held against what clients have.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body::Body as HttpBody;
use tower::{Layer, Service};

use super::request_id::Measured;
use super::{cache, no_sniffing};
use crate::data::trace::Choice;

/// The layer.
#[derive(Clone, Copy)]
pub struct Around {
    traces: Choice,
}

/// What it makes of a service.
#[derive(Clone)]
pub struct Surrounded<S> {
    around: Around,
    inner: S,
}

impl Around {
    pub fn new(traces: Choice) -> Self {
        Self { traces }
    }
}

impl<S> Layer<S> for Around {
    type Service = Surrounded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded { around: *self, inner }
    }
}

impl<S, B> Service<Request> for Surrounded<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let (measured, known) = (Measured::begin(self.around.traces, &mut request), cache::Known::of(&request));
        let answered = self.inner.call(request);
        async move {
            let response = answered.await?.map(Body::new);
            Ok(measured.end(no_sniffing(known.validate(response))))
        }
        .boxed()
    }
}
