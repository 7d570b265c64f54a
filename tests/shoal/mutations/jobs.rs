//! Jobs: tried again, called off. How they run is shown elsewhere.

use serde_json::{Value, json};

use super::shop::{Shop, object};

/// Of a kind that nobody runs.
const JOBS: &str = "insert into jobs (kind, task, state, max_attempts, attempt, unique_key, leased_until, finished_at)
    values ('nobody''s', '{}', 'queued', 3, 0, null, null, null),
        ('nobody''s', '{}', 'running', 3, 1, null, '9999-01-01T00:00:00+00:00', null),
        ('nobody''s', '{}', 'done', 3, 1, null, null, '2020-01-01T00:00:00+00:00'),
        ('nobody''s', '{}', 'dead', 3, 3, 'one', null, '2020-01-01T00:00:00+00:00'),
        ('nobody''s', '{}', 'queued', 3, 0, 'one', null, null)";
const JOB: &str = "job { id state attempt maxAttempts cancelRequested finishedAt }";

pub async fn change(shop: &mut Shop) {
    shop.app.database.execute(JOBS).await;
    let first = "select cast(min(id) as text) from jobs where kind = 'nobody''s'";
    let first: i64 = shop.app.database.text(first).await.unwrap().parse().unwrap();
    let [queued, running, done, dead, rival] = [0, 1, 2, 3, 4].map(|place| object("Job", first + place));

    // What waits ends at once, and may be tried again; with a key that is done once.
    let cancelled = shop.done("cancelJob", json!({ "id": queued }), JOB).await["job"].take();
    assert_eq!((&cancelled["id"], &cancelled["state"]), (&queued, &json!("CANCELLED")));
    assert!(cancelled["finishedAt"].is_string(), "{cancelled}");
    let again = json!({ "id": queued, "idempotencyKey": "again" });
    let retried = shop.done("retryJob", again.clone(), JOB).await["job"].take();
    assert_eq!((&retried["state"], &retried["finishedAt"]), (&json!("QUEUED"), &Value::Null));
    shop.done("cancelJob", json!({ "id": queued, "idempotencyKey": "off" }), JOB).await;
    assert_eq!(shop.done("retryJob", again, JOB).await["job"], retried);
    let state = async |shop: &mut Shop, input: Value| shop.done("cancelJob", input, JOB).await["job"]["state"].take();
    assert_eq!(state(shop, json!({ "id": queued })).await, "CANCELLED");

    // What runs is only asked to end.
    let asked = shop.done("cancelJob", json!({ "id": running }), JOB).await["job"].take();
    assert_eq!((&asked["state"], &asked["cancelRequested"]), (&json!("RUNNING"), &json!(true)));

    // What is over, or is being done, stays so.
    for (name, id, state) in [
        ("retryJob", &running, "RUNNING"),
        ("retryJob", &done, "DONE"),
        ("cancelJob", &done, "DONE"),
        ("cancelJob", &dead, "DEAD"),
    ] {
        let (wrong, payload) = shop.refused_with(name, json!({ "id": id }), JOB).await;
        let shown = (wrong, &payload["job"]["state"]);
        assert_eq!(shown, (vec!["id INVALID_STATE".to_owned()], &json!(state)), "{name}");
    }

    // Another that does the same comes first.
    let (wrong, payload) = shop.refused_with("retryJob", json!({ "id": dead }), JOB).await;
    assert_eq!((wrong, &payload["job"]["state"]), (vec!["id TAKEN".to_owned()], &json!("DEAD")));
    shop.done("cancelJob", json!({ "id": rival }), JOB).await;
    let revived = shop.done("retryJob", json!({ "id": dead }), JOB).await["job"].take();
    assert_eq!(
        (&revived["state"], &revived["attempt"], &revived["maxAttempts"]),
        (&json!("QUEUED"), &json!(3), &json!(4))
    );

    for name in ["retryJob", "cancelJob"] {
        assert_eq!(shop.refused(name, json!({ "id": dead, "idempotencyKey": "" })).await, ["idempotencyKey BLANK"]);
        assert_eq!(shop.failed(name, json!({ "id": object("Job", 999_999) })).await, "NOT_FOUND");
        assert_eq!(shop.failed(name, json!({ "id": object("Order", 1) })).await, "BAD_USER_INPUT");
    }
}
