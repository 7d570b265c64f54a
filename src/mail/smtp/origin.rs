//! What `mail.smtp_url` says: which server, how it is spoken to, as whom. Read as lettre's `from_url` does, but what that
//! would pass over is refused: a misspelt `tls` would send passwords in the clear.

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use url::{Host, Url};

use super::trust::Trust;
use crate::mail::settings::is_domain;

/// A server, and who we are to it.
pub struct Origin {
    host: String,
    port: u16,
    security: Security,
    /// Scheme, host and port.
    name: String,
    hello: ClientId,
    credentials: Option<Credentials>,
}

enum Security {
    None,
    /// TLS after STARTTLS, if the server offers that.
    Offered(TlsParameters),
    /// TLS after STARTTLS, or nothing is sent.
    Required(TlsParameters),
    /// TLS from the first byte.
    Whole(TlsParameters),
}

impl Origin {
    /// # Errors
    /// Why the URL cannot be used, without it.
    pub fn new(url: &Url, hello: &str, trust: &Trust) -> Result<Self, String> {
        let (host, shown) = match url.host() {
            Some(Host::Ipv6(address)) => (address.to_string(), format!("[{address}]")),
            Some(host) if host != Host::Domain("") => (host.to_string(), host.to_string()),
            _ => return Err("it names no host".to_owned()),
        };
        let mut tls = None;
        for (key, value) in url.query_pairs() {
            if key != "tls" || tls.is_some() {
                return Err("behind ? it takes nothing but one tls=required or tls=opportunistic".to_owned());
            }
            tls = Some(value);
        }
        let parameters = || trust.parameters(&host).map_err(|error| format!("TLS cannot be set up: {error}"));
        let (port, security) = match (url.scheme(), tls.as_deref()) {
            ("smtp", None) => (25, Security::None),
            ("smtp", Some("required")) => (587, Security::Required(parameters()?)),
            ("smtp", Some("opportunistic")) => (587, Security::Offered(parameters()?)),
            ("smtps", None) => (465, Security::Whole(parameters()?)),
            ("smtp", Some(_)) => return Err("tls is neither required nor opportunistic".to_owned()),
            ("smtps", Some(_)) => return Err("smtps is TLS already, it takes no tls".to_owned()),
            _ => return Err("it is neither smtp nor smtps".to_owned()),
        };
        let port = url.port().unwrap_or(port);
        let hello = match url.path().trim_matches('/') {
            "" => hello,
            path if is_domain(path) => path,
            _ => return Err("its path is not the name of a host".to_owned()),
        };
        let decoded = |text| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| "its user or password is not UTF-8".to_owned())
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (_, None) => return Err("it has a user and no password".to_owned()),
            (user, Some(password)) => Some(Credentials::new(decoded(user)?, decoded(password)?)),
        };
        if credentials.is_some() && matches!(security, Security::None) {
            tracing::warn!("mail.smtp_url has a password and no tls: it goes over the network as it is");
        }
        let name = format!("{}://{shown}:{port}", url.scheme());
        Ok(Self { host, port, security, name, hello: ClientId::Domain(hello.to_owned()), credentials })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is spoken to by TLS, if it can.
    pub fn may_speak_tls(&self) -> bool {
        !matches!(self.security, Security::None)
    }

    /// A connection on which mails can be sent.
    ///
    /// # Errors
    /// Why there is none, which is never about a mail.
    pub async fn connect(&self, patience: Duration) -> Result<AsyncSmtpConnection, String> {
        let cannot = |error: Error| format!("cannot connect to {}: {error}", self.name);
        let server = (self.host.as_str(), self.port);
        let connected = match &self.security {
            Security::Whole(tls) => {
                AsyncSmtpConnection::connect_tokio1(server, Some(patience), &self.hello, Some(tls.clone()), None).await
            }
            _ => {
                let stream =
                    at_once(server).await.map_err(|error| format!("cannot connect to {}: {error}", self.name))?;
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await
            }
        };
        let mut connection = connected.map_err(cannot)?;
        match &self.security {
            Security::Offered(tls) if connection.can_starttls() => {
                connection.starttls(tls.clone(), &self.hello).await.map_err(cannot)?;
            }
            Security::Required(tls) => connection.starttls(tls.clone(), &self.hello).await.map_err(cannot)?,
            _ => {}
        }
        if let Some(credentials) = &self.credentials {
            let let_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await;
            // What a server says to a password may repeat it.
            let_in.map_err(|error| match error.status() {
                Some(code) => format!("{} does not take user and password ({code})", self.name),
                None if error.is_client() => cannot(error),
                None => format!("{} gave no answer to user and password", self.name),
            })?;
        }
        Ok(connection)
    }
}

/// A connection on which what is written is sent at once. lettre writes the end of a mail apart from the rest: that would
/// wait until the server has acknowledged the rest, which servers put off by 40 ms.
async fn at_once(server: (&str, u16)) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
