//! What is refused: nothing is imported then, and the same words say why on both databases.

use shoal::domain::import::{self, From};

use super::{Given, USERS};
use crate::support::Backend;

crate::on_both!(
    bad_values_are_named_by_file_line_and_column,
    broken_constraints_are_named_by_key_and_line,
    a_trigger_refuses_in_its_own_words,
    bad_headers_are_refused,
    what_is_no_csv_is_refused,
    a_directory_has_a_file_for_a_table_and_none_for_others,
);

const POSTS: &str = "id,author_id,title,body,status,published_at,created_at,updated_at\n\
    1,1,One,\"first\nsecond\",published,2026-01-02T00:00:00Z,2026-01-02T00:00:00Z,2026-01-02T00:00:00Z\n\
    2,2,Two,text,draft,,2026-01-02T00:00:00Z,2026-01-02T00:00:00Z\n";

/// A product with one column other than usual.
fn product(column: &str, value: &str) -> String {
    let usual = [
        ("id", "1"),
        ("sku", "a"),
        ("name", "Tea"),
        ("description", ""),
        ("price_cents", "100"),
        ("currency", "EUR"),
        ("stock", "1"),
        ("active", "true"),
        ("created_at", "2026-01-01T00:00:00Z"),
        ("updated_at", "2026-01-01T00:00:00Z"),
    ];
    let line = |value_of: &dyn Fn(&str, &str) -> String| usual.map(|(name, usual)| value_of(name, usual)).join(",");
    let header = line(&|name, _| name.to_owned());
    let first = line(&|_, usual| usual.to_owned());
    let second = line(&|name, usual| match name {
        _ if name == column => value.to_owned(),
        "id" => "2".to_owned(),
        "sku" => "b".to_owned(),
        "description" => "\"of two\nlines\"".to_owned(),
        _ => usual.to_owned(),
    });
    let third = line(&|name, usual| match name {
        "id" => "3".to_owned(),
        "sku" => "c".to_owned(),
        _ => usual.to_owned(),
    });
    format!("{header}\n{first}\n{second}\n{third}\n")
}

async fn bad_values_are_named_by_file_line_and_column(backend: Backend) {
    let given = Given::files(backend, &[]).await;
    let whole = "is not a whole number between -2147483648 and 2147483647";
    let instant = "is not an instant like 2026-01-31T23:59:59.123456Z or with an offset like +01:00";
    for (column, value, expected) in [
        ("id", "", "\"\" is not a whole number of 64 bits".to_owned()),
        ("id", "9223372036854775808", "\"9223372036854775808\" is not a whole number of 64 bits".to_owned()),
        ("stock", "1.5", format!("\"1.5\" {whole}")),
        ("stock", "2147483648", format!("\"2147483648\" {whole}")),
        ("active", "maybe", "\"maybe\" is not a boolean: true or false".to_owned()),
        ("created_at", "infinity", format!("\"infinity\" {instant}")),
        ("created_at", "2026-01-01", format!("\"2026-01-01\" {instant}")),
        ("updated_at", "2026-02-30T00:00:00Z", format!("\"2026-02-30T00:00:00Z\" {instant}")),
    ] {
        let files = [("users.csv", USERS.as_bytes()), ("products.csv", &*product(column, value).into_bytes())];
        let refusal = given.refusal(&files).await;
        assert_eq!(refusal, format!("products.csv, line 3, column {column}: {expected}"));
    }
}

async fn broken_constraints_are_named_by_key_and_line(backend: Backend) {
    let given = Given::files(backend, &[]).await;
    let users = USERS.as_bytes();
    let second = |content: &str, from: &str, to: &str| content.replacen(from, to, 1).into_bytes();
    let orphan = second(POSTS, "\n2,2", "\n2,999");
    let unknown = second(POSTS, "draft", "gone");
    let unpublished = second(POSTS, "draft", "published");
    let untitled = second(POSTS, "Two", "");
    let same_email = second(USERS, "ben@", "\"ANN@\"");
    let tags = b"id,name\n1,x\n2,y\n";
    let pairs = b"post_id,tag_id\n1,1\n1,2\n2,1\n\"1\",1\n";
    let posts = POSTS.as_bytes();
    let ten = product("price_cents", "-10").into_bytes();
    for (files, expected) in [
        (vec![("users.csv", users), ("posts.csv", &*orphan)], "posts.csv, line 4: author_id=999 is not in users"),
        (vec![("users.csv", users), ("posts.csv", &*unknown)], "posts.csv, line 4: status=gone breaks a check"),
        (
            vec![("users.csv", users), ("posts.csv", &*unpublished)],
            "posts.csv, line 4: status=published, published_at=null breaks a check",
        ),
        (vec![("users.csv", users), ("posts.csv", &*untitled)], "posts.csv, line 4: title=\"\" breaks a check"),
        (vec![("users.csv", &*same_email)], "users.csv, line 3: email=ANN@example.invalid already exists"),
        (vec![("products.csv", &*ten)], "products.csv, line 3: price_cents=-10 breaks a check"),
        (
            vec![("users.csv", users), ("posts.csv", posts), ("tags.csv", tags), ("post_tags.csv", pairs)],
            "post_tags.csv, line 5: post_id=1, tag_id=1 already exists",
        ),
        (
            vec![("posts.csv", &b"id,author_id,title,body,status\n5,7,x,y,draft\n"[..])],
            "posts.csv, line 2: author_id=7 is not in users",
        ),
    ] {
        let refusal = given.refusal(&files).await;
        assert!(refusal.starts_with(expected), "{refusal}");
        if backend == Backend::Postgres {
            assert!(refusal.contains(" (constraint "), "{refusal}");
        }
    }
}

#[tokio::test]
async fn a_constraint_may_be_deferred() {
    let given = Given::files(Backend::Postgres, &[]).await;
    given.execute("alter table posts alter constraint posts_author_id_fkey deferrable initially deferred").await;
    let orphan = POSTS.replacen("\n2,2", "\n2,999", 1);
    let refusal = given.refusal(&[("users.csv", USERS.as_bytes()), ("posts.csv", orphan.as_bytes())]).await;
    assert_eq!(refusal, "posts.csv, line 4: author_id=999 is not in users (constraint posts_author_id_fkey)");
}

async fn a_trigger_refuses_in_its_own_words(backend: Backend) {
    let given = Given::files(backend, &[]).await;
    given
        .execute(match backend {
            Backend::Sqlite => {
                "create trigger no_y before insert on tags when new.name = 'y'
                 begin select raise(abort, 'never y'); end"
            }
            Backend::Postgres => {
                "create function no_y() returns trigger language plpgsql as
                 $$ begin if new.name = 'y' then raise 'never y'; end if; return new; end $$;
                 create trigger no_y before insert on tags for each row execute function no_y()"
            }
        })
        .await;
    assert_eq!(given.refusal(&[("tags.csv", b"id,name\n1,x\n2,y\n")]).await, "tags.csv, line 3: never y");
}

async fn bad_headers_are_refused(backend: Backend) {
    let given = Given::files(backend, &[]).await;
    let known = "it has id, email, name, role, active, created_at, updated_at";
    for (users, expected) in [
        ("", "the file is empty: its first line must name the columns".to_owned()),
        ("\n", format!("users has no column \"\"; {known}")),
        ("id;email\n1;x\n", format!("users has no column \"id;email\"; {known}")),
        ("id,email,Name,role,active\n", format!("users has no column \"Name\"; {known}")),
        ("id,email,email,role,active\n", "the column email is named twice".to_owned()),
        ("id,email,role\n", "users cannot do without the columns name, active".to_owned()),
    ] {
        assert_eq!(given.refusal(&[("users.csv", users.as_bytes())]).await, format!("users.csv, line 1: {expected}"));
    }
    // All headers are checked before anything is loaded.
    let broken = [("users.csv", &b"id,email,name,role,active\nx\n"[..]), ("tags.csv", b"id\n")];
    assert_eq!(given.refusal(&broken).await, "tags.csv, line 1: tags cannot do without the column name");
}

async fn what_is_no_csv_is_refused(backend: Backend) {
    let given = Given::files(backend, &[]).await;
    for (tags, expected) in [
        (&b"id,name\n1,x\n2,\xe4\n"[..], "line 3: the text is not UTF-8"),
        (b"id,name\n1,x\n2,a\0b\n", "line 3: there is a NUL byte, which no text can hold"),
        (b"id,name\n1,\"x\ny\"\n2\n", "line 4: 1 field where the header names 2"),
        (b"id,name\n1,x,y\n", "line 2: 3 fields where the header names 2"),
        (b"id,name\n1,x\n\n", "line 3: 1 field where the header names 2"),
        (b"id,name\n1,\"x\n2,y\n3,z\n", "line 2: a quote is opened and never closed"),
        (b"id,name\n1,x\r\n", "line 2: the line does not end like the first one, in LF"),
        (
            b"id,name\n1,x\n\\.\n2,y\n",
            "line 3: a line of \\. alone stands for the end of the data; as a value write \"\\.\" in quotes",
        ),
    ] {
        assert_eq!(given.refusal(&[("tags.csv", tags)]).await, format!("tags.csv, {expected}"));
    }
}

async fn a_directory_has_a_file_for_a_table_and_none_for_others(backend: Backend) {
    let given =
        Given::files(backend, &[("users.csv", USERS.as_bytes()), ("Posts.CSV", b""), ("buyers.csv", b"")]).await;
    let here = given.path().display();
    let called = "files are called users.csv, posts.csv, comments.csv, ";
    let refusal = given.import().await.unwrap_err();
    assert!(refusal.starts_with(&format!("{here}: Posts.CSV, buyers.csv belong to no table; {called}")), "{refusal}");
    assert_eq!(given.count("users").await, 0);

    let given = Given::files(backend, &[("README", b"")]).await;
    let refusal = given.import().await.unwrap_err();
    assert!(refusal.contains(": no file of a table here; they are called users.csv, "), "{refusal}");

    let nowhere = given.path().join("nowhere");
    let refusal = import::run(&given.databases, From::Directory(nowhere), &()).await.unwrap_err().to_string();
    assert!(refusal.contains("nowhere: cannot be read: No such file or directory"), "{refusal}");

    given.execute("drop table order_items").await;
    given.write("order_items.csv", b"id\n");
    assert_eq!(given.import().await.unwrap_err(), "the database has no table order_items: is it migrated?");
}
