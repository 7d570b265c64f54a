//! What `pgoutput` sends, version 1 of its protocol with binary values.
//! <https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html>
//!
//! Pure: bytes in, changes out. Whatever cannot be read is an error, never a guess.

use std::collections::HashMap;

use crate::data::change::{Change, Image};
use crate::data::scalar::{Kind, Scalar};
use crate::data::table::{Named, Table, Tables};

/// Microseconds from 1970 to 2000, where PostgreSQL's instants begin.
const EPOCH: i64 = 946_684_800_000_000;

/// What a message tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Changed(Change),
    /// Tables were emptied: of whatever was read of them, nothing is left.
    Truncated,
    /// Nothing that matters here.
    Other,
}

/// A message that is not of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of the log cannot be read")]
pub struct Unreadable;

/// Reads messages. Remembers which tables they name by number.
#[derive(Debug)]
pub struct Reader<'a> {
    tables: &'a Tables,
    relations: HashMap<u32, Option<Relation<'a>>>,
}

#[derive(Debug)]
struct Relation<'a> {
    table: &'a Table,
    /// The columns in the order in which they are sent; none for those that do not matter.
    columns: Vec<Option<Named>>,
    /// The same; none for those that rows are read without.
    row: Vec<Option<Named>>,
}

/// A column as it is sent.
enum Sent<'a> {
    Null,
    /// Stored out of line, and not changed.
    Unchanged,
    Binary(&'a [u8]),
}

impl<'a> Reader<'a> {
    pub fn new(tables: &'a Tables) -> Self {
        Self { tables, relations: HashMap::new() }
    }

    pub fn read(&mut self, message: &[u8]) -> Result<Message, Unreadable> {
        let mut bytes = Bytes(message);
        match bytes.byte()? {
            b'R' => {
                self.relation(&mut bytes)?;
                Ok(Message::Other)
            }
            b'I' => self.changed(&mut bytes, |tuples| match tuples {
                [(b'N', new)] => Ok((None, Some(new.clone()))),
                _ => Err(Unreadable),
            }),
            b'U' => self.changed(&mut bytes, |tuples| match tuples {
                [(b'N', new)] => Ok((None, Some(new.clone()))),
                [(b'O' | b'K', old), (b'N', new)] => Ok((Some(old.clone()), Some(new.clone()))),
                _ => Err(Unreadable),
            }),
            b'D' => self.changed(&mut bytes, |tuples| match tuples {
                [(b'O' | b'K', old)] => Ok((Some(old.clone()), None)),
                _ => Err(Unreadable),
            }),
            b'T' => self.truncated(&mut bytes),
            _ => Ok(Message::Other),
        }
    }

    /// The row as it is after a change: all columns that it is read with, or none if not all of them are told.
    pub fn row(&self, message: &[u8]) -> Result<Option<Image>, Unreadable> {
        let mut bytes = Bytes(message);
        let (b'I' | b'U') = bytes.byte()? else { return Ok(None) };
        let Some(relation) = self.relations.get(&bytes.u32()?).ok_or(Unreadable)? else { return Ok(None) };
        let tuples = relation.tuples(&mut bytes, &relation.row)?;
        let new = tuples.into_iter().find(|(kind, _)| *kind == b'N').map(|(_, image)| image);
        Ok(new.filter(|image| relation.table.row.iter().all(|(name, _)| image.get(name).is_some())))
    }

    fn relation(&mut self, bytes: &mut Bytes<'_>) -> Result<(), Unreadable> {
        let number = bytes.u32()?;
        let (_schema, name) = (bytes.text()?, bytes.text()?);
        let _identity = bytes.byte()?;
        let table = self.tables.find(name);
        let (mut columns, mut row) = (Vec::new(), Vec::new());
        for _ in 0..bytes.u16()? {
            let _flags = bytes.byte()?;
            let column = bytes.text()?;
            columns.push(table.and_then(|table| table.column(column)));
            row.push(table.and_then(|table| table.row.iter().find(|(name, _)| *name == column).copied()));
            let (_type, _modifier) = (bytes.u32()?, bytes.u32()?);
        }
        self.relations.insert(number, table.map(|table| Relation { table, columns, row }));
        Ok(())
    }

    fn changed(
        &self,
        bytes: &mut Bytes<'_>,
        sides: impl Fn(&[(u8, Image)]) -> Result<(Option<Image>, Option<Image>), Unreadable>,
    ) -> Result<Message, Unreadable> {
        let Some(relation) = self.relations.get(&bytes.u32()?).ok_or(Unreadable)? else { return Ok(Message::Other) };
        let (old, new) = sides(&relation.tuples(bytes, &relation.columns)?)?;
        let table = relation.table;
        let image = new.as_ref().or(old.as_ref()).ok_or(Unreadable)?;
        let key =
            table.key.iter().map(|column| image.get(column).cloned().ok_or(Unreadable)).collect::<Result<_, _>>()?;
        Ok(Message::Changed(Change { table: table.name, key, old, new }))
    }

    fn truncated(&self, bytes: &mut Bytes<'_>) -> Result<Message, Unreadable> {
        let count = bytes.u32()?;
        let _options = bytes.byte()?;
        let mut matters = false;
        for _ in 0..count {
            matters |= self.relations.get(&bytes.u32()?).is_none_or(Option::is_some);
        }
        Ok(if matters { Message::Truncated } else { Message::Other })
    }
}

impl Relation<'_> {
    /// The tuples of a change, each with its kind.
    fn tuples(&self, bytes: &mut Bytes<'_>, columns: &[Option<Named>]) -> Result<Vec<(u8, Image)>, Unreadable> {
        let mut tuples = Vec::with_capacity(2);
        while !bytes.0.is_empty() {
            let kind = bytes.byte()?;
            let old = tuples.last().map(|(_, old): &(u8, Image)| old);
            let image = image(bytes, columns, kind == b'K', old)?;
            tuples.push((kind, image));
        }
        Ok(tuples)
    }
}

/// Columns of a tuple, by what they are known as here. Of one that has only its key, null says nothing; what is not sent
/// again is as it was.
fn image(
    bytes: &mut Bytes<'_>,
    columns: &[Option<Named>],
    is_key: bool,
    old: Option<&Image>,
) -> Result<Image, Unreadable> {
    if usize::from(bytes.u16()?) != columns.len() {
        return Err(Unreadable);
    }
    let mut image = Vec::with_capacity(columns.len());
    for column in columns {
        let sent = match bytes.byte()? {
            b'n' => Sent::Null,
            b'u' => Sent::Unchanged,
            b'b' => {
                let length = bytes.u32()? as usize;
                Sent::Binary(bytes.take(length)?)
            }
            _ => return Err(Unreadable),
        };
        let Some((name, kind)) = *column else { continue };
        let value = match sent {
            Sent::Null if is_key => None,
            Sent::Null => Some(Scalar::Null),
            Sent::Unchanged => old.and_then(|old| old.get(name)).cloned(),
            Sent::Binary(bytes) => Some(scalar(bytes, kind)?),
        };
        image.extend(value.map(|value| (name, value)));
    }
    Ok(image.into_iter().collect())
}

/// A value in PostgreSQL's binary form.
fn scalar(bytes: &[u8], kind: Kind) -> Result<Scalar, Unreadable> {
    let whole = |bytes: &[u8]| match *bytes {
        [a, b] => Ok(i64::from(i16::from_be_bytes([a, b]))),
        [a, b, c, d] => Ok(i64::from(i32::from_be_bytes([a, b, c, d]))),
        _ => bytes.try_into().map(i64::from_be_bytes).map_err(|_| Unreadable),
    };
    Ok(match kind {
        Kind::Bool => Scalar::Bool(bytes == [1]),
        Kind::Int | Kind::BigInt => Scalar::Int(whole(bytes)?),
        Kind::Text => Scalar::Text(std::str::from_utf8(bytes).map_err(|_| Unreadable)?.to_owned()),
        // Infinity stays far away.
        Kind::Time => Scalar::Time(whole(bytes)?.saturating_add(EPOCH)),
    })
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Unreadable> {
        self.take(2)?.try_into().map(u16::from_be_bytes).map_err(|_| Unreadable)
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        self.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| Unreadable)
    }

    /// A text that ends with a zero.
    fn text(&mut self) -> Result<&'a str, Unreadable> {
        let length = self.0.iter().position(|byte| *byte == 0).ok_or(Unreadable)?;
        let text = self.take(length)?;
        self.byte()?;
        std::str::from_utf8(text).map_err(|_| Unreadable)
    }
}

#[cfg(test)]
mod tests;
