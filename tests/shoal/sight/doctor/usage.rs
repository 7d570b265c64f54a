//! What only use shows: tables that are read whole, indexes that cost more than they give; and what has been open for too long.

use super::{findings, mend, only, seen};
use crate::support::cluster::Cluster;

#[tokio::test]
async fn what_only_use_shows_is_found() {
    let cluster = Cluster::alone().await;
    let database = &cluster.database;
    database.execute("vacuum analyze").await;

    // Read whole, again and again, for lack of an index.
    database
        .execute(
            "create table notes (id bigint primary key, text text);
             insert into notes select n, md5(n::text) from generate_series(1, 12000) n; analyze notes",
        )
        .await;
    only(&cluster, &[]).await;
    let reads = "do $$ begin for n in 1..110 loop perform from notes where text = md5(n::text); end loop; end $$";
    database.execute(reads).await;
    let found = only(&cluster, &[("warning", "scans", "notes")]).await;
    let evidence = found[0]["evidence"].as_str().unwrap();
    assert!(evidence.starts_with("it was scanned 11") && evidence.ends_with("of 12000 that it has"), "{evidence}");
    database.execute("create index notes_text on notes (text, id)").await;
    mend(&cluster, &found).await;
    only(&cluster, &[]).await;
    database.execute(reads).await;
    only(&cluster, &[]).await;
    database.execute("drop table notes").await;

    // An index that was not built to its end.
    database
        .execute("create table twice (id bigint primary key, text text); insert into twice values (1, 'a'), (2, 'a')")
        .await;
    let mut primary = cluster.stack.primary.connect(database.name()).await;
    let built =
        sqlx::raw_sql("create unique index concurrently twice_text on twice (text)").execute(&mut primary).await;
    assert!(built.unwrap_err().to_string().contains("could not create unique index"));
    let found = only(&cluster, &[("error", "invalid index", "twice_text")]).await;
    assert_eq!(found[0]["mend"], "reindex index concurrently twice_text;");
    // What was in its way is not for a doctor to decide.
    database.execute("delete from twice where id = 2").await;
    mend(&cluster, &found).await;
    only(&cluster, &[]).await;
    database.execute("drop table twice").await;

    // One that each update pays for, and no read needs.
    database
        .execute(
            "create table counters (id bigint primary key, count bigint not null);
             insert into counters select n, 0 from generate_series(1, 3000) n;
             create index counters_count on counters (count, id); analyze counters",
        )
        .await;
    for _ in 0..4 {
        database.execute("update counters set count = count + 1").await;
    }
    let found = only(&cluster, &[("warning", "index on what is often updated", "counters_count")]).await;
    assert!(
        found[0]["evidence"].as_str().unwrap().contains("updates of counters had to change its indexes"),
        "{found:?}"
    );
    mend(&cluster, &found).await;
    only(&cluster, &[]).await;
    database.execute("drop table counters").await;

    // One of a table that is read as fast without it.
    database
        .execute(
            "create table small (id bigint primary key, text text); create index small_text on small (text, id);
             insert into small select n, n::text from generate_series(1, 10) n; analyze small;
             do $$ begin for n in 1..1100 loop perform from small where text = 'a'; end loop; end $$",
        )
        .await;
    let found = only(&cluster, &[("note", "index on a small table", "small_text")]).await;
    mend(&cluster, &found).await;
    only(&cluster, &[]).await;
}

/// Nobody waits for five minutes, or sets the clock of the machine: a schema before that of PostgreSQL tells of other times.
#[tokio::test]
async fn what_has_been_open_for_long_and_clocks_that_are_wrong_are_found() {
    let cluster = Cluster::alone().await;
    let database = &cluster.database;
    database.execute("vacuum analyze").await;
    only(&cluster, &[]).await;
    let first = "create schema before; alter database shoal set search_path = public, before, pg_catalog";
    database.execute(first).await;

    let activity = "create view before.pg_stat_activity as
        select pid, state, backend_type, xact_start - interval '6 minutes' as xact_start from pg_catalog.pg_stat_activity";
    database.execute(activity).await;
    let mut idle = cluster.stack.primary.connect(database.name()).await;
    sqlx::raw_sql("begin; update tags set name = name where id = 1").execute(&mut idle).await.unwrap();
    let process: i32 = sqlx::query_scalar("select pg_catalog.pg_backend_pid()").fetch_one(&mut idle).await.unwrap();
    let found = only(&cluster, &[("warning", "open transaction", &format!("process {process}"))]).await;
    let evidence = found[0]["evidence"].as_str().unwrap();
    assert!(evidence.contains("began 36") && evidence.contains("is idle in transaction"), "{evidence}");
    mend(&cluster, &found).await;
    only(&cluster, &[]).await;
    assert!(sqlx::query("select 1").execute(&mut idle).await.is_err(), "it was ended");
    database.execute("drop view before.pg_stat_activity").await;

    for (shift, severity, how) in
        [("+ interval '5 s'", "warning", "ahead of"), ("- interval '2 minutes'", "error", "behind")]
    {
        let clock = format!(
            "create function before.clock_timestamp() returns timestamptz language sql as 'select pg_catalog.clock_timestamp() {}'",
            shift.replace('\'', "''")
        );
        database.execute(&clock).await;
        cluster.stack.wait_for_replicas().await;
        let found = only(&cluster, &["primary", "replica-1", "replica-2"].map(|node| (severity, "clock", node))).await;
        for finding in &found {
            assert!(finding["evidence"].as_str().unwrap().contains(how), "{finding}");
            assert!(finding["mend"].as_str().unwrap().contains("timedatectl set-ntp true"), "{finding}");
        }
        // What that command would do.
        database.execute("drop function before.clock_timestamp()").await;
        cluster.stack.wait_for_replicas().await;
        only(&cluster, &[]).await;
    }
    let (_, found) = findings(&cluster, &[]);
    assert_eq!(found.iter().map(seen).count(), 0);
}
