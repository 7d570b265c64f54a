//! The lines of a file of products, held against the rules of [`CreateProduct`](crate::domain::product::CreateProduct).
//!
//! Promises that one bad line does not keep the others from being read, and that a file is read to the same lines each
//! time.

use std::collections::HashMap;
use std::mem;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::data::bulk::{Error, Format, Known, Reader, Row, Sheet};
use crate::domain::product::{MAX_PRICE, Price};
use crate::domain::refusal::Code;
use crate::domain::text::{Description, ProductName, Sku, Text};

/// Most lines that are written in one transaction.
const AT_ONCE: usize = 250;
/// The same in bytes of their texts: descriptions may be long.
const BYTES_AT_ONCE: usize = 1 << 20;

const COLUMNS: [Known; 7] = [
    Known { name: "sku", format: Format::Text, is_required: true },
    Known { name: "name", format: Format::Text, is_required: true },
    Known { name: "description", format: Format::Text, is_required: false },
    Known { name: "price_cents", format: Format::Int64, is_required: true },
    Known { name: "currency", format: Format::Text, is_required: true },
    Known { name: "stock", format: Format::Int32, is_required: false },
    Known { name: "active", format: Format::Bool, is_required: false },
];
/// A product is known by its sku; these are the database's.
const KEPT: [&str; 3] = ["id", "created_at", "updated_at"];

/// A file of products, as it was sent.
pub fn sheet(content: Bytes) -> Sheet {
    Sheet::new("products", &COLUMNS, &KEPT, content)
}

/// What a good line says of a product. What is none has no column in the file.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub sku: Sku,
    pub name: ProductName,
    pub description: Option<Description>,
    pub price: Price,
    pub stock: Option<i32>,
    pub active: Option<bool>,
}

/// A line that was passed over, and the first thing that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadLine {
    /// On which it starts; the header is line 1.
    pub line: u64,
    pub column: Option<String>,
    pub code: Code,
    /// A sentence for a person, without its full stop.
    pub reason: String,
}

/// Some lines of a file, in its order.
#[derive(Debug, Default, Serialize)]
pub struct Batch {
    /// How many there are in the file before them.
    pub after: i64,
    pub good: Vec<Line>,
    pub bad: Vec<BadLine>,
}

impl Batch {
    pub fn lines(&self) -> i64 {
        i64::try_from(self.good.len() + self.bad.len()).unwrap_or(i64::MAX)
    }
}

/// Reads a file of products in batches.
pub struct Batches<'s> {
    reader: Reader<'s>,
    /// On which line each sku stands.
    seen: HashMap<String, u64>,
    read: i64,
}

impl<'s> Batches<'s> {
    /// # Errors
    /// For a file whose header cannot be used.
    pub async fn of(sheet: &'s Sheet) -> Result<Self, Error> {
        Ok(Self { reader: sheet.open().await?, seen: HashMap::new(), read: 0 })
    }

    /// The next lines; none at the end of the file.
    ///
    /// # Errors
    /// For what leaves the rest of the file unread.
    pub async fn next(&mut self) -> Result<Option<Batch>, Error> {
        self.up_to(AT_ONCE).await
    }

    /// Passes over so many lines; whether there were as many.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn skip(&mut self, lines: i64) -> Result<bool, Error> {
        while self.read < lines {
            // What stands on them is remembered: their skus are taken.
            let left = usize::try_from(lines - self.read).unwrap_or(usize::MAX);
            if self.up_to(left.min(AT_ONCE)).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn up_to(&mut self, most: usize) -> Result<Option<Batch>, Error> {
        let mut batch = Batch { after: self.read, ..Batch::default() };
        let mut bytes = 0;
        while batch.good.len() + batch.bad.len() < most && bytes < BYTES_AT_ONCE {
            let judged = match self.reader.next_row() {
                Ok(Some(row)) => Some(judge(&row, &mut self.seen)),
                Ok(None) => None,
                Err(error) => match error.of_a_row() {
                    Some((line, column)) => {
                        Some(Err(bad(line, column, (Code::Invalid, sentence(column, &error.reason())))))
                    }
                    None => return Err(error),
                },
            };
            match judged {
                Some(Ok(line)) => {
                    bytes += mem::size_of::<Line>() + line.description.as_ref().map_or(0, |text| text.as_ref().len());
                    batch.good.push(line);
                }
                Some(Err(line)) => batch.bad.push(line),
                None if self.reader.fill().await? => {}
                None => break,
            }
        }
        self.read += batch.lines();
        Ok((batch.lines() > 0).then_some(batch))
    }
}

/// Holds a line against the rules, and against those above it: the first of several with the same sku counts.
fn judge(row: &Row<'_>, seen: &mut HashMap<String, u64>) -> Result<Line, BadLine> {
    let bad = |column: &str, code, flaw: &str| bad(row.line, Some(column), (code, sentence(Some(column), flaw)));
    let cents = row.int("price_cents").unwrap_or_default();
    let line = Line {
        sku: text(row, "sku")?,
        name: text(row, "name")?,
        description: row.get("description").map(|_| text(row, "description")).transpose()?,
        price: Price { cents, currency: text(row, "currency")? },
        stock: row.int("stock").and_then(|stock| i32::try_from(stock).ok()),
        active: row.flag("active"),
    };
    if !(0..=MAX_PRICE).contains(&cents) {
        return Err(bad("price_cents", Code::OutOfRange, &format!("must be 0 to {MAX_PRICE}")));
    }
    if line.stock.is_some_and(|stock| stock < 0) {
        return Err(bad("stock", Code::OutOfRange, &format!("must be 0 to {}", i32::MAX)));
    }
    let sku = String::from(line.sku.clone());
    match seen.get(&sku) {
        Some(first) => Err(bad("sku", Code::Taken, &format!("is on line {first} already"))),
        None => {
            seen.insert(sku, row.line);
            Ok(line)
        }
    }
}

fn text<T: Text>(row: &Row<'_>, column: &str) -> Result<T, BadLine> {
    let read = T::read(row.get(column).unwrap_or_default());
    read.map_err(|(code, flaw)| bad(row.line, Some(column), (code, sentence(Some(column), &flaw))))
}

fn bad(line: u64, column: Option<&str>, (code, reason): (Code, String)) -> BadLine {
    BadLine { line, column: column.map(str::to_owned), code, reason }
}

fn sentence(column: Option<&str>, flaw: &str) -> String {
    column.map_or_else(|| flaw.to_owned(), |column| format!("{column}: {flaw}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> Result<Vec<Batch>, String> {
        let sheet = sheet(Bytes::copy_from_slice(text.as_bytes()));
        let mut batches = Batches::of(&sheet).await.map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        while let Some(batch) = batches.next().await.map_err(|error| error.to_string())? {
            found.push(batch);
        }
        Ok(found)
    }

    #[tokio::test]
    async fn a_bad_line_does_not_keep_the_others_from_being_read() {
        let text = "currency,sku,name,price_cents,stock\n\
                    EUR,A,\"Two\nlines\",1,1\n\
                    EUR,B,Vase,1,1\n\
                    EUR,B,Vase,1,1\n\
                    EUR,C,Vase,1\n\
                    EUR,D,Vase,1.5,1\n\
                    EUR,E,Vase,-1,1\n\
                    EUR,F,Vase,1,-1\n\
                    euro,G, ,1,1\n\
                    EUR,F,Jug,2,0\n";
        let batches = read(text).await.unwrap();
        let [batch] = &batches[..] else { panic!("{batches:?}") };
        let good: Vec<_> = batch.good.iter().map(|line| line.sku.as_ref()).collect();
        assert_eq!(good, ["B", "F"], "a bad line takes no sku");
        let bad: Vec<_> = batch.bad.iter().map(|bad| format!("{} {:?} {}", bad.line, bad.code, bad.reason)).collect();
        assert_eq!(
            bad,
            [
                "2 Invalid name: must not contain the control character U+000A",
                "5 Taken sku: is on line 4 already",
                "6 Invalid 4 fields where the header names 5",
                "7 Invalid price_cents: \"1.5\" is not a whole number of 64 bits",
                "8 OutOfRange price_cents: must be 0 to 100000000000",
                "9 OutOfRange stock: must be 0 to 2147483647",
                "10 Blank name: must not be blank",
            ]
        );
    }

    #[tokio::test]
    async fn who_goes_on_in_the_middle_knows_what_was_before() {
        let lines: String = (0..600).map(|number| format!("S{},Vase,1,EUR\n", number % 500)).collect();
        let sheet = sheet(format!("sku,name,price_cents,currency\n{lines}").into());
        let mut batches = Batches::of(&sheet).await.unwrap();
        assert!(batches.skip(510).await.unwrap());
        let batch = batches.next().await.unwrap().unwrap();
        assert_eq!((batch.after, batch.good.len(), batch.bad.len()), (510, 0, 90));
        assert_eq!(batch.bad[0].line, 512);
        assert!(batches.next().await.unwrap().is_none());
        assert!(!batches.skip(601).await.unwrap());
    }

    #[tokio::test]
    async fn headers() {
        for (header, said) in [
            ("sku,name,currency", "products cannot do without the column price_cents"),
            ("sku,name,price_cents,currency,id", "the column id is not for files to fill: leave it out"),
            ("sku,name,price_cents,currency,colour", "products has no column \"colour\""),
            ("sku,name,price_cents,currency,sku", "the column sku is named twice"),
            ("", "the file is empty"),
        ] {
            let error = read(header).await.err().unwrap();
            assert!(error.starts_with("the file, line 1: ") && error.contains(said), "{header}: {error}");
        }
    }
}
