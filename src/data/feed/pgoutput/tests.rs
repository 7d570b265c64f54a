//! Messages as PostgreSQL sends them, and bytes that it never would.

use proptest::prelude::*;

use super::*;
use crate::data::table::TableOf;

mod thing {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "things")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub owner_id: i32,
        pub name: String,
        pub seen_at: DateTimeUtc,
        pub body: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn tables() -> Tables {
    let mut tables = Tables::default();
    let things = tables.entry(TableOf::entity::<thing::Entity>());
    things.find_by(("owner_id", Kind::Int));
    things.list([("name", Kind::Text), ("seen_at", Kind::Time)]);
    tables
}

/// Bytes, written as the protocol has them.
#[derive(Default)]
struct Written(Vec<u8>);

impl Written {
    fn of(kind: u8) -> Self {
        Self(vec![kind])
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).bytes(&[0])
    }

    fn value(self, value: &[u8]) -> Self {
        self.bytes(b"b").bytes(&(value.len() as u32).to_be_bytes()).bytes(value)
    }
}

const NUMBER: [u8; 4] = 9_u32.to_be_bytes();

fn relation(name: &str) -> Vec<u8> {
    let mut written =
        Written::of(b'R').bytes(&NUMBER).text("public").text(name).bytes(b"f").bytes(&5_u16.to_be_bytes());
    for column in ["id", "owner_id", "name", "seen_at", "body"] {
        written = written.bytes(&[1]).text(column).bytes(&[0; 8]);
    }
    written.0
}

fn tuple(written: Written, kind: u8, id: i64, owner: i32, name: &str) -> Written {
    written
        .bytes(&[kind])
        .bytes(&5_u16.to_be_bytes())
        .value(&id.to_be_bytes())
        .value(&owner.to_be_bytes())
        .value(name.as_bytes())
        .value(&1_i64.to_be_bytes())
        .bytes(b"u")
}

fn image(id: i64, owner: i64, name: &str) -> Image {
    let columns = [
        ("id", Scalar::Int(id)),
        ("name", Scalar::Text(name.to_owned())),
        ("owner_id", Scalar::Int(owner)),
        ("seen_at", Scalar::Time(EPOCH + 1)),
    ];
    columns.into_iter().collect()
}

/// Of two images, whatever the order of their columns.
fn same(one: Option<&Image>, other: Option<&Image>) -> bool {
    let columns = ["id", "name", "owner_id", "seen_at", "body"];
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => columns.iter().all(|column| one.get(column) == other.get(column)),
        _ => false,
    }
}

#[test]
fn changes_are_read_as_they_are_sent() {
    let tables = tables();
    let mut reader = Reader::new(&tables);
    let start = |kind| Written::of(kind).bytes(&NUMBER);
    let insert = tuple(start(b'I'), b'N', 1, 7, "a").0;
    assert_eq!(reader.read(&insert), Err(Unreadable), "nobody has said what 9 is");
    assert_eq!(reader.read(&relation("things")), Ok(Message::Other));
    let update = tuple(tuple(start(b'U'), b'O', 1, 7, "a"), b'N', 1, 8, "b").0;
    let delete = tuple(start(b'D'), b'O', 1, 8, "b").0;
    let (first, second) = (image(1, 7, "a"), image(1, 8, "b"));
    for (message, old, new) in
        [(insert, None, Some(&first)), (update, Some(&first), Some(&second)), (delete, Some(&second), None)]
    {
        let Ok(Message::Changed(change)) = reader.read(&message) else { panic!("not a change") };
        assert_eq!((change.table, &change.key[..]), ("things", &[Scalar::Int(1)][..]));
        assert!(same(change.old.as_ref(), old) && same(change.new.as_ref(), new), "{change:?}");
    }
    let truncate =
        |number: u32| Written::of(b'T').bytes(&1_u32.to_be_bytes()).bytes(&[0]).bytes(&number.to_be_bytes()).0;
    assert_eq!(reader.read(&truncate(9)), Ok(Message::Truncated));
    // What is not known may matter.
    assert_eq!(reader.read(&truncate(10)), Ok(Message::Truncated));
    assert_eq!(reader.read(&relation("strangers")), Ok(Message::Other));
    assert_eq!(reader.read(&truncate(9)), Ok(Message::Other));
    assert_eq!(reader.read(&tuple(start(b'I'), b'N', 1, 7, "a").0), Ok(Message::Other));
}

/// A key by itself says nothing of the other columns; what is stored elsewhere, and not changed, is not sent again.
#[test]
fn what_is_not_sent_is_not_known() {
    let tables = tables();
    let mut reader = Reader::new(&tables);
    reader.read(&relation("things")).unwrap();
    let key = Written::of(b'D').bytes(&NUMBER).bytes(b"K").bytes(&5_u16.to_be_bytes());
    let key = key.value(&1_i64.to_be_bytes()).bytes(b"nnnn").0;
    let Ok(Message::Changed(change)) = reader.read(&key) else { panic!("not a change") };
    assert_eq!(change.old.as_ref().and_then(|old| old.get("name")), None);

    let update = tuple(Written::of(b'U').bytes(&NUMBER), b'O', 1, 7, "long").bytes(b"N").bytes(&5_u16.to_be_bytes());
    let update = update.value(&1_i64.to_be_bytes()).bytes(b"n").bytes(b"u").value(&1_i64.to_be_bytes()).bytes(b"u").0;
    let Ok(Message::Changed(change)) = reader.read(&update) else { panic!("not a change") };
    let new = change.new.unwrap();
    assert_eq!(new.get("name"), Some(&Scalar::Text("long".to_owned())), "as it was");
    assert_eq!(new.get("owner_id"), Some(&Scalar::Null));
}

/// A row is all that it is read with, or nothing.
#[test]
fn rows_are_whole() {
    let mut tables = tables();
    tables.entry(TableOf::entity::<thing::Entity>()).row = vec![("id", Kind::BigInt), ("body", Kind::Text)];
    let mut reader = Reader::new(&tables);
    reader.read(&relation("things")).unwrap();
    let end =
        |message: Written| message.bytes(b"N").bytes(&5_u16.to_be_bytes()).value(&1_i64.to_be_bytes()).bytes(b"nnnu").0;
    let before = Written::of(b'U').bytes(&NUMBER).bytes(b"O").bytes(&5_u16.to_be_bytes());
    let update = end(before.value(&1_i64.to_be_bytes()).bytes(b"nnn").value(b"long"));
    let row = reader.row(&update).unwrap().unwrap();
    let body = [("id", Scalar::Int(1)), ("body", Scalar::Text("long".to_owned()))].into_iter().collect();
    assert!(same(Some(&row), Some(&body)), "{row:?}");
    // Where what was not sent again is not known from before.
    assert_eq!(reader.row(&end(Written::of(b'U').bytes(&NUMBER))), Ok(None));
    let delete = Written::of(b'D').bytes(&NUMBER).bytes(b"K").bytes(&5_u16.to_be_bytes()).bytes(b"nnnnn").0;
    assert_eq!(reader.row(&delete), Ok(None));
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_or_refused(messages: Vec<Vec<u8>>, cut in 0_usize..80) {
        let tables = tables();
        let mut reader = Reader::new(&tables);
        reader.read(&relation("things")).unwrap();
        let whole = tuple(Written::of(b'I').bytes(&NUMBER), b'N', 1, 7, "a").0;
        if cut < whole.len() && cut > 5 {
            prop_assert!(reader.read(&whole[..cut]).is_err());
        }
        for message in &messages {
            let _ = (reader.row(message), reader.read(message));
        }
    }
}
