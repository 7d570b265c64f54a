//! Connections: so many, each watched. One that says nothing, drips, takes nothing or lies idle is closed; none can hold
//! more than its own place.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, Version, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use metrics::{counter, gauge};
#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::activity::{Activity, Counted, Patience, Verdict, Watched};
use super::door::Door;
use super::settings::Settings;
use crate::data::pause::pause;

/// The two steps in which a process ends. Cheap to clone.
#[derive(Clone)]
pub struct Ending {
    /// Whether it is to be left alone: it serves, but says that it is not ready, and keeps no connection for later.
    pub leaving: watch::Receiver<bool>,
    /// Whether it stops.
    pub stopping: watch::Receiver<bool>,
}

/// What a connection above the bound is told.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// The pause after a failure to accept that is not a client's: most likely there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(500);
/// Most requests at once on a connection of HTTP/2.
const STREAMS: u32 = 100;
/// How often a connection of HTTP/2 is asked whether anybody is there, and how long for an answer.
const PING: Duration = Duration::from_secs(20);

/// How long connections that are being made while the process stops may take for it.
const LAST_CALL: Duration = Duration::from_millis(10);
/// How long a connection may take then for its first request.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// Takes connections.
pub struct Listening {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    door: Option<Door>,
    router: Router,
    builder: Builder<TokioExecutor>,
    patience: Patience,
    places: Arc<Semaphore>,
}

impl Listening {
    pub fn new(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        (door, router): (Option<Door>, Router),
        settings: &Settings,
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        let (head, timer) = (settings.max_header_bytes, TokioTimer::new());
        // Times are watched here, for both versions alike, and before the version is known.
        builder.http1().timer(timer.clone()).header_read_timeout(None).max_buf_size(head.max(8192));
        builder
            .http2()
            .timer(timer)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let places = settings.max_connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            listener,
            tls,
            door,
            router,
            builder,
            patience: Patience {
                head: Duration::from_millis(settings.header_timeout_ms),
                write: Duration::from_millis(settings.write_timeout_ms),
                idle: Duration::from_millis(settings.idle_timeout_ms),
            },
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Serves until told to stop; then requests in work may end, for so long. Whoever is connected by then is answered.
    pub async fn serve(self, ending: Ending, drain: Duration) {
        let mut stopping = ending.stopping.clone();
        let connection = Arc::new(Connection {
            door: self.door,
            router: self.router,
            builder: self.builder,
            tls: self.tls,
            patience: self.patience,
            ending,
        });
        let mut connections = JoinSet::new();
        let begin = |(stream, address): (TcpStream, SocketAddr), connections: &mut JoinSet<()>| match self
            .places
            .clone()
            .try_acquire_owned()
        {
            Ok(place) => {
                connections.spawn(connection.clone().run(stream, address, place));
            }
            Err(_) => refuse(&stream),
        };
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => begin(accepted, &mut connections),
                    Err(error) if is_clients(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections");
                        pause(PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                () = told(&mut stopping) => break,
            }
        }
        // The kernel has made connections that nobody has accepted: with the listener they would end, and what was sent on
        // them would be lost.
        stop_queueing(&self.listener);
        let last_call = Instant::now() + LAST_CALL;
        while let Ok(accepted) = tokio::time::timeout_at(last_call, self.listener.accept()).await {
            if let Ok(accepted) = accepted {
                begin(accepted, &mut connections);
            }
        }
        drop(self.listener);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, all).await.is_err() {
            tracing::warn!(connections = connections.len(), "requests in work were cut off");
            connections.shutdown().await;
        }
    }
}

/// What all connections have in common.
struct Connection {
    door: Option<Door>,
    router: Router,
    builder: Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    patience: Patience,
    ending: Ending,
}

impl Connection {
    async fn run(self: Arc<Self>, stream: TcpStream, address: SocketAddr, _place: OwnedSemaphorePermit) {
        gauge!("shoal_http_connections").increment(1);
        // Small answers are not to wait for more.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.watch(stream, address).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = tokio::time::timeout(self.patience.head, tls.accept(stream)).await {
                    self.watch(stream, address).await;
                }
            }
        }
        gauge!("shoal_http_connections").decrement(1);
    }

    /// Waits until a connection is to end with the process. One that has just been made may send its first request: hyper
    /// cuts off what it has not read a byte of.
    async fn told_to_end(&self, activity: &Activity) {
        told(&mut self.ending.stopping.clone()).await;
        if activity.is_new() {
            pause(FIRST_REQUEST).await;
        }
    }

    async fn watch(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, address: SocketAddr) {
        let activity = Arc::new(Activity::new());
        // Its own, so that requests of other connections do not count on the same.
        let leaving = Arc::new(self.ending.leaving.clone());
        let io = TokioIo::new(Watched::new(stream, activity.clone()));
        let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| {
            let work = activity.begin();
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            let (version, leaving) = (request.version(), leaving.clone());
            let refused = self.door.as_ref().and_then(|door| Some((door.refuses(&request)?, door.clone())));
            let router = self.router.clone();
            async move {
                let mut answer = match refused {
                    Some((refused, door)) => door.turn_away(request, refused).await,
                    None => router.oneshot(request).await?,
                };
                let is_kept = version >= Version::HTTP_2 || answer.status() == StatusCode::SWITCHING_PROTOCOLS;
                if !is_kept && *leaving.borrow() {
                    // Else a balancer might send its next request while the connection is closed.
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer.map(|body| Counted::new(body, work)))
            }
        });
        let mut serving = pin!(self.builder.serve_connection_with_upgrades(io, service));
        let mut told_to_end = pin!(self.told_to_end(&activity));
        let (mut is_ending, mut looks) = (false, tokio::time::interval(self.patience.pace()));
        loop {
            tokio::select! {
                // A request that has come is read before the connection is told to end.
                biased;
                // What goes wrong with a connection is its client's affair.
                _ = serving.as_mut() => return,
                _ = looks.tick() => match activity.judge(&self.patience) {
                    Verdict::Good => {}
                    Verdict::Idle if !is_ending => {
                        is_ending = true;
                        serving.as_mut().graceful_shutdown();
                    }
                    // It was told, and has not gone.
                    Verdict::Idle | Verdict::Bad => {
                        counter!("shoal_http_connections_cut_total").increment(1);
                        return;
                    }
                },
                () = told_to_end.as_mut(), if !is_ending => {
                    is_ending = true;
                    serving.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Keeps the kernel from making more connections, where it can be told so: who asks for one now is refused when the
/// listener is gone, and can go elsewhere.
#[cfg(target_os = "linux")]
fn stop_queueing(listener: &TcpListener) {
    // Packets with SYN are dropped, the others pass. The filter sees them from the header of TCP on; its 14th byte has the flags.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const SYN: u32 = 0x02;
    let filter = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    // Without it, connections that are made in the last microseconds are lost.
    let _ = SockRef::from(listener).attach_filter(&filter);
}

#[cfg(not(target_os = "linux"))]
fn stop_queueing(_: &TcpListener) {}

/// Waits until the process is to stop, holding nothing meanwhile.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Says that there is no place, if that can be said at once.
fn refuse(stream: &TcpStream) {
    counter!("shoal_http_connections_refused_total").increment(1);
    let _ = stream.try_write(TOO_MANY);
}

/// Whether a client went away before it was accepted.
fn is_clients(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
