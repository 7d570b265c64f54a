//! How the face is set up, `[http]` in the settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where to listen. Loopback only, as long as there is no identity.
    pub listen: SocketAddr,
    /// Whether to listen elsewhere, although whoever gets there is an admin.
    pub anybody_is_admin: bool,
    /// Whether `/` serves GraphiQL.
    pub graphiql: bool,
    /// Origins other than the server's own whose pages may ask; `*` for all.
    pub cors_origins: Vec<String>,
    /// Addresses or networks of proxies that are believed when they say, in `x-forwarded-for`, where a request comes from.
    pub trusted_proxies: Vec<String>,
    /// Whether answers are compressed, if a client takes that.
    pub compression: bool,
    /// Most connections; more are refused.
    pub max_connections: usize,
    /// Largest head of a request, in bytes.
    pub max_header_bytes: usize,
    /// Largest request body, in bytes, as it is sent and as it is meant.
    pub max_body_bytes: usize,
    /// Largest file that is sent, in bytes, as it is sent and as it is meant.
    pub max_upload_bytes: usize,
    /// Most operations of a batch.
    pub max_batch: usize,
    /// How long the head of a request may take, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long its body may take, in milliseconds.
    pub body_timeout_ms: u64,
    /// How long a client may take none of its answer, in milliseconds.
    pub write_timeout_ms: u64,
    /// How long a connection may stay without a request, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How long a server goes on to serve after SIGTERM, while it says that it is not ready, in milliseconds: until balancers
    /// have noticed.
    pub shutdown_delay_ms: u64,
    /// How long requests in work may take after a signal to stop, in milliseconds.
    pub drain_timeout_ms: u64,
    pub cache: Cache,
    pub tls: Tls,
}

/// What caches between the server and its clients may do with what is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// For how long they may keep it at most, in seconds; types say less. 0: nothing is public.
    pub max_age_s: u32,
    /// For how much longer they may show it while they ask for the next, in seconds.
    pub stale_while_revalidate_s: u32,
}

/// Files in PEM; both, or none for no TLS.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate of the server, and those that vouch for it.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            anybody_is_admin: false,
            graphiql: true,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            compression: true,
            max_connections: 10_000,
            max_header_bytes: 32 << 10,
            max_body_bytes: 1 << 20,
            max_upload_bytes: 16 << 20,
            max_batch: 10,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
            idle_timeout_ms: 75_000,
            shutdown_delay_ms: 1_000,
            drain_timeout_ms: 10_000,
            cache: Cache { max_age_s: 60, stale_while_revalidate_s: 30 },
            tls: Tls::default(),
        }
    }
}

impl Settings {
    pub fn shutdown_delay(&self) -> Duration {
        Duration::from_millis(self.shutdown_delay_ms)
    }

    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}
