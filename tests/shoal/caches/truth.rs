//! What is written is seen, on the instance that wrote it and on others, and nothing older after it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{BOUND, USER, rename, see, warm};
use crate::statements::Counted;
use crate::support::cluster::Cluster;
use crate::support::{Backend, Database, Stack, TestApp, eventually};

crate::on_both!(a_warm_answer_is_that_of_the_database, own_writes_pass_the_caches, whole_answers_are_kept);

async fn a_warm_answer_is_that_of_the_database(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.caches().await;
    let query = "{ posts(first: 5) { totalCount pageInfo { endCursor hasNextPage } edges { cursor
        node { title body commentCount author { name email } tags { nodes { name } }
            comments(first: 3) { totalCount nodes { body author { name } } } } } }
        productBySku(sku: \"nothing\") { id } tag(name: \"nothing\") { id } }";
    let cold = app.ask_as(None, &json!({ "query": query }), &[("cache-control", "no-cache")]).await;
    assert_eq!(warm(&app, query).await, cold.json["data"]);
    // The same, from what other questions have left.
    let other = "{ posts(first: 5) { nodes { title } } }";
    assert!(see(&app, None, other).await.is_cached());
}

async fn own_writes_pass_the_caches(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.caches().await;
    for turn in 0..20 {
        warm(&app, USER).await;
        let name = format!("turn {turn}");
        let token = rename(&app, &name).await;
        assert_eq!(see(&app, Some(&token), USER).await.name(), name);
        // On the instance that wrote, whoever asks.
        assert_eq!(see(&app, None, USER).await.name(), name);
    }
}

/// Answers that nobody asks the cost of are kept whole, each for its own question.
async fn whole_answers_are_kept(backend: Backend) {
    let app =
        TestApp::start(std::sync::Arc::new(Database::demo(backend).await), &[("SHOAL_CACHE__AUDIT_PER_MILLE", "1000")])
            .await;
    app.caches().await;
    let hits = async || app.metric("shoal_cache_hits_total", "resource=\"answers\"").await;
    let ask = async |query: &str, operation: Option<&str>, variables: serde_json::Value| {
        app.ask(&json!({ "query": query, "operationName": operation, "variables": variables })).await.json
    };
    let query = "query one($id: ID!) { user(id: $id) { name } } query two($id: ID!) { user(id: $id) { email } }";
    let ids = [1, 2].map(|id| json!({ "id": crate::model::global("User", id) }));
    // A replica may show less than the instance began with.
    eventually("an answer to be kept", async || {
        app.query(USER).await;
        hits().await > 0.0
    })
    .await;
    let before = hits().await;
    let mut answers = Vec::new();
    for turn in 0..2 {
        for operation in ["one", "two"] {
            for variables in &ids {
                let answer = ask(query, Some(operation), variables.clone()).await;
                assert_eq!(answer.get("errors"), None, "{answer}");
                if turn == 0 {
                    assert!(!answers.contains(&answer), "another question, another answer");
                    answers.push(answer);
                } else {
                    assert!(answers.contains(&answer), "{answer}");
                }
            }
        }
    }
    assert_eq!(hits().await, before + 4.0);
    // What failed, and what is asked to be fresh, is made each time.
    for _ in 0..2 {
        assert_eq!(ask("{ user(id: \"?\") { name } }", None, json!({})).await["data"], json!({ "user": null }));
        let fresh = app.ask_with(&json!({ "query": USER }), &[("cache-control", "no-cache")]).await;
        assert_eq!(fresh.json.get("errors"), None);
    }
    assert_eq!(hits().await, before + 4.0);
    for turn in 0..10 {
        let name = format!("whole {turn}");
        let before = app.query(USER).await;
        rename(&app, &name).await;
        let after = app.query(USER).await;
        assert_eq!(after["user"]["name"], name);
        assert_ne!(before, after);
        assert_eq!(app.query(USER).await, after);
    }
    assert!(hits().await >= before + 14.0);
    // A list that was read once, and whose rows so came along with it, depends on them, too.
    for turn in 0..5 {
        let list = format!("{{ posts(first: {}) {{ nodes {{ id title }} }} }}", 7 + turn);
        let post = app.query(&list).await["posts"]["nodes"][turn]["id"].as_str().unwrap().to_owned();
        let title = format!("changed {turn}");
        let query = "mutation ($id: ID!, $title: String!) { updatePost(input: { id: $id, title: $title }) { post { title } userErrors { message } } }";
        let changed = app.query_with(query, json!({ "id": post, "title": title })).await;
        assert_eq!(changed["updatePost"], json!({ "post": { "title": title }, "userErrors": [] }));
        assert_eq!(app.query(&list).await["posts"]["nodes"][turn]["title"], title);
    }
    eventually("comparisons of answers", async || {
        app.metric("shoal_cache_audits_total", "resource=\"answers\",outcome=\"same\"").await > 0.0
    })
    .await;
    assert_eq!(app.metric("shoal_cache_audit_mismatch_total", "").await, 0.0);
}

#[tokio::test]
async fn own_writes_pass_the_caches_of_other_instances_and_lagging_replicas() {
    let cluster = Cluster::alone().await;
    let (here, there) = (cluster.caching(&BOUND).await, cluster.caching(&BOUND).await);
    for paused in 0..=2 {
        if paused > 0 {
            cluster.on_replica(paused - 1, "select pg_wal_replay_pause()").await;
        }
        for turn in 0..20 {
            warm(&there, USER).await;
            let name = format!("{paused} {turn}");
            let token = rename(&here, &name).await;
            assert_eq!(see(&there, Some(&token), USER).await.name(), name, "{paused} replicas stand still");
            assert_eq!(see(&here, Some(&token), USER).await.name(), name, "{paused} replicas stand still");
        }
    }
    assert_eq!(here.metric("shoal_cache_audit_mismatch_total", "").await, 0.0);
}

/// Waits until the feed has told of all that is committed.
async fn all_is_told(cluster: &Cluster, app: &TestApp) {
    let lsn = cluster.database.text("select pg_current_wal_insert_lsn()::text").await.unwrap();
    eventually("the feed to tell", async || {
        let health = app.health().await;
        let applied = health["feed"]["applied"].as_str().unwrap_or("0/0");
        let is_told = format!("select ('{applied}'::pg_lsn >= '{lsn}'::pg_lsn)::text");
        cluster.database.text(&is_told).await.as_deref() == Some("true")
    })
    .await;
}

/// Waits until a reader waits for a server.
async fn somebody_waits(app: &TestApp) {
    eventually("a reader to wait", async || {
        app.health().await["databases"].as_array().unwrap().iter().any(|node| node["busy"] != 0)
    })
    .await;
}

/// Found by `benches/proof`: a list has not changed, so a replica that is behind may answer for it; its rows have.
#[tokio::test]
async fn rows_that_come_with_a_list_are_no_older_than_what_their_client_has_done() {
    let cluster = Cluster::alone().await;
    let (here, there) = (cluster.caching(&BOUND).await, cluster.caching(&BOUND).await);
    let product = "UHJvZHVjdDox";
    let ask = format!("{{ product(id: \"{product}\") {{ sku }} posts(first: 1) {{ nodes {{ id }} }} }}");
    let known = see(&here, None, &ask).await.data;
    let (sku, post) = (&known["product"]["sku"], &known["posts"]["nodes"][0]["id"]);
    let write = async |title: &str| {
        let query = "mutation ($post: ID!, $title: String!, $product: ID!) {
            updatePost(input: { id: $post, title: $title }) { userErrors { message } }
            adjustStock(input: { id: $product, delta: 1, idempotencyKey: $title }) { product { stock } } }";
        let variables = json!({ "post": post, "title": title, "product": product });
        let written = here.ask_as(None, &json!({ "query": query, "variables": variables }), &[]).await;
        all_is_told(&cluster, &there).await;
        (written.token, written.json["data"]["adjustStock"]["product"]["stock"].clone())
    };
    // A page that nobody has asked for yet.
    let list = |first: usize| format!("{{ posts(first: {first}) {{ nodes {{ title }} }} }}");
    let shown = |data: &Value| data["posts"]["nodes"][0]["title"].clone();
    cluster.stack.wait_for_replicas().await;
    for replica in 0..2 {
        cluster.on_replica(replica, "select pg_wal_replay_pause()").await;
    }
    let (token, stock) = write("looked up").await;
    let look_up = format!("{{ productBySku(sku: {sku}) {{ stock }} }}");
    assert_eq!(see(&there, token.as_deref(), &look_up).await.data["productBySku"]["stock"], stock);
    for turn in 0..5 {
        let title = format!("read {turn}");
        let (token, _) = write(&title).await;
        assert_eq!(shown(&see(&there, token.as_deref(), &list(10 + turn)).await.data), title);

        // The same for who joins others that have seen less.
        let (title, list) = (format!("joined {turn}"), list(20 + turn));
        cluster.replicas.iter().for_each(crate::support::Gate::freeze);
        let others = see(&there, None, &list);
        let joins = async {
            somebody_waits(&there).await;
            let (token, _) = write(&title).await;
            let joined = async || there.metric("shoal_loads_joined_total", "resource=\"posts\"").await;
            let before = joined().await;
            let seen = see(&there, token.as_deref(), &list);
            let thaw = async {
                eventually("both to wait for the same", async || joined().await > before).await;
                cluster.replicas.iter().for_each(crate::support::Gate::thaw);
            };
            futures_util::future::join(seen, thaw).await.0
        };
        let (_, seen) = futures_util::future::join(others, joins).await;
        assert_eq!(shown(&seen.data), title);
    }
}

/// Whoever wrote it: what was asked for after the bound shows it, and nothing that was asked for after that is older.
#[tokio::test]
async fn what_others_write_is_seen_within_the_bound() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let (here, there) = (cluster.caching(&BOUND).await, cluster.caching(&BOUND).await);
    for turn in 0..5 {
        warm(&here, USER).await;
        warm(&there, USER).await;
        let name = format!("psql {turn}");
        cluster.database.execute(&format!("update users set name = '{name}' where id = 1")).await;
        let written = Instant::now();
        let mut seen = [false; 2];
        while written.elapsed() < Duration::from_millis(1200) || seen != [true; 2] {
            for (app, seen) in [&here, &there].into_iter().zip(&mut seen) {
                let asked = written.elapsed();
                let shows = see(app, None, USER).await.name() == name;
                assert!(shows || !*seen, "what was seen went away again");
                assert!(shows || asked < Duration::from_millis(1000), "not seen after {asked:?}");
                *seen |= shows;
            }
        }
    }
}

/// The replica's answer waits on its way while the row changes.
#[tokio::test]
async fn a_reader_that_stalled_before_it_filled_leaves_nothing_old() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    // Or the row would be there again before anybody asks.
    let app = cluster.caching(&[("SHOAL_CACHE__REFRESH", "false")]).await;
    let before = see(&app, None, "{ user(id: \"VXNlcjox\") { name } }").await;
    for turn in 0..5 {
        // What is kept is void, so the next reader asks a replica.
        cluster.database.execute("update users set name = 'old' where id = 1").await;
        eventually("the feed to tell", async || see(&app, None, USER).await.name() == "old").await;
        cluster.database.execute("update users set name = 'older' where id = 1").await;
        all_is_told(&cluster, &app).await;
        cluster.stack.wait_for_replicas().await;
        cluster.replicas.iter().for_each(crate::support::Gate::freeze);
        let stalled = async { see(&app, None, USER).await };
        let meanwhile = async {
            somebody_waits(&app).await;
            let name = format!("new {turn}");
            let token = rename(&app, &name).await;
            cluster.replicas.iter().for_each(crate::support::Gate::thaw);
            (name, token)
        };
        let (stalled, (name, token)) = futures_util::future::join(stalled, meanwhile).await;
        assert!(["old", "older", name.as_str()].contains(&stalled.name()), "{}", stalled.data);
        for _ in 0..5 {
            assert_eq!(see(&app, None, USER).await.name(), name);
            assert_eq!(see(&app, Some(&token), USER).await.name(), name);
        }
    }
    assert!(!before.data.is_null());
}

#[cfg(feature = "fault-points")]
#[tokio::test]
async fn a_writer_killed_right_after_its_commit_is_heard_of_elsewhere() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let there = cluster.caching(&BOUND).await;
    let here = cluster.caching(&[("SHOAL_FAULT_POINT", "updateUser committed")]).await;
    warm(&there, USER).await;
    let query = "mutation { updateUser(input: { id: \"VXNlcjox\", name: \"last words\" }) { user { name } } }";
    let body = json!({ "query": query });
    let client = reqwest::Client::new();
    let asked = client.post(here.at("/graphql")).json(&body).send();
    let killed = async {
        here.logs("stopped at a fault point").await;
        drop(here);
    };
    let (answer, ()) = futures_util::future::join(asked, killed).await;
    assert!(answer.is_err(), "it answered before it was killed");
    eventually("the other to hear of it", async || see(&there, None, USER).await.name() == "last words").await;
    for _ in 0..20 {
        assert_eq!(see(&there, None, USER).await.name(), "last words");
    }
}

/// Rows that are often served are there again before anybody asks, and nobody reads them: the log has them.
#[tokio::test]
async fn what_is_hot_is_kept_anew_when_it_changes() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.caching(&[("SHOAL_CACHE__AUDIT_PER_MILLE", "0")]).await;
    let query = "{ user(id: \"VXNlcjox\") { name } }";
    for _ in 0..5 {
        warm(&app, query).await;
    }
    let mut counted = Counted::of(app).await;
    let reads = async |counted: &mut Counted| -> i64 {
        counted.counted().await.iter().filter(|(text, _)| text.starts_with("select t.")).map(|(_, calls)| calls).sum()
    };
    let before = reads(&mut counted).await;
    assert!(before > 0, "what reads rows is counted");
    // Only what was told last counts, also within a transaction; and what is rolled back does not.
    let renamings = [
        "begin; update users set name = 'first' where id = 1; update users set name = 'warm' where id = 1; commit",
        "begin; update users set name = 'never' where id = 1; rollback; update users set name = 'hot' where id = 1",
    ];
    let kept = async |app: &TestApp| app.metric("shoal_cache_refreshed_total", "outcome=\"done\"").await;
    for (turn, renaming) in renamings.into_iter().enumerate() {
        cluster.database.execute(renaming).await;
        eventually("the row to be kept", async || kept(&counted.app).await == (turn + 1) as f64).await;
    }
    let seen = see(&counted.app, None, query).await;
    assert_eq!((seen.name(), seen.statements), ("hot", 0));
    assert_eq!(reads(&mut counted).await, before, "no row was read");
    // What nobody asks for is not.
    let told = counted.app.metric("shoal_feed_commits_total", "").await;
    cluster.database.execute("update users set name = 'cold' where id = 2").await;
    eventually("it to be told", async || counted.app.metric("shoal_feed_commits_total", "").await > told).await;
    assert_eq!(counted.app.metric("shoal_cache_refreshed_total", "").await, 2.0);
    // And what no record can be made of is left for who asks.
    for _ in 0..2 {
        see(&counted.app, None, query).await;
    }
    cluster.database.execute("update users set created_at = 'infinity' where id = 1").await;
    eventually("it to be given up", async || {
        counted.app.metric("shoal_cache_refreshed_total", "outcome=\"failed\"").await == 1.0
    })
    .await;
}

/// What the log says of a row of any type is what a statement would: all of it is compared with the primary.
#[tokio::test]
async fn rows_of_each_type_are_kept_as_the_log_tells_them() {
    // With a column that is given the value that it has.
    let tables = [
        ("Comment", "comments", "post_id"),
        ("Order", "orders", "status"),
        ("OrderItem", "order_items", "quantity"),
        ("Post", "posts", "published_at"),
        ("Product", "products", "stock"),
        ("Tag", "tags", "name"),
        ("User", "users", "name"),
    ];
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.caching(&[("SHOAL_CACHE__AUDIT_PER_MILLE", "1000")]).await;
    let types = app.query("{ __type(name: \"Node\") { possibleTypes { name } } }").await;
    let types: Vec<_> = types["__type"]["possibleTypes"].as_array().unwrap().iter().collect();
    let known = |name: &str| tables.iter().any(|(of, ..)| *of == name);
    // Jobs are read past the caches.
    let unknown: Vec<_> = types.iter().filter(|of| !known(of["name"].as_str().unwrap())).collect();
    assert_eq!(unknown, [&&json!({ "name": "Job" })]);
    let mut primary = Stack::get().primary.connect(cluster.database.name()).await;
    for (of, table, column) in tables {
        let first = format!("select min(id) from {table} where {column} is not null");
        let id: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(first)).fetch_one(&mut primary).await.unwrap();
        let query = format!("{{ node(id: \"{}\") {{ id __typename }} }}", crate::model::global(of, id));
        for _ in 0..5 {
            warm(&app, &query).await;
        }
        let label = format!("resource=\"{table}\"");
        let kept = async || app.metric("shoal_cache_refreshed_total", &label).await;
        cluster.database.execute(&format!("update {table} set {column} = {column} where id = {id}")).await;
        eventually("the row to be kept anew", async || kept().await == 1.0).await;
        let same = async || app.metric("shoal_cache_audits_total", &format!("{label},outcome=\"same\"")).await;
        let before = same().await;
        assert_eq!(see(&app, None, &query).await.statements, 0);
        eventually("a comparison", async || same().await > before).await;
    }
    assert_eq!(app.metric("shoal_cache_refreshed_total", "outcome=\"failed\"").await, 0.0);
    assert_eq!(app.metric("shoal_cache_audit_mismatch_total", "").await, 0.0);
}
