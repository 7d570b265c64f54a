//! What a change touches, and what it does not.

use std::collections::BTreeSet;

use super::*;

mod post {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "posts")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub author_id: i64,
        pub slug: String,
        pub status: String,
        pub title: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Posts are found by author and slug, and listed by status.
fn posts() -> Tables {
    let mut tables = Tables::default();
    let posts = tables.entry(TableOf::entity::<post::Entity>());
    posts.find_by(("author_id", Kind::BigInt));
    posts.find_by(("slug", Kind::Text));
    posts.list([("status", Kind::Text)]);
    tables
}

fn image(id: i64, author: i64, status: &str, title: &str) -> Image {
    let text = |text: &str| Scalar::Text(text.to_owned());
    let columns = [
        ("id", Scalar::Int(id)),
        ("author_id", Scalar::Int(author)),
        ("slug", text("slug")),
        ("status", text(status)),
        ("title", text(title)),
    ];
    columns.into_iter().collect()
}

fn touched(old: Option<Image>, new: Option<Image>, derives: bool) -> BTreeSet<Slot> {
    let tables = posts();
    let key = new.as_ref().or(old.as_ref()).and_then(|image| image.get("id")).cloned().into_iter().collect();
    let mut touched = BTreeSet::new();
    let change = Change { table: "posts", key, old, new };
    tables.find("posts").unwrap().touched(&change, derives, &mut |slot| {
        touched.insert(slot);
    });
    touched
}

fn row(id: i64) -> Slot {
    Dependency::Row { table: "posts", key: &Scalar::Int(id) }.slot()
}

fn author(id: i64) -> Slot {
    Dependency::Column { table: "posts", column: "author_id", value: &Scalar::Int(id) }.slot()
}

fn slug() -> Slot {
    Dependency::Column { table: "posts", column: "slug", value: &Scalar::Text("slug".to_owned()) }.slot()
}

fn table() -> Slot {
    Dependency::Table("posts").slot()
}

#[test]
fn a_row_that_comes_or_goes_touches_all_lists_that_it_is_in() {
    let all = BTreeSet::from([row(1), author(7), slug(), table()]);
    assert_eq!(touched(None, Some(image(1, 7, "draft", "a")), false), all);
    assert_eq!(touched(Some(image(1, 7, "draft", "a")), None, false), all);
}

#[test]
fn a_column_that_no_list_looks_at_touches_only_its_row() {
    let change = touched(Some(image(1, 7, "draft", "a")), Some(image(1, 7, "draft", "b")), false);
    assert_eq!(change, BTreeSet::from([row(1)]));
}

#[test]
fn a_listed_column_touches_the_lists_of_before_and_of_now() {
    let moved = touched(Some(image(1, 7, "draft", "a")), Some(image(1, 8, "draft", "a")), false);
    assert_eq!(moved, BTreeSet::from([row(1), author(7), author(8), slug(), table()]));
    // The author's list may be filtered by it.
    let published = touched(Some(image(1, 7, "draft", "a")), Some(image(1, 7, "published", "a")), false);
    assert_eq!(published, BTreeSet::from([row(1), author(7), slug(), table()]));
}

#[test]
fn a_key_that_changes_touches_both_rows() {
    let renumbered = touched(Some(image(1, 7, "draft", "a")), Some(image(2, 7, "draft", "a")), false);
    assert!(renumbered.contains(&row(1)) && renumbered.contains(&row(2)));
}

/// An update that does not tell what was before may have moved the row from anywhere: it is not kept then.
#[test]
fn what_is_not_told_counts_as_changed() {
    let change = touched(None, Some(image(1, 7, "draft", "a")), false);
    assert!(change.contains(&table()));
    let some: Image = [("id", Scalar::Int(1)), ("title", Scalar::Text("a".to_owned()))].into_iter().collect();
    assert!(touched(Some(some), Some(image(1, 7, "draft", "a")), false).contains(&table()));
}

#[test]
fn what_the_database_derives_is_touched_where_nobody_tells() {
    let mut tables = posts();
    tables.entry(TableOf::entity::<post::Entity>()).is_source();
    let change = Change { table: "posts", key: vec![Scalar::Int(1)], old: None, new: None };
    for derives in [false, true] {
        let mut found = BTreeSet::new();
        tables.find("posts").unwrap().touched(&change, derives, &mut |slot| {
            found.insert(slot);
        });
        assert_eq!(found.contains(&Dependency::Sources("posts").slot()), derives);
    }
}
