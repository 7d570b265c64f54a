//! What registers hold, from what the log tells.

use std::collections::BTreeSet;

use crate::proof::log::{Change, Commit, Row};
use crate::proof::world::{REWRITTEN, Register, Value, World};

fn row<const N: usize>(columns: [(&str, &str); N]) -> Row {
    columns.into_iter().map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect()
}

fn post(id: &str, author: &str, status: &str) -> Row {
    row([("id", id), ("author_id", author), ("title", "t"), ("status", status)])
}

fn commit(changes: Vec<Change>) -> Commit {
    Commit { position: 1, changes }
}

fn change(table: &str, old: Option<Row>, new: Option<Row>) -> Change {
    Change::Row { table: table.to_owned(), old, new }
}

#[test]
fn lists_follow_their_rows_and_links() {
    let mut world = World::default();
    world.apply(&commit(vec![
        change("posts", None, Some(post("1", "7", "published"))),
        change("posts", None, Some(post("2", "7", "draft"))),
        change("post_tags", None, Some(row([("post_id", "1"), ("tag_id", "5")]))),
        change("post_tags", None, Some(row([("post_id", "2"), ("tag_id", "5")]))),
    ]));
    let members = |world: &World, register| match world.registers().remove(&register) {
        Some(Value::Members(members)) => members.into_iter().collect(),
        None => Vec::new(),
        other => panic!("{other:?}"),
    };
    assert_eq!(members(&world, Register::UserPosts(7)), [1]);
    assert_eq!(members(&world, Register::TagPosts(5)), [1]);
    let moved = change("posts", Some(post("1", "7", "published")), Some(post("1", "8", "published")));
    let shown = change("posts", Some(post("2", "7", "draft")), Some(post("2", "7", "published")));
    world.apply(&commit(vec![moved, shown]));
    assert_eq!(members(&world, Register::UserPosts(7)), [2]);
    assert_eq!(members(&world, Register::UserPosts(8)), [1]);
    assert_eq!(members(&world, Register::TagPosts(5)), [1, 2]);
    world.apply(&commit(vec![Change::Truncated { table: "post_tags".to_owned() }]));
    assert!(members(&world, Register::TagPosts(5)).is_empty());
    assert_eq!(Register::TagPosts(5).nothing(), Value::Members(BTreeSet::new()));
}

#[test]
fn a_rewrite_is_what_the_log_says_of_it() {
    let mut world = World::default();
    let product = row([("id", "1"), ("sku", "A"), ("stock", "4")]);
    world.apply(&commit(vec![change("products", None, Some(product))]));
    world.apply(&commit(vec![Change::Said(REWRITTEN.to_owned())]));
    assert_eq!(world.registers()[&Register::Stock(1)], Value::Text(Some("5".to_owned())));
    assert_eq!(world.registers()[&Register::Sku("A".to_owned())], Value::Text(Some("1".to_owned())));
}
