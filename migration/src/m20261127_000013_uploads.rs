//! Files that were sent, until something is made of them.

use crate::step::Dialect;

pub fn up(dialect: &Dialect) -> String {
    let Dialect { id, timestamp, now, binary, .. } = dialect;
    format!(
        "
        create table uploads (
            id {id},
            -- Whose it is, as idempotency keys have it.
            owner text not null,
            content_type text not null,
            size bigint not null,
            -- Of the content, in hexadecimal.
            sha256 text not null,
            -- Of the file, without its header.
            rows bigint not null,
            content {binary} not null,
            created_at {timestamp} not null default {now},
            constraint uploads_size_is_the_contents check (size = length(content))
        );

        -- What may be removed.
        create index uploads_created on uploads (created_at);
        "
    )
}

pub fn down(_: &Dialect) -> String {
    "drop table uploads".to_owned()
}
