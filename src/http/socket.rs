//! Operations over a WebSocket, by the protocol `graphql-transport-ws`.
//!
//! GraphQLWebSocket speaks it with the executor; around it stands what it leaves open, in [`protocol`], and what a client
//! may do to a server: to say nothing, to take nothing, to send too much, to stay when it is told to go.

mod link;
mod protocol;

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Data;
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt, sink, stream};
use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::live::{heartbeat, stopped};
use super::refusal::Refusal;
use crate::graphql::error::Code;
use crate::graphql::execute::{Envelope, Executor};
use crate::graphql::subscription::Settings;
use link::Link;
use protocol::{Incoming, Protocol};

const SUBPROTOCOL: &str = "graphql-transport-ws";
/// How long a client may take to go when it was told to.
const FAREWELL: Duration = Duration::from_secs(1);
/// Messages on their way to the library, and back.
const ON_THE_WAY: usize = 8;

/// All sockets. Cheap to clone.
#[derive(Clone)]
pub struct Sockets {
    executor: Executor,
    settings: Settings,
    write_timeout: Duration,
    /// Shared with streams.
    places: Arc<Semaphore>,
    /// How many there are.
    open: watch::Sender<usize>,
    stopping: watch::Receiver<bool>,
}

/// Whether a request wants to become a socket.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

impl Sockets {
    pub fn new(
        executor: Executor,
        settings: Settings,
        write_timeout: Duration,
        places: Arc<Semaphore>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { executor, settings, write_timeout, places, open: watch::Sender::new(0), stopping }
    }

    /// Makes a socket of a request.
    ///
    /// # Errors
    /// For what is none, of another protocol, or one too many.
    pub async fn open(&self, request: Request, envelope: Envelope, request_id: &str) -> Result<Response, Refusal> {
        let (mut parts, _) = request.into_parts();
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
        let upgrade = upgrade.map_err(|_| Refusal::bad("the request does not open a WebSocket"))?;
        let known = |offered: &HeaderValue| offered.as_bytes() == SUBPROTOCOL.as_bytes();
        if !upgrade.requested_protocols().any(known) {
            return Err(Refusal::bad(format!("the subprotocol must be {SUBPROTOCOL}")));
        }
        let spoken = library_protocol(parts).await?;
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            let message = "there are as many streams and sockets as there may be";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
        })?;
        let most = self.settings.max_message_bytes;
        let (sockets, link) = (self.clone(), Link::new(self.executor.clone(), envelope, request_id.to_owned()));
        let counted = Counted::new(self.open.clone(), place);
        Ok(upgrade.protocols([SUBPROTOCOL]).max_message_size(most).max_frame_size(most).on_upgrade(
            async move |socket| {
                let (sink, stream) = socket.split();
                let client = Client { sink, write_timeout: sockets.write_timeout };
                sockets.serve(client, stream, link, spoken).await;
                drop(counted);
            },
        ))
    }

    /// Waits until there are no sockets.
    pub async fn ended(&self) {
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    async fn serve(
        mut self,
        mut client: Client,
        mut stream: SplitStream<WebSocket>,
        link: Link,
        spoken: GraphQLProtocol,
    ) {
        let (to_library, from_client) = mpsc::channel::<(String, Option<u64>)>(ON_THE_WAY);
        let (to_client, mut from_library) = mpsc::channel(ON_THE_WAY);
        let begins = link.clone();
        let input = stream::unfold(from_client, async |mut from| Some((from.recv().await?, from)));
        let input = input.map(move |(text, number)| {
            begins.begins(number);
            Ok(Message::Text(text.into()))
        });
        let output = sink::unfold(to_client, async |to, message: Message| to.send(message).await.map(|()| to));
        let introduced = link.clone();
        let library = GraphQLWebSocket::new_with_pair(output, input, link.clone(), spoken)
            .on_connection_init(move |payload| {
                introduced.introduce(&payload);
                ready(Ok(Data::default()))
            })
            .on_ping(|_, payload| ready(Ok(payload)));
        let mut library = pin!(library.serve());
        let mut protocol = Protocol::new(self.settings.per_connection);
        let patience = Instant::now() + Duration::from_millis(self.settings.init_timeout_ms);
        let mut heartbeat = heartbeat(Duration::from_millis(self.settings.heartbeat_ms.max(1)));
        let mut is_heard = true;
        loop {
            let is_introduced = protocol.is_introduced();
            // One message at a time, and none before there is room for it.
            let receive = async { (to_library.reserve().await, stream.next().await) };
            tokio::select! {
                () = library.as_mut() => return,
                Some(message) = from_library.recv() => {
                    let Message::Text(text) = message else { continue };
                    let text = link.with_failed(|failed| protocol.outgoing(&text, failed));
                    if let Some(text) = text && !client.send(Message::Text(text.into())).await {
                        return;
                    }
                }
                (room, received) = receive => {
                    is_heard = true;
                    let incoming = match received {
                        None | Some(Ok(Message::Close(_))) => return client.leave().await,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                        Some(Ok(Message::Text(text))) => protocol.incoming(Some(&text)),
                        // Too large, among others: of what is broken off nothing comes.
                        Some(Ok(Message::Binary(_)) | Err(_)) => protocol.incoming(None),
                    };
                    match (incoming, room) {
                        (Incoming::Nothing, _) => {}
                        (Incoming::Forward(text, number), Ok(room)) => room.send((text, number)),
                        (Incoming::Forward(..), Err(_)) => return,
                        (Incoming::Reply(text), _) => {
                            if !client.send(Message::Text(text.into())).await {
                                return;
                            }
                        }
                        (Incoming::Close(code, reason), _) => return client.close(code, &reason, &mut stream).await,
                    }
                }
                () = tokio::time::sleep_until(patience), if !is_introduced => {
                    return client.close(4408, "Connection initialisation timeout", &mut stream).await;
                }
                _ = heartbeat.tick() => {
                    // Whoever is there has answered the last one.
                    if !std::mem::take(&mut is_heard) || !client.send(Message::Ping(Vec::new().into())).await {
                        return;
                    }
                }
                () = stopped(&mut self.stopping) => {
                    return client.close(1001, "the server is stopping", &mut stream).await;
                }
            }
        }
    }
}

/// The protocol, as the library wants it found: whatever else the client offers.
async fn library_protocol(mut parts: Parts) -> Result<GraphQLProtocol, Refusal> {
    parts.headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let found = GraphQLProtocol::from_request_parts(&mut parts, &()).await;
    found.map_err(|_| Refusal::bad(format!("the subprotocol must be {SUBPROTOCOL}")))
}

/// A socket that is counted until it is dropped.
struct Counted {
    open: watch::Sender<usize>,
    _place: OwnedSemaphorePermit,
}

impl Counted {
    fn new(open: watch::Sender<usize>, place: OwnedSemaphorePermit) -> Self {
        open.send_modify(|open| *open += 1);
        gauge!("shoal_sockets").increment(1);
        Self { open, _place: place }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.send_modify(|open| *open -= 1);
        gauge!("shoal_sockets").decrement(1);
    }
}

/// Whom messages are sent to.
struct Client {
    sink: SplitSink<WebSocket, Message>,
    write_timeout: Duration,
}

impl Client {
    /// Sends a message; whether the client took it in time.
    async fn send(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(self.write_timeout, self.sink.send(message)).await, Ok(Ok(())))
    }

    /// Tells the client to go, and why, and waits for it, but not long.
    async fn close(mut self, code: u16, reason: &str, stream: &mut SplitStream<WebSocket>) {
        let frame = CloseFrame { code, reason: reason.into() };
        let farewell = async {
            if self.sink.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = stream.next().await {}
            }
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    /// Answers a client that goes.
    async fn leave(mut self) {
        let _ = tokio::time::timeout(FAREWELL, self.sink.close()).await;
    }
}
