//! A mail as the bytes that are sent (RFC 5322, MIME).

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::templates::{Templates, one_line};
use super::{House, Mail, Recipient, SendError};

/// Between the parts. `=_` is in no part: they are quoted-printable, where `=` is followed by digits or a line end.
const BOUNDARY: &str = "=_shoal";
const MOST_OF_ID: usize = 128;
/// The last second that can be written.
const LAST: DateTime<Utc> = DateTime::from_timestamp(253_402_300_799, 0).expect("it is in range");

/// Writes a mail: the same bytes for the same mail, settings and templates.
///
/// # Errors
/// For a recipient or an id that is none.
pub fn write(mail: &Mail, house: &House, templates: &Templates) -> Result<Message, SendError> {
    if !is_id(&mail.message_id) {
        return Err(SendError::Refused("its message id is none".to_owned()));
    }
    let to = mailbox(&mail.to)?;
    let written = templates.write(&mail.letter, house).map_err(|error| SendError::Refused(error.to_string()))?;
    let part = |kind, text| {
        let part = SinglePart::builder().content_type(kind).header(ContentTransferEncoding::QuotedPrintable);
        part.body::<String>(text)
    };
    let parts = MultiPart::alternative()
        .boundary(BOUNDARY)
        .singlepart(part(ContentType::TEXT_PLAIN, written.text))
        .singlepart(part(ContentType::TEXT_HTML, written.html));
    Message::builder()
        .message_id(Some(format!("<{}@{}>", mail.message_id, house.domain)))
        .date(SystemTime::from(mail.date.clamp(DateTime::UNIX_EPOCH, LAST)))
        .from(house.from.clone())
        .to(to)
        .subject(written.subject)
        // Nobody is to be told by return that somebody is on holiday (RFC 3834).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .multipart(parts)
        .map_err(|error| SendError::Refused(error.to_string()))
}

fn mailbox(recipient: &Recipient) -> Result<Mailbox, SendError> {
    let address: Address =
        recipient.address.parse().map_err(|_| SendError::Refused("its recipient has no address".to_owned()))?;
    Ok(Mailbox::new(Some(one_line(&recipient.name)).filter(|name| !name.is_empty()), address))
}

/// Whether this can stand in a `Message-ID` and name a file: a dot-atom (RFC 5322, 3.2.3) of fewer characters.
fn is_id(id: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    id.len() <= MOST_OF_ID && id.split('.').all(is_atom)
}
