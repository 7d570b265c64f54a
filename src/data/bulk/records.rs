//! Bytes into records: finds where each one ends, and counts lines.
//!
//! Follows COPY's own scanner: a quote opens and closes anywhere in a field, and how the first line ends all must.
//! Memory holds a chunk, or one record if that is longer, up to [`MOST`].

use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::Flaw;

const CHUNK: usize = 1 << 20;
/// The longest record. Without a limit, a quote that is never closed would read the rest of the file into memory.
const MOST: usize = 64 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) struct Records {
    input: Box<dyn AsyncRead + Send + Unpin>,
    buffer: Vec<u8>,
    /// Records before this position have been handed out.
    at: usize,
    ended: bool,
    scan: Scan,
    line_end: Option<LineEnd>,
    line: u64,
    copy_line: u64,
    most: usize,
}

/// A record as it stands in the file, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    pub text: &'a str,
    /// The physical line on which it starts.
    pub line: u64,
    /// What COPY calls its line: the one on which it ends, where within quotes only the file's own line ends count.
    pub copy_line: u64,
}

/// How far the record at the front of the buffer has been looked through.
#[derive(Clone, Copy, Default)]
struct Scan {
    position: usize,
    in_quotes: bool,
    /// Within quotes.
    feeds: u64,
    returns: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Feed,
    Return,
    ReturnFeed,
}

/// Why something cannot be read: a flaw and its line, or the file itself.
#[derive(Debug)]
pub(super) enum Stop {
    Flaw(u64, Flaw),
    Input(std::io::Error),
}

impl Records {
    pub fn new(input: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            at: 0,
            ended: false,
            scan: Scan::default(),
            line_end: None,
            line: 1,
            copy_line: 0,
            most: MOST,
        }
    }

    /// Reads on until there is a whole record, usually many. False at the end of the file.
    pub async fn fill(&mut self) -> Result<bool, Stop> {
        let first = self.buffer.is_empty() && !self.ended && self.copy_line == 0;
        self.buffer.drain(..self.at);
        self.scan.position -= self.at;
        self.at = 0;
        loop {
            if !self.ended {
                self.buffer.reserve(CHUNK);
                self.ended = self.input.read_buf(&mut self.buffer).await.map_err(Stop::Input)? == 0;
                if first && self.buffer.len() < BYTE_ORDER_MARK.len() && !self.ended {
                    continue;
                }
                if first && self.scan.position == 0 && self.buffer.starts_with(BYTE_ORDER_MARK) {
                    self.buffer.drain(..BYTE_ORDER_MARK.len());
                }
            }
            let before = self.scan;
            if self.end_of_record()?.is_some() {
                self.scan = before;
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            if self.buffer.len() > self.most {
                return Err(self.stop(Flaw::TooLong { limit: self.most }));
            }
        }
    }

    /// The next record, or nothing when more must be read.
    pub fn next(&mut self) -> Result<Option<Raw<'_>>, Stop> {
        let Some((end, next)) = self.end_of_record()? else {
            return Ok(None);
        };
        let line = self.line;
        let bytes = &self.buffer[self.at..end];
        if bytes.contains(&0) {
            return Err(Stop::Flaw(line, Flaw::Nul));
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(Stop::Flaw(line, Flaw::NotUtf8));
        };
        if text == r"\." {
            return Err(Stop::Flaw(line, Flaw::EndMarker));
        }
        let Scan { feeds, returns, .. } = self.scan;
        let (physical, counted) = match self.line_end {
            Some(LineEnd::Return) => (returns, returns),
            Some(LineEnd::ReturnFeed) => (feeds, returns),
            Some(LineEnd::Feed) | None => (feeds, feeds),
        };
        self.line += 1 + physical;
        self.copy_line += 1 + counted;
        self.at = next;
        self.scan = Scan { position: next, ..Scan::default() };
        Ok(Some(Raw { text, line, copy_line: self.copy_line }))
    }

    /// The bytes of the records handed out since the last [`Self::fill`].
    pub fn passed(&self) -> &[u8] {
        &self.buffer[..self.at]
    }

    /// Where the record at the front ends, and where the one after it starts.
    fn end_of_record(&mut self) -> Result<Option<(usize, usize)>, Stop> {
        let scan = &mut self.scan;
        while let Some(byte) = self.buffer.get(scan.position) {
            let here = scan.position;
            match byte {
                b'"' => scan.in_quotes = !scan.in_quotes,
                b'\n' if scan.in_quotes => scan.feeds += 1,
                b'\r' if scan.in_quotes => scan.returns += 1,
                b'\n' | b'\r' => {
                    let end = match (byte, self.buffer.get(here + 1)) {
                        (b'\n', _) => LineEnd::Feed,
                        (_, Some(b'\n')) => LineEnd::ReturnFeed,
                        // What follows has not been read yet.
                        (_, None) if !self.ended => return Ok(None),
                        _ => LineEnd::Return,
                    };
                    let expected = *self.line_end.get_or_insert(end);
                    if end != expected {
                        return Err(self.stop(Flaw::LineEnd { expected: expected.name() }));
                    }
                    let length = if end == LineEnd::ReturnFeed { 2 } else { 1 };
                    return Ok(Some((here, here + length)));
                }
                _ => {}
            }
            scan.position += 1;
        }
        if !self.ended || self.at == self.buffer.len() {
            return Ok(None);
        }
        if self.scan.in_quotes {
            return Err(self.stop(Flaw::OpenQuote));
        }
        Ok(Some((self.buffer.len(), self.buffer.len())))
    }

    fn stop(&self, flaw: Flaw) -> Stop {
        Stop::Flaw(self.line, flaw)
    }
}

impl LineEnd {
    fn name(self) -> &'static str {
        match self {
            Self::Feed => "LF",
            Self::Return => "CR",
            Self::ReturnFeed => "CR LF",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Gives out a few bytes at a time, so that records lie across reads.
    struct Trickle(Cursor<Vec<u8>>);

    impl AsyncRead for Trickle {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
            out: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let mut some = [0; 2];
            let mut few = tokio::io::ReadBuf::new(&mut some);
            let polled = std::pin::Pin::new(&mut self.0).poll_read(context, &mut few);
            out.put_slice(few.filled());
            polled
        }
    }

    /// Text, line and COPY's line of each record; or a line and its flaw.
    type Found = Result<Vec<(String, u64, u64)>, (u64, Flaw)>;

    async fn read(text: &[u8], most: usize) -> Found {
        let mut records = Records::new(Box::new(Trickle(Cursor::new(text.to_vec()))));
        records.most = most;
        let mut found = Vec::new();
        let mut passed = 0;
        let flawed = |stop| match stop {
            Stop::Flaw(line, flaw) => (line, flaw),
            Stop::Input(cause) => panic!("{cause}"),
        };
        while records.fill().await.map_err(flawed)? {
            while let Some(raw) = records.next().map_err(flawed)? {
                found.push((raw.text.to_owned(), raw.line, raw.copy_line));
            }
            passed += records.passed().len();
        }
        let mark = if text.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 };
        assert_eq!(passed, text.len() - mark, "every byte is passed on");
        Ok(found)
    }

    fn records(expected: &[(&str, u64, u64)]) -> Found {
        Ok(expected.iter().map(|(text, line, copy_line)| ((*text).to_owned(), *line, *copy_line)).collect())
    }

    #[tokio::test]
    async fn records_end_where_lines_end_outside_quotes() {
        let text = b"\xef\xbb\xbfa,b\n1,\"x\ny\n\"\"\"\n\n2,z";
        let expected = [("a,b", 1, 1), ("1,\"x\ny\n\"\"\"", 2, 4), ("", 5, 5), ("2,z", 6, 6)];
        assert_eq!(read(text, MOST).await, records(&expected));
        assert_eq!(read(b"", MOST).await, records(&[]));
        assert_eq!(read(b"\xef\xbb\xbf", MOST).await, records(&[]));
        assert_eq!(read(b"a", MOST).await, records(&[("a", 1, 1)]));
    }

    /// COPY does not count line feeds within quotes in a file whose lines end in CR LF; an editor does.
    #[tokio::test]
    async fn lines_are_counted_for_people_and_for_copy() {
        let expected = [("a", 1, 1), ("\"x\ny\r\nz\"", 2, 3), ("b", 5, 4)];
        assert_eq!(read(b"a\r\n\"x\ny\r\nz\"\r\nb\r\n", MOST).await, records(&expected));
        assert_eq!(read(b"a\rb\r", MOST).await, records(&[("a", 1, 1), ("b", 2, 2)]));
    }

    #[tokio::test]
    async fn flaws_name_the_line_on_which_the_record_starts() {
        let line_end = |expected| Flaw::LineEnd { expected };
        for (text, line, flaw) in [
            (&b"a\n\"\n\"\n\"x\ny\n"[..], 4, Flaw::OpenQuote),
            (b"a\nb\n\xff\n", 3, Flaw::NotUtf8),
            // Each half belongs to another field.
            (b"a,b\n\xc3,\xa9\n", 2, Flaw::NotUtf8),
            (b"a\nx\0y\n", 2, Flaw::Nul),
            (b"a\nb\n\\.\nc\n", 3, Flaw::EndMarker),
            (b"a\nb\r\n", 2, line_end("LF")),
            (b"a\r\nb\r\nc\n", 3, line_end("CR LF")),
            (b"a\rb\n", 2, line_end("CR")),
            (b"a\n\"0123456789\n0123456789\n", 2, Flaw::TooLong { limit: 16 }),
        ] {
            assert_eq!(read(text, 16).await, Err((line, flaw)), "{}", text.escape_ascii());
        }
    }
}
