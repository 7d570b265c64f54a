//! Posts.

use crate::step::Dialect;

pub fn up(dialect: &Dialect) -> String {
    let Dialect { id, timestamp, now, .. } = dialect;
    format!(
        "
        create table posts (
            id {id},
            author_id bigint not null constraint posts_author_id_fkey references users (id),
            title text not null constraint posts_title_not_empty check (title <> ''),
            body text not null,
            status text not null
                constraint posts_status_known check (status in ('draft', 'published', 'archived')),
            published_at {timestamp},
            created_at {timestamp} not null default {now},
            updated_at {timestamp} not null default {now},
            constraint posts_published_has_time check (status <> 'published' or published_at is not null)
        );

        -- The posts of a user, newest first.
        create index posts_author on posts (author_id, created_at desc, id desc);
        -- The feed: what was published last.
        create index posts_published on posts (published_at desc, id desc) where status = 'published';
        -- Posts in a status, newest first: the desk of a moderator.
        create index posts_status on posts (status, created_at desc, id desc);
        "
    )
}

pub fn down(_: &Dialect) -> String {
    "drop table posts".to_owned()
}
