//! Comments.

use crate::step::Dialect;

pub fn up(dialect: &Dialect) -> String {
    let Dialect { id, timestamp, now, .. } = dialect;
    // A post with comments cannot be deleted: whoever deletes it deletes them first, and so knows whose caches to
    // expire. A cascade would do it unseen.
    format!(
        "
        create table comments (
            id {id},
            post_id bigint not null constraint comments_post_id_fkey references posts (id),
            author_id bigint not null constraint comments_author_id_fkey references users (id),
            body text not null,
            created_at {timestamp} not null default {now}
        );

        -- The comments under a post, newest first.
        create index comments_post on comments (post_id, created_at desc, id desc);
        -- The comments of a user, newest first.
        create index comments_author on comments (author_id, created_at desc, id desc);
        -- All comments, newest first.
        create index comments_created on comments (created_at desc, id desc);
        "
    )
}

pub fn down(_: &Dialect) -> String {
    "drop table comments".to_owned()
}
