//! Connections: so many, each watched. One that says nothing, drips, takes nothing or lies idle is closed; none can hold
//! more than its own place.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::activity::{Activity, Counted, Patience, Verdict, Watched};
use super::settings::Settings;

/// What a connection above the bound is told.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// The pause after a failure to accept that is not a client's: most likely there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(500);
/// Most requests at once on a connection of HTTP/2.
const STREAMS: u32 = 100;
/// How often a connection of HTTP/2 is asked whether anybody is there, and how long for an answer.
const PING: Duration = Duration::from_secs(20);

/// Takes connections.
pub struct Listening {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    builder: Builder<TokioExecutor>,
    patience: Patience,
    places: Arc<Semaphore>,
}

impl Listening {
    pub fn new(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, settings: &Settings) -> Self {
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

    /// Serves until told to stop; then requests in work may end, for so long.
    pub async fn serve(self, mut stopping: watch::Receiver<bool>, drain: Duration) {
        let connection = Arc::new(Connection {
            router: self.router,
            builder: self.builder,
            tls: self.tls,
            patience: self.patience,
            stopping: stopping.clone(),
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, address)) => match self.places.clone().try_acquire_owned() {
                        Ok(place) => {
                            connections.spawn(connection.clone().run(stream, address, place));
                        }
                        Err(_) => refuse(&stream),
                    },
                    Err(error) if is_clients(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections");
                        let _ = tokio::time::timeout(PAUSE, std::future::pending::<()>()).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                () = told(&mut stopping) => break,
            }
        }
        // Nobody is to wait in the queue of a server that has stopped.
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
    router: Router,
    builder: Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    patience: Patience,
    stopping: watch::Receiver<bool>,
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

    async fn watch(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, address: SocketAddr) {
        let activity = Arc::new(Activity::new());
        let io = TokioIo::new(Watched::new(stream, activity.clone()));
        let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| {
            let work = activity.begin();
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            let answer = self.router.clone().oneshot(request);
            async move { answer.await.map(|answer| answer.map(|body| Counted::new(body, work))) }
        });
        let mut serving = pin!(self.builder.serve_connection_with_upgrades(io, service));
        let mut stopping = self.stopping.clone();
        let (mut is_ending, mut looks) = (false, tokio::time::interval(self.patience.pace()));
        loop {
            tokio::select! {
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
                () = told(&mut stopping), if !is_ending => {
                    is_ending = true;
                    serving.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

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
