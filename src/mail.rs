//! Mails of the shop: what they say, and the way to whoever they are for.
//!
//! A mail is a value that its sender gives whole, with its date and its id: sent again, it is the same bytes under the
//! same `Message-ID`, so whoever gets it twice can tell. Nothing is sent again by itself: an error says whether another
//! attempt is worth it. Without a server mails are kept as files.

mod files;
mod letter;
mod message;
mod money;
mod settings;
mod smtp;
mod templates;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lettre::message::Mailbox;
use metrics::counter;
use serde::{Deserialize, Serialize};
use url::Url;

use files::Files;
pub use letter::{Letter, Line, OrderEvent};
pub use settings::Settings;
use smtp::Smtp;
use templates::Templates;

/// A letter to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub to: Recipient,
    /// What stands before the `@` of its `Message-ID`, and names its file: letters, digits, `-`, `_` and single dots.
    pub message_id: String,
    /// When what it tells of happened.
    pub date: DateTime<Utc>,
    pub letter: Letter,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub address: String,
    pub name: String,
}

/// Why a mail was not sent. The text is for operators, and holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The next attempt may do better: no server, no answer in time, an answer that asks for patience. The mail may
    /// have arrived all the same.
    #[error("the mail was not sent: {0}")]
    Failed(String),
    /// Another attempt would end the same: an address that is none, or that the server does not deliver to.
    #[error("the mail was refused: {0}")]
    Refused(String),
}

impl SendError {
    pub fn is_worth_another_attempt(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// What sends mails. Cheap to clone; connections end with the last clone.
#[derive(Clone)]
pub struct Mailer {
    shared: Arc<Shared>,
}

struct Shared {
    house: House,
    templates: Templates,
    way: Way,
}

/// The sender, the same in all mails.
struct House {
    from: Mailbox,
    domain: String,
    shop_url: Url,
}

enum Way {
    Smtp(Box<Smtp>),
    Files(Files),
}

impl Mailer {
    /// Prepares to send; the server is connected to when first used.
    ///
    /// # Errors
    /// A sentence about the setting that cannot be used.
    pub fn new(settings: &Settings, data_dir: &Path) -> Result<Self, String> {
        let house = settings.house()?;
        let way = match settings.smtp(&house.domain)? {
            Some(smtp) => Way::Smtp(Box::new(smtp)),
            None => Way::Files(Files::below(data_dir)),
        };
        Ok(Self { shared: Arc::new(Shared { house, templates: Templates::new(), way }) })
    }

    /// Sends a mail, or keeps it as a file. Dropped before its end, it may have been sent.
    ///
    /// # Errors
    /// When it was not sent, as far as is known.
    pub async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let sent = self.try_to_send(mail).await;
        let outcome = match &sent {
            Ok(()) => "sent",
            Err(SendError::Refused(_)) => "refused",
            Err(SendError::Failed(_)) => "failed",
        };
        counter!("shoal_mails_total", "outcome" => outcome).increment(1);
        sent
    }

    async fn try_to_send(&self, mail: &Mail) -> Result<(), SendError> {
        let Shared { house, templates, way } = &*self.shared;
        let message = message::write(mail, house, templates)?;
        match way {
            Way::Smtp(smtp) => smtp.send(message.envelope(), &message.formatted()).await,
            Way::Files(files) => {
                let kept = files.keep(&mail.message_id, &message.formatted()).await;
                kept.map_err(|error| SendError::Failed(error.to_string()))
            }
        }
    }

    /// Where mails go, without secrets: a server, or a directory.
    pub fn describe(&self) -> String {
        match &self.shared.way {
            Way::Smtp(smtp) => smtp.describe().to_owned(),
            Way::Files(files) => files.directory().display().to_string(),
        }
    }
}

/// What a preview shows of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Its subject and its text.
    Letter,
    Text,
    Html,
}

/// A template with sample data, or all of them one after the other.
///
/// # Errors
/// For a setting that cannot be used, and for a name of which there is no template, with those that there are.
pub fn preview(settings: &Settings, template: Option<&str>, shown: Shown) -> Result<String, String> {
    let (house, templates) = (settings.house()?, Templates::new());
    let samples = letter::samples();
    let names = || samples.iter().map(Letter::template).collect::<Vec<_>>().join(", ");
    let wanted: Vec<_> =
        samples.iter().filter(|letter| template.is_none_or(|name| name == letter.template())).collect();
    if let (Some(name), true) = (template, wanted.is_empty()) {
        return Err(format!("there is no template {name}; there are {}", names()));
    }
    let shows = wanted.iter().map(|letter| {
        let written = templates.write(letter, &house).map_err(|error| error.to_string())?;
        Ok(match shown {
            Shown::Letter => format!("Subject: {}\n\n{}", written.subject, written.text),
            Shown::Text => written.text,
            Shown::Html => written.html,
        })
    });
    Ok(shows.collect::<Result<Vec<_>, String>>()?.join("\n----\n\n"))
}
