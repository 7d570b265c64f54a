//! Who hears of what.

use std::sync::LazyLock;

use futures_util::FutureExt;
use proptest::prelude::*;
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};

use super::*;
use crate::data::change::Image;
use crate::data::record::Record;
use crate::data::scalar::Key;

mod letter {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "letters")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub box_id: i64,
        pub state: State,
    }

    #[derive(Copy, Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Text", rename_all = "lowercase")]
    pub enum State {
        New,
        Read,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(FromQueryResult, Serialize, Deserialize)]
struct Letter {
    id: i64,
}

impl Record for Letter {
    type Entity = letter::Entity;
    type Key = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

static ARRIVED: LazyLock<Topic> =
    LazyLock::new(|| Topic::inserted::<Letter>("arrived").by::<Letter>(letter::Column::BoxId));
static TOUCHED: LazyLock<Topic> = LazyLock::new(|| Topic::updated::<Letter>("touched"));
static TURNED: LazyLock<Topic> = LazyLock::new(|| Topic::changed::<Letter>("turned", letter::Column::State));
static READ: LazyLock<Topic> =
    LazyLock::new(|| Topic::became::<Letter>("read", letter::Column::State, letter::State::Read));

fn topics() -> [&'static Topic; 4] {
    [&ARRIVED, &TOUCHED, &TURNED, &READ]
}

/// A letter in a box, read or not.
type Written = (i64, bool);

fn image(id: i64, (in_box, is_read): Written) -> Image {
    let state = if is_read { "read" } else { "new" };
    let columns = [("id", Scalar::Int(id)), ("box_id", Scalar::Int(in_box)), ("state", Scalar::Text(state.to_owned()))];
    columns.into_iter().collect()
}

fn change(id: i64, old: Option<Written>, new: Option<Written>) -> Change {
    let image = |row: Option<Written>| row.map(|row| image(id, row));
    Change { table: "letters", key: vec![Scalar::Int(id)], old: image(old), new: image(new) }
}

fn told() -> Events {
    let events = Events::default();
    events.tell(HashSet::from(["letters"]));
    events
}

/// Commits these changes together, at a position.
fn commit(events: &Events, changes: &[Change], position: u64) {
    let mut batch = Batch::default();
    batch.begin();
    changes.iter().for_each(|change| batch.note(events, change));
    batch.commit(Position(position));
    events.publish(&mut batch);
}

/// All that a listener can hear now: rows and positions, and the end.
fn heard(listener: &mut Listener) -> (Vec<(i64, u64)>, Option<Lost>) {
    let mut all = Vec::new();
    loop {
        match listener.next().now_or_never() {
            None => return (all, None),
            Some(Err(lost)) => return (all, Some(lost)),
            Some(Ok(Event { key: Scalar::Int(key), position })) => all.push((key, position.0)),
            Some(Ok(other)) => panic!("{other:?}"),
        }
    }
}

#[test]
fn each_topic_has_its_changes() {
    let (new, read, moved) = (Some((7, false)), Some((7, true)), Some((8, false)));
    let concerns = |old, new| topics().map(|topic| topic.concerns(&change(1, old, new)));
    let (in_7, row, all) = (Some(Scalar::Int(7)), Some(Scalar::Int(1)), Some(Scalar::Null));
    assert_eq!(concerns(None, new), [in_7.clone(), None, None, None]);
    assert_eq!(concerns(None, read), [in_7, None, None, all.clone()]);
    assert_eq!(concerns(new, new), [None, row.clone(), None, None]);
    assert_eq!(concerns(new, moved), [None, row.clone(), None, None]);
    assert_eq!(concerns(new, read), [None, row.clone(), row.clone(), all]);
    assert_eq!(concerns(read, new), [None, row.clone(), row, None]);
    assert_eq!(concerns(read, None), [const { None }; 4]);
    let other = Change { table: "others", ..change(1, None, new) };
    assert!(topics().iter().all(|topic| topic.concerns(&other).is_none()));
}

#[test]
fn what_is_not_told_cannot_be_heard() {
    let events = Events::default();
    assert!(matches!(events.listen(&ARRIVED, Scalar::Int(7)), Err(Lost::NotTold)));
    let events = told();
    let mut one = events.listen(&ARRIVED, Scalar::Int(7)).unwrap();
    events.lose(["others"]);
    commit(&events, &[change(1, None, Some((7, false)))], 5);
    assert_eq!(heard(&mut one), (vec![(1, 5)], None));
    events.lose(["letters"]);
    assert_eq!(heard(&mut one), (vec![], Some(Lost::NotTold)));
    // Who begins anew is told again.
    let mut again = events.listen(&ARRIVED, Scalar::Int(7)).unwrap();
    commit(&events, &[change(2, None, Some((7, false)))], 6);
    assert_eq!((heard(&mut again), heard(&mut one)), ((vec![(2, 6)], None), (vec![], Some(Lost::NotTold))));
    events.tell(HashSet::new());
    assert_eq!(heard(&mut again), (vec![], Some(Lost::NotTold)));
    assert!(events.listen(&ARRIVED, Scalar::Int(7)).is_err());
}

#[test]
fn what_was_not_committed_nobody_hears_of() {
    let events = told();
    let mut one = events.listen(&ARRIVED, Scalar::Int(7)).unwrap();
    let mut batch = Batch::default();
    batch.begin();
    batch.note(&events, &change(1, None, Some((7, false))));
    batch.begin();
    batch.note(&events, &change(2, None, Some((7, false))));
    events.publish(&mut batch);
    assert_eq!(heard(&mut one), (vec![], None));
    batch.commit(Position(9));
    events.publish(&mut batch);
    assert_eq!(heard(&mut one), (vec![(2, 9)], None));
}

#[test]
fn a_listener_that_is_too_far_behind_ends_and_others_go_on() {
    let events = told();
    let (mut slow, mut quick) =
        (events.listen(&TOUCHED, Scalar::Int(1)).unwrap(), events.listen(&TOUCHED, Scalar::Int(1)).unwrap());
    let row = Some((7, false));
    for position in 1..=QUEUE as u64 + 1 {
        commit(&events, &[change(1, row, row)], position);
        assert_eq!(heard(&mut quick), (vec![(1, position)], None));
    }
    let (all, end) = heard(&mut slow);
    assert_eq!((all.len(), end), (QUEUE, Some(Lost::Behind)));
}

#[test]
fn a_transaction_that_is_too_large_ends_those_who_listen_to_its_table() {
    let events = told();
    let mut all = events.listen(&READ, Scalar::Null).unwrap();
    let mut elsewhere = events.listen(&TOUCHED, Scalar::Int(-1)).unwrap();
    let mut batch = Batch::default();
    for id in 0..=100_000 {
        batch.note(&events, &change(id, Some((7, false)), Some((7, true))));
    }
    batch.commit(Position(1));
    events.publish(&mut batch);
    // Its queue has no room for that many either.
    assert_eq!(heard(&mut all).1, Some(Lost::Behind));
    assert_eq!(heard(&mut elsewhere), (vec![], Some(Lost::TooMany)));
    assert!(batch.is_empty());
}

#[test]
fn nothing_is_left_of_those_who_have_gone() {
    let events = told();
    let listeners: Vec<_> = topics().iter().map(|topic| events.listen(topic, Scalar::Int(1)).unwrap()).collect();
    let again = events.listen(&TURNED, Scalar::Int(1)).unwrap();
    drop(listeners);
    assert_eq!(events.lock().topics["letters"].len(), 1);
    drop(again);
    assert!(events.lock().topics["letters"].is_empty());
    assert_eq!(events.shared.listening.load(Ordering::Relaxed), 0);
    let mut batch = Batch::default();
    batch.note(&events, &change(1, None, Some((7, true))));
    batch.commit(Position(1));
    assert!(batch.is_empty(), "nobody listens");
}

#[derive(Clone, Debug)]
enum Step {
    Listen(usize, i64),
    Leave(usize),
    Commit(Vec<(i64, Option<Written>, Option<Written>)>),
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = || proptest::option::of((0..2_i64, any::<bool>()));
    let step = prop_oneof![
        3 => (0..4_usize, 0..2_i64).prop_map(|(topic, key)| Step::Listen(topic, key)),
        1 => (0..8_usize).prop_map(Step::Leave),
        6 => proptest::collection::vec((0..2_i64, row(), row()), 1..4).prop_map(Step::Commit),
        1 => Just(Step::Lose),
    ];
    proptest::collection::vec(step, 0..40)
}

/// A listener, and what it has to hear.
struct Expecting {
    listener: Listener,
    topic: &'static Topic,
    key: Scalar,
    expected: Vec<(i64, u64)>,
    has_ended: bool,
}

proptest! {
    /// Each hears exactly what concerns them of what was committed while they listened, in its order, or is told that
    /// they do not.
    #[test]
    fn listeners_hear_everything_or_end(steps in steps()) {
        let events = told();
        let mut listeners: Vec<Expecting> = Vec::new();
        for (position, step) in (1..).zip(steps) {
            match step {
                Step::Listen(topic, key) => {
                    let topic = topics()[topic];
                    let key = if topic.name == "read" { Scalar::Null } else { Scalar::Int(key) };
                    let listener = events.listen(topic, key.clone()).unwrap();
                    listeners.push(Expecting { listener, topic, key, expected: Vec::new(), has_ended: false });
                }
                Step::Leave(place) if place < listeners.len() => drop(listeners.remove(place)),
                Step::Leave(_) => {}
                Step::Commit(rows) => {
                    let changes: Vec<_> = rows.into_iter().map(|(id, old, new)| change(id, old, new)).collect();
                    commit(&events, &changes, position);
                    for it in listeners.iter_mut().filter(|it| !it.has_ended) {
                        let mine = changes.iter().filter(|change| it.topic.concerns(change).as_ref() == Some(&it.key));
                        it.expected.extend(mine.map(|change| (i64::of(&change.key[0]).unwrap(), position)));
                    }
                }
                Step::Lose => {
                    events.lose(["letters"]);
                    listeners.iter_mut().for_each(|it| it.has_ended = true);
                }
            }
        }
        for Expecting { mut listener, expected, has_ended, .. } in listeners {
            let end = has_ended.then_some(Lost::NotTold);
            prop_assert_eq!(heard(&mut listener), (expected, end));
        }
        prop_assert_eq!(events.shared.listening.load(Ordering::Relaxed), 0);
    }
}
