//! A subscription as long as somebody takes it: its events, a sign of life where there are none, and an end when the server
//! stops.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::graphql::execute::{Message, Subscribed};

/// nginx would keep events back until it has many.
pub const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// What there is to be sent.
pub enum Live {
    Event(Arc<Message>),
    Heartbeat,
}

struct State {
    subscribed: Subscribed,
    heartbeat: Interval,
    stopping: watch::Receiver<bool>,
}

/// Begins a pause from now, and another after each.
pub fn heartbeat(pause: Duration) -> Interval {
    let mut heartbeat = interval_at(Instant::now() + pause, pause);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

/// Waits until the server is told to stop.
pub async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// What is subscribed to, until it ends or the server stops.
pub fn live(
    subscribed: Subscribed,
    pause: Duration,
    stopping: watch::Receiver<bool>,
) -> impl Stream<Item = Live> + Send + 'static {
    let state = State { subscribed, heartbeat: heartbeat(pause), stopping };
    stream::unfold(Some(state), async |state| {
        let mut state = state?;
        let live = tokio::select! {
            biased;
            () = stopped(&mut state.stopping) => Live::Event(Message::stopping()),
            event = state.subscribed.next() => Live::Event(event?),
            _ = state.heartbeat.tick() => Live::Heartbeat,
        };
        let is_last = matches!(&live, Live::Event(message) if message.is_last);
        Some((live, (!is_last).then_some(state)))
    })
}
