//! Queries that replicas give up for what they have to replay.

use super::{only, statements};
use crate::support::cluster::Cluster;
use crate::support::eventually;

#[tokio::test]
async fn queries_that_a_replica_gives_up_are_found() {
    let cluster = Cluster::alone().await;
    cluster.database.execute("vacuum analyze").await;
    only(&cluster, &[]).await;
    let place = 0;
    for statement in ["alter system set max_standby_streaming_delay = 0", "select pg_reload_conf()"] {
        cluster.on_replica(place, statement).await;
    }
    eventually("a query to be given up", async || {
        let mut replica = cluster.replica(place).await;
        let reads = tokio::spawn(async move {
            sqlx::query("select pg_sleep(0.2) from tags limit 20").execute(&mut replica).await.is_err()
        });
        while !reads.is_finished() {
            cluster.database.execute("begin; lock table tags in access exclusive mode; commit").await;
        }
        reads.await.unwrap()
    })
    .await;
    let warning = [("warning", "conflicts", "replica-1")];
    // First it is to ask for what its readers need, then to wait for them.
    for (setting, evidence) in [
        ("hot_standby_feedback = on", "hot_standby_feedback off, max_standby_streaming_delay 0 ms"),
        ("max_standby_streaming_delay = '60s'", "hot_standby_feedback on, max_standby_streaming_delay 0 ms"),
    ] {
        let found = only(&cluster, &warning).await;
        assert!(found[0]["mend"].as_str().unwrap().contains(setting), "{found:?}");
        assert!(found[0]["evidence"].as_str().unwrap().contains(evidence), "{found:?}");
        let mut replica = cluster.replica(place).await;
        for statement in statements(&found[0]) {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut replica).await.unwrap();
        }
        eventually("the setting", async || {
            let (name, value) = setting.split_once(" = ").unwrap();
            let sql = format!("select current_setting('{name}')");
            let now: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut replica).await.unwrap();
            now == value.trim_matches('\'').replace("60s", "1min")
        })
        .await;
    }
    only(&cluster, &[]).await;
}
