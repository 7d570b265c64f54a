//! What takes a restart: memory, connections, readers of the log. Each is set too low, found, mended by what is said, and fine.

use serde_json::Value;

use super::{findings, mend, only, statements};
use crate::support::cluster::Cluster;
use crate::support::eventually;

/// Stops servers and starts them again with their new settings.
async fn restart(cluster: &Cluster, servers: &[&str]) {
    for server in servers {
        cluster.tell(&["kill", server]);
        cluster.tell(&["start", server]);
    }
    cluster.stack.wait_for_replicas().await;
}

/// The same with what a finding says, on replicas first.
async fn mend_and_restart(cluster: &Cluster, finding: &Value) {
    assert!(finding["mend"].as_str().unwrap().contains("on replicas first, then restart it"), "{finding}");
    for statement in statements(finding) {
        for place in 0..2 {
            let mut replica = cluster.replica(place).await;
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut replica).await.unwrap();
        }
    }
    restart(cluster, &["replica1", "replica2"]).await;
    mend(cluster, std::slice::from_ref(finding)).await;
    restart(cluster, &["primary"]).await;
}

#[tokio::test]
async fn too_few_connections_and_too_few_slots_are_found() {
    let cluster = Cluster::alone().await;
    cluster.database.execute("vacuum analyze").await;
    only(&cluster, &[]).await;
    // Replicas have a slot each.
    cluster.database.execute("alter system set max_replication_slots = 2").await;
    restart(&cluster, &["primary"]).await;
    let found = only(&cluster, &[("error", "readers of the log", "max_replication_slots")]).await;
    assert!(found[0]["evidence"].as_str().unwrap().contains("others have 2 of 2"), "{found:?}");
    mend_and_restart(&cluster, &found[0]).await;
    only(&cluster, &[]).await;

    cluster.database.execute("alter system set max_connections = 12").await;
    restart(&cluster, &["primary"]).await;
    let found = only(&cluster, &[("error", "max_connections", "primary")]).await;
    mend_and_restart(&cluster, &found[0]).await;
    only(&cluster, &[]).await;
}

#[tokio::test]
async fn too_little_memory_is_found() {
    let cluster = Cluster::alone().await;
    let database = &cluster.database;
    database
        .execute(
            "create table large (id bigint primary key, text text);
             insert into large select n, repeat(md5(n::text), 8) from generate_series(1, 60000) n",
        )
        .await;
    database.execute("vacuum analyze").await;
    only(&cluster, &[]).await;
    database.execute("alter system set shared_buffers = '4MB'").await;
    restart(&cluster, &["primary"]).await;
    let mut said = 0;
    eventually("enough memory for what is read", async || {
        // By its key, here and there, so that each row is on another page than the last.
        let reads = "set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off;
            select count(text) from generate_series(1, 60000) n join large on id = 1 + (n * 7919) % 60000";
        for _ in 0..2 {
            database.execute(reads).await;
        }
        let found: Vec<_> =
            findings(&cluster, &[]).1.into_iter().filter(|it| it["check"] == "shared_buffers").collect();
        if let Some(finding) = found.first() {
            said += 1;
            assert_eq!((&finding["subject"], &finding["severity"]), (&"primary".into(), &"warning".into()));
            assert!(finding["evidence"].as_str().unwrap().contains("% of"), "{finding}");
            mend(&cluster, &found).await;
            restart(&cluster, &["primary"]).await;
        }
        found.is_empty()
    })
    .await;
    assert!(said > 0, "nothing was found");
    let told = database.text("select current_setting('shared_buffers')").await;
    assert!(["16MB", "64MB", "256MB"].contains(&told.as_deref().unwrap()), "{told:?}");
}
