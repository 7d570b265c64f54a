//! Keys under which a mutation is done once, and what it answered.

use crate::step::Dialect;

pub fn up(dialect: &Dialect) -> String {
    let Dialect { timestamp, now, .. } = dialect;
    format!(
        "
        create table idempotency_keys (
            viewer text not null,
            mutation text not null,
            key text not null,
            -- Tells its input from others.
            fingerprint text not null,
            -- Null while the mutation is at work: nobody else ever sees that.
            answer text,
            created_at {timestamp} not null default {now},
            constraint idempotency_keys_pkey primary key (viewer, mutation, key)
        );
        "
    )
}

pub fn down(_: &Dialect) -> String {
    "drop table idempotency_keys".to_owned()
}
