//! Where fences are.

use std::collections::HashSet;

use super::super::{Dependency, Slot, Slots};
use crate::data::scalar::Scalar;

fn row(table: &'static str, key: &Scalar) -> Slot {
    Dependency::Row { table, key }.slot()
}

#[test]
fn the_same_dependency_has_the_same_slot() {
    let text = || Scalar::Text("A7".to_owned());
    let (here, there) = (text(), text());
    let by_sku = |value| Dependency::Column { table: "products", column: "sku", value }.slot();
    assert_eq!(by_sku(&here), by_sku(&there), "wherever its value is");
    assert_eq!(row("users", &Scalar::Int(42)), row("users", &Scalar::Int(42)));
    assert_eq!(
        std::thread::spawn(|| Dependency::Table("posts").slot()).join().unwrap(),
        Dependency::Table("posts").slot()
    );
}

#[test]
fn different_dependencies_have_different_slots() {
    let (one, two, text) = (&Scalar::Int(1), &Scalar::Int(2), &Scalar::Text("1".to_owned()));
    let column = |table, column, value| Dependency::Column { table, column, value };
    let all = [
        Dependency::Row { table: "users", key: one },
        Dependency::Row { table: "users", key: two },
        Dependency::Row { table: "users", key: text },
        Dependency::Row { table: "users", key: &Scalar::Time(1) },
        Dependency::Row { table: "users", key: &Scalar::Bool(true) },
        Dependency::Row { table: "users", key: &Scalar::Null },
        Dependency::Row { table: "posts", key: one },
        column("users", "id", one),
        column("posts", "author_id", one),
        column("posts", "author_id", two),
        column("posts", "author_id", text),
        column("posts", "id", one),
        column("postsauthor_", "id", one),
        Dependency::Table("users"),
        Dependency::Table("posts"),
        Dependency::Sources("users"),
        Dependency::Sources("posts"),
    ];
    let slots: HashSet<_> = all.into_iter().map(Dependency::slot).collect();
    assert_eq!(slots.len(), all.len());
}

#[test]
fn slots_are_shared_by_few() {
    // Of n among 2^20, about n² / 2^21 share one.
    let taken: HashSet<_> = (0..20_000).map(|key| row("users", &Scalar::Int(key))).collect();
    assert!(20_000 - taken.len() < 400, "{}", taken.len());
}

#[test]
fn slots_are_all_that_were_named() {
    let (users, posts) = (Dependency::Table("users"), Dependency::Table("posts"));
    let both = Slots::one(users).and(posts);
    assert_eq!(both.iter().collect::<Vec<_>>(), [users.slot(), posts.slot()]);
    assert_eq!([users.slot(), posts.slot()].into_iter().collect::<Slots>(), both);
    assert_eq!(Slots::one(users).iter().collect::<Vec<_>>(), [users.slot()]);
    assert_eq!(Slots::default().iter().next(), None);
    assert_eq!(Slots::default().and(posts).iter().collect::<Vec<_>>(), [posts.slot()]);
    assert_eq!(Slots::from_iter([]), Slots::default());
}
