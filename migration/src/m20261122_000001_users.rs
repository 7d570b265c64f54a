//! Users.

use crate::step::{Database, Dialect};

pub fn up(dialect: &Dialect) -> String {
    let Dialect { id, timestamp, now, bytes, .. } = dialect;
    // Only A to Z fold, on both databases: what else does depends on the locale of a PostgreSQL, and can change with it.
    let lower_email = match dialect.database {
        Database::Postgres => r#"lower(email collate "C")"#,
        Database::Sqlite => "lower(email)",
    };
    format!(
        "
        create table users (
            id {id},
            email text not null constraint users_email_not_empty check (email <> ''),
            name text not null constraint users_name_not_empty check (name <> ''),
            role text not null
                constraint users_role_known check (role in ('customer', 'author', 'moderator', 'admin')),
            active boolean not null,
            created_at {timestamp} not null default {now},
            updated_at {timestamp} not null default {now}
        );

        -- The user with an e-mail, in whatever case it is typed.
        create unique index users_email on users ({lower_email});
        -- Users by name.
        create index users_name on users (name collate {bytes}, id);
        -- Users with a role.
        create index users_role on users (role, id);
        "
    )
}

pub fn down(_: &Dialect) -> String {
    "drop table users".to_owned()
}
