//! What is to be done outside of requests, and how far that has come.

use crate::step::Dialect;

pub fn up(dialect: &Dialect) -> String {
    let Dialect { id, timestamp, now, .. } = dialect;
    format!(
        "
        create table jobs (
            id {id},
            kind text not null,
            -- What is to be done, as JSON.
            task text not null,
            -- Of those with the same, one at a time waits or runs.
            unique_key text,
            -- Which time of a schedule it is: each is met once.
            slot text,
            -- The lower, the sooner.
            priority integer not null default 0,
            state text not null default 'queued' constraint jobs_state_known
                check (state in ('queued', 'running', 'done', 'dead', 'cancelled')),
            -- Not to be run before.
            due_at {timestamp} not null default {now},
            attempt integer not null default 0,
            max_attempts integer not null constraint jobs_max_attempts_positive check (max_attempts > 0),
            -- Whoever runs it has to say until then that it still does.
            leased_until {timestamp},
            worker text,
            cancel_requested boolean not null default false,
            progress bigint not null default 0,
            progress_total bigint,
            -- What came of it, as JSON.
            report text,
            -- Why the last attempt failed.
            error text,
            created_at {timestamp} not null default {now},
            finished_at {timestamp},
            constraint jobs_running_is_leased check ((state = 'running') = (leased_until is not null)),
            constraint jobs_finished_at_its_end
                check ((state in ('done', 'dead', 'cancelled')) = (finished_at is not null))
        );

        -- What is to be run next, of each kind.
        create index jobs_due on jobs (kind, priority, due_at, id) where state = 'queued';
        -- Whose workers may be gone.
        create index jobs_leased on jobs (leased_until) where state = 'running';
        create unique index jobs_unique on jobs (unique_key) where state in ('queued', 'running');
        create unique index jobs_slot on jobs (slot);
        -- Those in a state, newest first.
        create index jobs_state on jobs (state, id desc);
        -- Those of a kind, newest first.
        create index jobs_kind on jobs (kind, id desc);
        -- What may be removed, and keys that were used long ago.
        create index jobs_finished on jobs (finished_at) where finished_at is not null;
        create index idempotency_keys_created on idempotency_keys (created_at);
        "
    )
}

pub fn down(_: &Dialect) -> String {
    "drop index idempotency_keys_created; drop table jobs".to_owned()
}
