//! Subscriptions as one answer of many parts, as Apollo's clients and routers read them.
//! <https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol>
//!
//! A part ends with the boundary that follows it, and that is sent with it: whoever reads it needs to wait for nothing.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};

use super::live::{Live, UNBUFFERED};
use super::write::NO_STORE;

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\"");
const BOUNDARY: &[u8] = b"\r\n--graphql";
const HEAD: &[u8] = b"\r\ncontent-type: application/json\r\n\r\n";
const END: &[u8] = b"--\r\n";

/// An answer with a part for each event.
pub fn events(live: impl Stream<Item = Live> + Send + 'static) -> Response {
    respond(live.map(|live| match live {
        Live::Event(message) if message.is_last => {
            let errors = serde_json::to_vec(message.errors()).unwrap_or_default();
            part(&[b"{\"payload\":null,\"errors\":", &errors, b"}"])
        }
        Live::Event(message) => part(&[b"{\"payload\":", &message.bytes, b"}"]),
        Live::Heartbeat => part(&[b"{}"]),
    }))
}

/// The one answer to an operation, as a part.
pub fn once(answer: &Bytes) -> Response {
    respond(stream::iter([part(&[b"{\"payload\":", answer, b"}"])]))
}

fn part(json: &[&[u8]]) -> Bytes {
    [HEAD, &json.concat(), BOUNDARY].concat().into()
}

fn respond(parts: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let begin = stream::iter([Bytes::from_static(BOUNDARY)]);
    let chunks = begin.chain(parts).chain(stream::iter([Bytes::from_static(END)]));
    let body = Body::from_stream(chunks.map(Ok::<_, std::convert::Infallible>));
    ([(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, NO_STORE), UNBUFFERED], body).into_response()
}
