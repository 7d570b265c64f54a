//! What a connection does, and for how long it has not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How a connection of HTTP/2 begins. RFC 9113, 3.4.
const PREFACE: &[u8] = b"PRI ";

/// For how long a connection may do nothing.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte of a head to its last; a new connection owes one at once.
    pub head: Duration,
    /// While there is something for it to take.
    pub write: Duration,
    /// Between two requests.
    pub idle: Duration,
}

impl Patience {
    /// How often to look.
    pub fn pace(&self) -> Duration {
        let shortest = self.head.min(self.write).min(self.idle);
        (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(5))
    }
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// It has had no request for too long.
    Idle,
    /// It keeps the server waiting in the middle of something.
    Bad,
}

/// What a connection does. Times are milliseconds since it was opened, and 0 for none.
pub struct Activity {
    opened: Instant,
    /// Requests whose answers are not sent.
    requests: AtomicUsize,
    /// When the last of them ended.
    ended: AtomicU64,
    /// Since when a head has been coming in.
    head: AtomicU64,
    /// Since when nothing could be written.
    blocked: AtomicU64,
    /// In HTTP/2 there is more on the wire than requests.
    has_frames: AtomicBool,
}

impl Activity {
    pub fn new() -> Self {
        let none = AtomicU64::default;
        Self {
            opened: Instant::now(),
            requests: AtomicUsize::default(),
            ended: none(),
            head: AtomicU64::new(1),
            blocked: none(),
            has_frames: AtomicBool::default(),
        }
    }

    /// A request has come in; it is in work until this is dropped.
    pub fn begin(self: &Arc<Self>) -> Work {
        self.requests.fetch_add(1, Relaxed);
        self.head.store(0, Relaxed);
        Work(self.clone())
    }

    /// Whether it has had no request yet.
    pub fn is_new(&self) -> bool {
        self.requests.load(Relaxed) == 0 && self.ended.load(Relaxed) == 0
    }

    pub fn judge(&self, patience: &Patience) -> Verdict {
        let (head, blocked) = (self.head.load(Relaxed), self.blocked.load(Relaxed));
        let is_over = |since: u64, limit: Duration| {
            self.now().saturating_sub(since) > u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
        };
        let is_resting = self.requests.load(Relaxed) == 0;
        if (blocked > 0 && is_over(blocked, patience.write))
            || (is_resting && head > 0 && !self.has_frames.load(Relaxed) && is_over(head, patience.head))
        {
            Verdict::Bad
        } else if is_resting && is_over(self.ended.load(Relaxed), patience.idle) {
            Verdict::Idle
        } else {
            Verdict::Good
        }
    }

    fn has_read(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.requests.load(Relaxed) > 0 {
            return;
        }
        let head = self.head.load(Relaxed);
        if head == 1 && bytes.starts_with(PREFACE) {
            self.has_frames.store(true, Relaxed);
        }
        if head == 0 {
            self.head.store(self.now(), Relaxed);
        }
    }

    fn has_tried(&self, is_blocked: bool) {
        if !is_blocked {
            self.blocked.store(0, Relaxed);
        } else if self.blocked.load(Relaxed) == 0 {
            self.blocked.store(self.now(), Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// A request in work.
pub struct Work(Arc<Activity>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.ended.store(self.0.now(), Relaxed);
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// The body of an answer: its request is in work until it is sent.
pub struct Counted {
    body: Body,
    _work: Work,
}

impl Counted {
    pub fn new(body: Body, work: Work) -> Self {
        Self { body, _work: work }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose activity is seen.
pub struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.activity.has_read(&buffer.filled()[filled..]);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.has_tried(result.is_pending());
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.activity.has_tried(result.is_pending());
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.activity.has_tried(result.is_pending());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIEF: Patience =
        Patience { head: Duration::ZERO, write: Duration::from_secs(60), idle: Duration::from_secs(60) };

    fn aged() -> Arc<Activity> {
        let opened = Instant::now().checked_sub(Duration::from_secs(30)).unwrap();
        Arc::new(Activity { opened, ..Activity::new() })
    }

    #[test]
    fn a_head_is_owed_at_once_and_then_from_its_first_byte() {
        let activity = aged();
        assert_eq!((activity.judge(&BRIEF), activity.is_new()), (Verdict::Bad, true));
        let work = activity.begin();
        assert_eq!((activity.judge(&BRIEF), activity.is_new()), (Verdict::Good, false));
        drop(work);
        assert!(!activity.is_new());
        assert_eq!(activity.judge(&BRIEF), Verdict::Good);
        activity.has_read(b"G");
        assert_eq!(activity.judge(&Patience { head: Duration::from_secs(1), ..BRIEF }), Verdict::Good);
        activity.head.store(2, Relaxed);
        assert_eq!(activity.judge(&Patience { head: Duration::from_secs(1), ..BRIEF }), Verdict::Bad);
    }

    #[test]
    fn frames_of_http_2_are_no_heads() {
        let activity = aged();
        activity.has_read(b"PRI * HTTP/2.0");
        assert_eq!(activity.judge(&BRIEF), Verdict::Good);
        assert_eq!(activity.judge(&Patience { idle: Duration::from_secs(1), ..BRIEF }), Verdict::Idle);
    }

    #[test]
    fn an_answer_is_to_be_taken() {
        let activity = aged();
        let _work = activity.begin();
        activity.has_tried(true);
        assert_eq!(activity.judge(&BRIEF), Verdict::Good);
        activity.blocked.store(1, Relaxed);
        assert_eq!(activity.judge(&Patience { write: Duration::from_secs(1), ..BRIEF }), Verdict::Bad);
        activity.has_tried(false);
        assert_eq!(activity.judge(&Patience { write: Duration::from_secs(1), ..BRIEF }), Verdict::Good);
    }
}
