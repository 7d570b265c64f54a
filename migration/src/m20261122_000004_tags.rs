//! Tags, and which post carries which.

use crate::step::Dialect;

pub fn up(dialect: &Dialect) -> String {
    let Dialect { id, bytes, .. } = dialect;
    format!(
        "
        create table tags (
            id {id},
            name text not null constraint tags_name_not_empty check (name <> '')
        );

        -- The tag of a name; tags by name.
        create unique index tags_name on tags (name collate {bytes});

        -- The primary key serves the tags of a post.
        create table post_tags (
            post_id bigint not null constraint post_tags_post_id_fkey references posts (id) on delete cascade,
            tag_id bigint not null constraint post_tags_tag_id_fkey references tags (id),
            constraint post_tags_pkey primary key (post_id, tag_id)
        );

        -- The posts with a tag.
        create index post_tags_tag on post_tags (tag_id, post_id);
        "
    )
}

pub fn down(_: &Dialect) -> String {
    "drop table post_tags; drop table tags".to_owned()
}
