//! What tokens are signed with, where no setting says it. The latest signs, all are accepted.

use crate::step::Dialect;

pub fn up(dialect: &Dialect) -> String {
    let Dialect { id, timestamp, now, .. } = dialect;
    format!(
        "
        create table signing_keys (
            id {id},
            secret text not null,
            created_at {timestamp} not null default {now}
        );
        "
    )
}

pub fn down(_: &Dialect) -> String {
    "drop table signing_keys".to_owned()
}
