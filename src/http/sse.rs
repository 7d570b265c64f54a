//! Answers as server-sent events, with a connection for each operation.
//! <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};

use super::live::{Live, UNBUFFERED};
use super::write::NO_STORE;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
/// A comment: shows that somebody is there. Some browsers do not take a head for an answer.
pub const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");
/// With empty data, or browsers would not tell of it.
const COMPLETE: Bytes = Bytes::from_static(b"event: complete\ndata: \n\n");

/// An answer with an event for each event.
pub fn events(live: impl Stream<Item = Live> + Send + 'static) -> Response {
    let chunks = live.map(|live| match live {
        Live::Event(message) => event("next", &[&message.bytes]),
        Live::Heartbeat => HEARTBEAT,
    });
    respond(chunks.chain(stream::iter([COMPLETE])))
}

/// The one answer to an operation.
pub fn once(answer: &Bytes) -> Response {
    respond(stream::iter([event("next", &[answer]), COMPLETE]))
}

/// An event, whose data is JSON without a break of lines.
pub fn event(name: &str, data: &[&[u8]]) -> Bytes {
    [b"event: ", name.as_bytes(), b"\ndata: ", &data.concat(), b"\n\n"].concat().into()
}

pub fn respond(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(stream::iter([HEARTBEAT]).chain(chunks).map(Ok::<_, std::convert::Infallible>));
    ([(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, NO_STORE), UNBUFFERED], body).into_response()
}
