//! A CSV file as rows of its table: header, fields, values.

use super::File;
use super::error::{Error, Flaw, HeaderFlaw};
use super::records::{Raw, Records, Stop};
use super::shape::{Column, Shape};
use super::value::{Format, Value};

/// Reads the rows of a file: [`fill`](Self::fill), then [`next_row`](Self::next_row) until there are no more, and so on.
pub struct Reader<'f> {
    file: &'f File,
    records: Records,
    /// The file's columns, in its order.
    columns: Vec<Column>,
    /// Fields of the last record, without quotes, one after another.
    text: String,
    fields: Vec<Field>,
}

/// A field's place in the text, and whether any of it stood in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    start: usize,
    end: usize,
    quoted: bool,
}

/// A record whose fields all are values of their columns.
pub struct Row<'a> {
    pub line: u64,
    /// What COPY calls its line.
    pub(super) copy_line: u64,
    columns: &'a [Column],
    text: &'a str,
    fields: &'a [Field],
}

impl<'f> Reader<'f> {
    /// Opens a file and checks its header against the table.
    pub(super) async fn open(file: &'f File, shape: &Shape) -> Result<Self, Error> {
        let records = Records::new(file.open().await?);
        let mut reader = Self { file, records, columns: Vec::new(), text: String::new(), fields: Vec::new() };
        let flaw = |flaw| Error::Header { file: file.name.clone(), flaw };
        if !reader.fill().await? {
            return Err(flaw(HeaderFlaw::Empty));
        }
        match reader.records.next() {
            Ok(Some(header)) => split(header.text, &mut reader.text, &mut reader.fields),
            Ok(None) => return Err(flaw(HeaderFlaw::Empty)),
            Err(stop) => return Err(blame(file, stop)),
        }
        let names = reader.fields.iter().map(|field| &reader.text[field.start..field.end]);
        reader.columns = shape.check(file.table.name, names).map_err(flaw)?;
        Ok(reader)
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Reads on until there is a whole row, usually many. False at the end of the file.
    pub async fn fill(&mut self) -> Result<bool, Error> {
        self.records.fill().await.map_err(|stop| blame(self.file, stop))
    }

    /// The next row, or nothing when more must be read.
    ///
    /// # Errors
    /// After one that [is of a row](Error::of_a_row) the next row can be read.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, Error> {
        let file = self.file;
        let Some(Raw { text, line, copy_line }) = self.records.next().map_err(|stop| blame(file, stop))? else {
            return Ok(None);
        };
        split(text, &mut self.text, &mut self.fields);
        let (found, expected) = (self.fields.len(), self.columns.len());
        if found != expected {
            let flaw = Flaw::Ragged { found, expected };
            return Err(Error::Malformed { file: file.name.clone(), line, flaw });
        }
        let row = Row { line, copy_line, columns: &self.columns, text: &self.text, fields: &self.fields };
        match row.columns.iter().zip(row.values()).find(|(_, value)| value.is_none()) {
            None => Ok(Some(row)),
            Some((column, _)) => Err(Error::BadValue {
                file: file.name.clone(),
                line,
                column: column.name.clone(),
                value: row.get(&column.name).unwrap_or_default().to_owned(),
                expected: column.format.expected(),
            }),
        }
    }

    /// The bytes of the rows handed out since the last [`Self::fill`], at first with the header.
    pub(super) fn passed(&self) -> &[u8] {
        self.records.passed()
    }
}

impl<'a> Row<'a> {
    /// The values in the file's order; nothing in place of a bad one.
    pub(super) fn values(&self) -> impl Iterator<Item = Option<Value<'a>>> + use<'a> {
        let text = self.text;
        self.columns.iter().zip(self.fields).map(move |(column, field)| read(column, field, text))
    }

    /// The text of a column's field; nothing for NULL.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let (column, field) = self.columns.iter().zip(self.fields).find(|(column, _)| column.name == name)?;
        (!is_null(column, field)).then(|| &self.text[field.start..field.end])
    }

    /// The number in a column; nothing if the file has no such column, or it has no numbers.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// What a column of booleans says; nothing if the file has no such column.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    fn value(&self, name: &str) -> Option<Value<'a>> {
        let (column, field) = self.columns.iter().zip(self.fields).find(|(column, _)| column.name == name)?;
        read(column, field, self.text)
    }

    /// Whether a column has the value that the database prints like this.
    pub(super) fn holds(&self, name: &str, printed: &str) -> bool {
        let Some(column) = self.columns.iter().find(|column| column.name == name) else {
            return false;
        };
        let Some(field) = self.get(name) else {
            return false;
        };
        // 007 is printed as 7.
        match column.format {
            Format::Text | Format::Other => field == printed,
            format => format.read(field).is_some_and(|value| format.read(printed) == Some(value)),
        }
    }
}

fn read<'a>(column: &Column, field: &Field, text: &'a str) -> Option<Value<'a>> {
    if is_null(column, field) {
        return Some(Value::Null);
    }
    column.format.read(&text[field.start..field.end])
}

fn is_null(column: &Column, field: &Field) -> bool {
    column.nullable && !field.quoted && field.start == field.end
}

fn blame(file: &File, stop: Stop) -> Error {
    match stop {
        Stop::Flaw(line, flaw) => Error::Malformed { file: file.name.clone(), line, flaw },
        Stop::Input(cause) => Error::Unreadable { file: file.name.clone(), cause },
    }
}

/// Takes a record apart, by the rules of COPY: a quote opens and closes anywhere, two within quotes stand for one.
fn split(record: &str, text: &mut String, fields: &mut Vec<Field>) {
    text.clear();
    fields.clear();
    let mut rest = record;
    loop {
        let start = text.len();
        let mut quoted = false;
        let more = loop {
            let Some(stop) = rest.bytes().position(|byte| byte == b',' || byte == b'"') else {
                text.push_str(rest);
                break None;
            };
            text.push_str(&rest[..stop]);
            let after = &rest[stop + 1..];
            if rest.as_bytes()[stop] == b',' {
                break Some(after);
            }
            quoted = true;
            rest = unquote(after, text);
        };
        fields.push(Field { start, end: text.len(), quoted });
        match more {
            Some(more) => rest = more,
            None => return,
        }
    }
}

/// Reads up to the closing quote, and returns what comes after it.
fn unquote<'a>(mut rest: &'a str, text: &mut String) -> &'a str {
    while let Some((inner, after)) = rest.split_once('"') {
        text.push_str(inner);
        match after.strip_prefix('"') {
            Some(after) => {
                text.push('"');
                rest = after;
            }
            None => return after,
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(record: &str) -> Vec<(String, bool)> {
        let (mut text, mut fields) = (String::new(), Vec::new());
        split(record, &mut text, &mut fields);
        fields.iter().map(|field| (text[field.start..field.end].to_owned(), field.quoted)).collect()
    }

    #[test]
    fn quotes_open_and_close_anywhere() {
        for (record, expected) in [
            ("", &[("", false)][..]),
            ("a,,\"\"", &[("a", false), ("", false), ("", true)]),
            ("\"a,\"\"b\"\"\nc\",d", &[("a,\"b\"\nc", true), ("d", false)]),
            ("a\"b,c\"d\"\"e,", &[("ab,cde", true), ("", false)]),
            ("é,\"ü\"", &[("é", false), ("ü", true)]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(text, quoted)| ((*text).to_owned(), *quoted)).collect();
            assert_eq!(fields(record), expected, "{record}");
        }
    }
}
