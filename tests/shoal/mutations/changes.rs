//! What the hook hears of: all that was committed, and nothing else.

use std::sync::{Arc, Mutex};

use entity::user::Role;
use futures_util::poll;
use serde_json::json;
use shoal::data::Databases;
use shoal::data::change::Change;
use shoal::data::ledger::Ledger;
use shoal::data::position::Token;
use shoal::data::scalar::Scalar;
use shoal::data::write::{AfterCommit, Work, Writes};
use shoal::domain::post::{AddComment, CreatePost, DeletePost, PublishPost, SetPostTags};
use shoal::domain::text::Text;
use shoal::domain::user::{CreateUser, UpdateUser};

use crate::support::{Backend, Database, eventually};

crate::on_both!(every_change_is_told, a_caller_that_goes_away_keeps_nothing_from_being_told);

#[derive(Default)]
struct Ear(Mutex<Vec<Change>>);

impl AfterCommit for Ear {
    fn committed(&self, _: Token, changes: &[Change]) {
        assert!(!changes.is_empty());
        self.0.lock().unwrap().extend_from_slice(changes);
    }
}

impl Ear {
    /// What was heard since the last time, as `table key: old → new` of one column.
    fn heard(&self, column: &str) -> Vec<String> {
        let side = |image: Option<&Scalar>| match image {
            None => "-".to_owned(),
            Some(Scalar::Text(text)) => text.clone(),
            Some(Scalar::Int(number)) => number.to_string(),
            Some(other) => format!("{other:?}"),
        };
        let changes = std::mem::take(&mut *self.0.lock().unwrap());
        let shown = changes.iter().map(|change| {
            let key: Vec<_> = change.key.iter().map(|key| side(Some(key))).collect();
            let [old, new] =
                [&change.old, &change.new].map(|image| side(image.as_ref().and_then(|image| image.get(column))));
            format!("{} {}: {old} → {new}", change.table, key.join(","))
        });
        shown.collect()
    }
}

async fn writes(database: &Database) -> (Writes, Arc<Ear>) {
    let ear = Arc::new(Ear::default());
    let databases = Databases::open(&database.settings()).await.unwrap();
    (Writes::new(databases, ear.clone()), ear)
}

fn text<T: Text>(text: &str) -> T {
    T::read(text).unwrap()
}

fn ann() -> CreateUser {
    CreateUser { email: text("ann@example.com"), name: text("Ann"), role: Role::Author }
}

async fn every_change_is_told(backend: Backend) {
    let database = Database::empty(backend).await;
    let (writes, ear) = writes(&database).await;
    let ledger = Arc::default();
    assert!(run(&writes, ann(), &ledger).await);
    assert_eq!(ear.heard("name"), ["users 1: - → Ann", "jobs 1: - → -"]);
    assert!(!run(&writes, ann(), &ledger).await, "the address is taken");
    assert_eq!(ear.heard("name"), [""; 0]);
    let update = |name| UpdateUser { id: 1, based_on: None, email: None, name, role: None, active: None };
    assert!(run(&writes, update(Some(text("Anna"))), &ledger).await);
    assert_eq!(ear.heard("name"), ["users 1: Ann → Anna"]);
    assert!(run(&writes, update(None), &ledger).await);
    assert_eq!(ear.heard("name"), [""; 0], "nothing was changed");

    assert!(run(&writes, CreatePost { author: 1, title: text("Tulips"), body: text("Red.") }, &ledger).await);
    assert_eq!(ear.heard("body"), ["posts 1: - → -"], "bulky columns are not told");
    assert!(run(&writes, PublishPost { id: 1, based_on: None }, &ledger).await);
    assert_eq!(ear.heard("status"), ["posts 1: draft → published"]);
    let tags =
        |names: &[&str]| SetPostTags { id: 1, based_on: None, tags: names.iter().map(|name| text(name)).collect() };
    assert!(run(&writes, tags(&["red", "flowers"]), &ledger).await);
    let expected = ["tags 1: - → -", "tags 2: - → -", "post_tags 1,1: - → 1", "post_tags 1,2: - → 2", "posts 1: - → -"];
    assert_eq!(sorted(ear.heard("tag_id")), sorted(expected.map(str::to_owned).to_vec()));
    assert!(run(&writes, tags(&["flowers"]), &ledger).await);
    // Which of the two is tag 1 is not said.
    assert_eq!(ear.heard("id").len(), 2);
    assert!(run(&writes, AddComment { post: 1, author: 1, body: text("Lovely!") }, &ledger).await);
    assert_eq!(ear.heard("post_id"), ["comments 1: - → 1"]);
    assert!(run(&writes, DeletePost { id: 1, based_on: None }, &ledger).await);
    let heard = ear.heard("title");
    assert_eq!(
        (heard.len(), &heard[0][..], &heard[2][..]),
        (3, "comments 1: - → -", "posts 1: Tulips → -"),
        "{heard:?}"
    );
    assert!(heard[1].starts_with("post_tags 1,"), "{heard:?}");
    assert!(ledger.batches().iter().all(|batch| batch.kind == "write" && batch.statements >= 1));
}

async fn a_caller_that_goes_away_keeps_nothing_from_being_told(backend: Backend) {
    let database = Database::empty(backend).await;
    let (writes, ear) = writes(&database).await;
    let ledger = Arc::default();
    let mut caller = Box::pin(writes.run(ann(), None, &ledger));
    assert!(poll!(&mut caller).is_pending());
    drop(caller);
    eventually("the change to be told", async || !ear.0.lock().unwrap().is_empty()).await;
    assert_eq!(ear.heard("email"), ["users 1: - → ann@example.com", "jobs 1: - → -"]);
    assert_eq!(json!(ledger.batches().len()), 1);
}

/// Whether a work was done.
async fn run<W: Work>(writes: &Writes, work: W, ledger: &Arc<Ledger>) -> bool {
    writes.run(work, None, ledger).await.is_ok()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}
