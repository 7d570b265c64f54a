//! One server that is well.

use std::time::Duration;

use super::servers::Server;
use super::{TTL, fill, keys, numbered, open, patient, read, until, write};
use crate::data::cache::far::{Far, Fill, Settings};

#[tokio::test]
async fn what_was_filled_comes_back_in_the_order_asked_for() {
    let server = Server::start().await;
    let far = open(&patient(&server.url()));
    let (names, values) = numbered(1_000);
    write(&far, &names, &values).await;
    let asked = keys(["key:7", "missing", "key:3", "key:7", "key:999", "another that is missing"]);
    let found = [Some(7), None, Some(3), Some(7), Some(999), None];
    let expected: Vec<_> = found.iter().map(|found| found.map(|n: usize| values[n].clone())).collect();
    assert_eq!(far.get(&asked).await, Ok(expected));
    assert_eq!(far.get(&[]).await, Ok(Vec::new()));
    assert_eq!(far.state(), "closed");
    assert!(far.answers().await);
}

#[tokio::test]
async fn values_are_bytes() {
    let server = Server::start().await;
    let far = open(&patient(&server.url()));
    let values = [Vec::new(), (0..=255).collect(), b"\r\n$-1\r\n*2\r\n\0".to_vec(), vec![0xff; 1 << 20]];
    let names = keys(["empty", "all", "of the protocol", "a megabyte"]);
    write(&far, &names, &values).await;
    let odd = keys(["", "with space\r\n", "ü:42:first=10,after=\"x\""]);
    write(&far, &odd, &values[..3]).await;
}

#[tokio::test]
async fn entries_are_forgotten_in_time() {
    let server = Server::start().await;
    let far = open(&patient(&server.url()));
    let entry = |key: &str, ttl| Fill { ttl, ..fill(key, "value") };
    far.fill([entry("now", Duration::ZERO), entry("hour", TTL), entry("ever", Duration::MAX), entry("day", TTL * 24)]);
    let names = keys(["hour", "day"]);
    until("both are written", async || read(&far, &names).await.iter().all(Option::is_some)).await;
    for (key, ttl) in [("hour", TTL), ("day", TTL * 24)] {
        let left = server.ask::<i64>(&["PTTL", key]).await;
        let ttl = i64::try_from(ttl.as_millis()).unwrap();
        assert!((ttl / 2..=ttl).contains(&left), "{key}: {left}");
    }
    // Written with a millisecond to live; and refused, which is no failure: Redis cannot count that far.
    until("now is over", async || server.ask::<bool>(&["EXISTS", "now"]).await.eq(&false)).await;
    assert_eq!(far.get(&keys(["now", "ever"])).await, Ok(vec![None, None]));
    assert_eq!(far.state(), "closed");
}

#[tokio::test]
async fn a_key_of_another_type_is_as_good_as_missing() {
    let server = Server::start().await;
    let far = open(&patient(&server.url()));
    let (names, values) = numbered(2);
    write(&far, &names, &values).await;
    server.ask::<()>(&["RPUSH", "list", "a", "b"]).await;
    let found = far.get(&keys(["key:0", "list", "key:1"])).await;
    assert_eq!(found, Ok(vec![Some(values[0].clone()), None, Some(values[1].clone())]));
    // And is written over.
    write(&far, &keys(["list"]), &values[..1]).await;
}

#[tokio::test]
async fn many_share_the_connection() {
    let server = Server::start().await;
    let far = open(&patient(&server.url()));
    let (names, values) = numbered(500);
    write(&far, &names, &values).await;
    let asking = (0..500).map(|n| {
        let (far, names, values) = (far.clone(), &names, &values);
        async move {
            let (one, other) = (n, (n * 7) % 500);
            let found = far.get(&[names[one].clone(), names[other].clone()]).await;
            assert_eq!(found, Ok(vec![Some(values[one].clone()), Some(values[other].clone())]));
        }
    });
    futures_util::future::join_all(asking).await;
    let clients = server.ask::<String>(&["CLIENT", "LIST"]).await;
    assert_eq!(clients.lines().count(), 2, "the far tier, and this question:\n{clients}");
}

#[tokio::test]
async fn its_connection_ends_with_the_last_handle() {
    let server = Server::start().await;
    let far = open(&patient(&server.url()));
    let (names, values) = numbered(3);
    write(&far, &names, &values).await;
    let other = far.clone();
    drop(far);
    // What is queued is still written.
    other.fill([fill("last", "words")]);
    drop(other);
    until("only this question is connected", async || {
        server.ask::<String>(&["CLIENT", "LIST"]).await.lines().count() == 1
    })
    .await;
    assert_eq!(server.ask::<String>(&["GET", "last"]).await, "words");
}

#[tokio::test]
async fn there_may_be_none() {
    assert!(Far::open(&Settings::default()).unwrap().is_none());
    for url in ["http://localhost", "redis://localhost/none", "rediss://localhost/#careless"] {
        for cluster in [false, true] {
            let settings = Settings { url: Some(url.parse().unwrap()), cluster, ..Settings::default() };
            assert!(Far::open(&settings).is_err(), "{url}");
        }
    }
}
