//! How mails are sent, `[mail]` in the settings.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};
use url::Url;

use super::House;
use super::smtp::{Origin, Smtp, Trust};
use crate::data::secret::SecretUrl;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The server that takes mails; without it they are kept as files.
    pub smtp_url: Option<SecretUrl>,
    /// File with the authorities that may vouch for it, in PEM, in the place of the system's.
    pub ca: Option<PathBuf>,
    /// Who they are from, and whose shop it is: `Name <address>`.
    pub from: String,
    /// What stands behind the `@` of their ids; the domain of `from` by default.
    pub domain: Option<String>,
    /// Where their links lead.
    pub shop_url: Url,
    /// Most connections to the server.
    pub connections: u32,
    /// How long it may take to send a mail, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            smtp_url: None,
            ca: None,
            from: "Shoal <shop@localhost>".to_owned(),
            domain: None,
            shop_url: Url::parse("http://localhost:8000/").expect("it is one"),
            connections: 4,
            timeout_ms: 30_000,
        }
    }
}

impl Settings {
    /// Who sends.
    ///
    /// # Errors
    /// A sentence about what cannot be used.
    pub(super) fn house(&self) -> Result<House, String> {
        let from: Mailbox = self
            .from
            .parse()
            .map_err(|_| format!("mail.from is not an address, such as Shop <shop@example.org>: {}", self.from))?;
        let domain = self.domain.as_deref().unwrap_or(from.email.domain()).to_owned();
        if !is_domain(&domain) {
            return Err(format!("mail.domain is not the name of a host: {domain}"));
        }
        if !matches!(self.shop_url.scheme(), "http" | "https") {
            return Err(format!("mail.shop_url is neither http nor https: {}", self.shop_url));
        }
        Ok(House { from, domain, shop_url: self.shop_url.clone() })
    }

    /// The server, if there is one; `domain` is who it is told we are, unless its URL says otherwise.
    ///
    /// # Errors
    /// A sentence about what cannot be used.
    pub(super) fn smtp(&self, domain: &str) -> Result<Option<Smtp>, String> {
        if self.connections == 0 {
            return Err("mail.connections is 0: no mail could be sent".to_owned());
        }
        if self.timeout_ms == 0 {
            return Err("mail.timeout_ms is 0: no mail could be sent".to_owned());
        }
        let Some(url) = &self.smtp_url else { return Ok(None) };
        let cannot = |reason| format!("mail.smtp_url cannot be used: {reason}");
        let origin = Origin::new(url.expose(), domain, &self.trust()?).map_err(cannot)?;
        if self.ca.is_some() && !origin.may_speak_tls() {
            return Err("mail.ca is of no use: mail.smtp_url asks for no TLS".to_owned());
        }
        Ok(Some(Smtp::new(origin, self.connections, Duration::from_millis(self.timeout_ms))))
    }

    /// Who may vouch for the server.
    fn trust(&self) -> Result<Trust, String> {
        match &self.ca {
            Some(file) => Trust::read(file).map_err(|reason| format!("cannot use {}: {reason}", file.display())),
            None => Ok(Trust::System),
        }
    }
}

/// Whether this is the name of a host, as it stands in a `Message-ID` and in EHLO.
pub(super) fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
