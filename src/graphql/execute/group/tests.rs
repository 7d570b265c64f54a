//! Groups, with events of a topic of their own.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::Value;
use entity::user;
use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::data::change::{Change, Image};
use crate::data::events::{Batch, Events, Topic};
use crate::data::position::Position;
use crate::data::scalar::Scalar;

static UPDATED: LazyLock<Topic> = LazyLock::new(|| Topic::updated::<user::Model>("updated"));

/// Nothing happens after this position.
const END: u64 = 1_000_000;

/// Shows the position of each event; the rows of odd positions are gone.
struct Counted(Arc<AtomicUsize>);

impl Show for Counted {
    async fn show(&self, event: &Event) -> Seen {
        self.0.fetch_add(1, Ordering::Relaxed);
        let position = event.position.0;
        let response = position.is_multiple_of(2).then(|| Response::new(Value::from(position)));
        Seen { response, is_end: position >= END }
    }
}

struct Stage {
    events: Events,
    groups: Groups,
    shown: Arc<AtomicUsize>,
}

impl Stage {
    fn new(max: usize, queue: usize) -> Self {
        let events = Events::default();
        events.tell(HashSet::from(["users"]));
        Self { events, groups: Groups::new(max, queue), shown: Arc::default() }
    }

    fn join(&self, identity: u8) -> Result<Subscribed, ServerError> {
        let hear = || self.events.listen(&UPDATED, Scalar::Int(1));
        self.groups.join([identity; 32], hear, Counted(self.shown.clone()))
    }

    fn happen(&self, position: u64) {
        let image: Image = [("id", Scalar::Int(1))].into_iter().collect();
        let change = Change { table: "users", key: vec![Scalar::Int(1)], old: Some(image.clone()), new: Some(image) };
        let mut batch = Batch::default();
        batch.note(&self.events, &change);
        batch.commit(Position(position));
        self.events.publish(&mut batch);
    }
}

async fn next(subscribed: &mut Subscribed) -> String {
    String::from_utf8(subscribed.next().await.expect("an event").bytes.to_vec()).unwrap()
}

fn code(message: &Message) -> String {
    assert!(message.is_last);
    error::code(&message.errors()[0])
}

#[tokio::test]
async fn an_event_is_resolved_once_for_all_who_subscribed_to_the_same() {
    let stage = Stage::new(2000, 10);
    let mut all: Vec<_> = (0..1000).map(|_| stage.join(1).unwrap()).collect();
    let mut other = stage.join(2).unwrap();
    for position in [2, 3, 4] {
        stage.happen(position);
    }
    for subscribed in all.iter_mut().chain([&mut other]) {
        assert_eq!(next(subscribed).await, r#"{"data":2}"#);
        assert_eq!(next(subscribed).await, r#"{"data":4}"#, "what is gone is passed over");
    }
    assert_eq!(stage.shown.load(Ordering::Relaxed), 6, "two groups, three events");
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_and_others_go_on() {
    let stage = Stage::new(10, 3);
    let (mut slow, mut quick) = (stage.join(1).unwrap(), stage.join(1).unwrap());
    for position in (2..20).step_by(2) {
        stage.happen(position);
        assert_eq!(next(&mut quick).await, format!(r#"{{"data":{position}}}"#));
    }
    for position in [2, 4, 6] {
        assert_eq!(next(&mut slow).await, format!(r#"{{"data":{position}}}"#));
    }
    assert_eq!(code(&slow.next().await.unwrap()), "SUBSCRIBER_TOO_SLOW");
    assert!(slow.next().await.is_none());
    drop(slow);
    stage.happen(20);
    assert_eq!(next(&mut quick).await, r#"{"data":20}"#);
}

#[tokio::test]
async fn when_events_are_lost_all_end_with_a_code_and_may_begin_anew() {
    let stage = Stage::new(10, 3);
    let (mut one, mut two) = (stage.join(1).unwrap(), stage.join(1).unwrap());
    stage.events.lose(["users"]);
    for subscribed in [&mut one, &mut two] {
        assert_eq!(code(&subscribed.next().await.unwrap()), "UNAVAILABLE");
        assert!(subscribed.next().await.is_none());
    }
    let mut again = stage.join(1).unwrap();
    stage.happen(2);
    assert_eq!(next(&mut again).await, r#"{"data":2}"#);
    stage.events.tell(HashSet::new());
    assert_eq!(code(&again.next().await.unwrap()), "UNAVAILABLE");
    let refused = stage.join(1).err().unwrap();
    assert_eq!(error::code(&refused), "UNAVAILABLE");
}

#[tokio::test]
async fn a_group_ends_with_its_last_subscriber() {
    let stage = Stage::new(2, 3);
    let (one, mut two) = (stage.join(1).unwrap(), stage.join(1).unwrap());
    assert!(stage.join(1).is_err(), "there are two places");
    drop(one);
    stage.happen(2);
    assert_eq!(next(&mut two).await, r#"{"data":2}"#);
    drop(two);
    assert!(stage.groups.lock().is_empty());
    stage.happen(4);
    let mut again = stage.join(1).unwrap();
    assert!(again.next().now_or_never().is_none(), "what was before is not told");
    stage.happen(6);
    assert_eq!(next(&mut again).await, r#"{"data":6}"#);
    assert_eq!(stage.shown.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn after_the_last_event_it_ends_without_an_error() {
    let stage = Stage::new(9, 9);
    let mut subscribed = [stage.join(1).unwrap(), stage.join(1).unwrap()];
    stage.happen(2);
    stage.happen(END);
    // It comes too late.
    stage.happen(END + 2);
    for subscribed in &mut subscribed {
        assert!(next(subscribed).await.contains(":2"));
        assert!(next(subscribed).await.contains(&END.to_string()));
        assert!(subscribed.next().await.is_none());
    }
    // Who comes now begins anew, also where the last row is gone.
    let mut later = stage.join(1).unwrap();
    stage.happen(END + 1);
    assert!(later.next().await.is_none());
}
