//! Asks a server of this machine what probes ask: for containers that have no other program to do so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::settings::Tls;
use super::tls::Own;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Largest answer.
const MOST: u64 = 1 << 20;

/// What a server says to a GET: its status, and the body.
///
/// # Errors
/// When there is no server, or none that speaks HTTP.
pub async fn ask(address: SocketAddr, tls: &Tls, path: &str) -> Result<(u16, String), String> {
    let address = SocketAddr::new(here(address.ip()), address.port());
    let cannot = |error: &dyn std::fmt::Display| format!("{address} does not answer: {error}");
    let asked = async {
        let stream = TcpStream::connect(address).await.map_err(|error| cannot(&error))?;
        let Some(own) = Own::read(tls)? else { return get(stream, path).await.map_err(|error| cannot(&error)) };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| cannot(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(own))
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::from(address.ip());
        let stream = connector.connect(name, stream).await.map_err(|error| cannot(&error))?;
        get(stream, path).await.map_err(|error| cannot(&error))
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(cannot(&"it takes too long")))
}

/// Where a server that listens everywhere is found.
fn here(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// HTTP/1.0, so that nobody sends chunks.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> std::io::Result<(u16, String)> {
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("that is no HTTP"))?;
    Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}
