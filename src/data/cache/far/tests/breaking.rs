//! Servers that go away and come back.

use std::task::Poll;

use futures_util::poll;

use super::servers::{Server, free_port};
use super::{break_open, hasty, keys, numbered, open, patient, read, until, write};
use crate::data::cache::far::Missed;

#[tokio::test]
async fn a_server_that_comes_back_is_found_by_itself() {
    let mut server = Server::start().await;
    let far = open(&patient(&server.url()));
    let (names, values) = numbered(10);
    write(&far, &names, &values).await;
    server.stop();
    break_open(&far).await;
    assert!(!far.answers().await);
    server.restart().await;
    // It has lost everything.
    assert_eq!(read(&far, &names).await, vec![None; 10]);
    assert_eq!(far.state(), "closed");
    assert!(far.answers().await);
    write(&far, &names, &values).await;
}

#[tokio::test]
async fn a_server_may_come_later_than_its_clients() {
    let port = free_port();
    let far = open(&patient(&format!("redis://127.0.0.1:{port}/")));
    assert_eq!(far.state(), "closed", "nobody has asked");
    break_open(&far).await;
    let _server = Server::on(port).await;
    assert_eq!(read(&far, &keys(["key"])).await, [None]);
}

#[tokio::test]
async fn a_connection_that_broke_while_idle_is_made_anew_within_the_request() {
    let mut server = Server::start().await;
    let far = open(&patient(&server.url()));
    for _ in 0..3 {
        assert!(far.get(&keys(["key"])).await.is_ok());
        server.stop();
        server.restart().await;
    }
    server.ask::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    assert!(far.answers().await);
    assert_eq!(far.get(&keys(["key"])).await, Ok(vec![None]));
}

#[tokio::test]
async fn health_does_not_wait_for_requests_to_try() {
    let mut server = Server::start().await;
    let far = open(&patient(&server.url()));
    assert!(far.answers().await);
    server.stop();
    assert!(!far.answers().await);
    break_open(&far).await;
    server.restart().await;
    until("health sees it", async || far.answers().await).await;
}

#[tokio::test]
async fn who_gives_up_leaves_no_trace() {
    let server = Server::start().await;
    let far = open(&patient(&server.url()));
    let (names, values) = numbered(200);
    write(&far, &names, &values).await;
    for (n, name) in names.iter().enumerate() {
        // Given up before it is sent, or while it is on its way.
        let one = keys([name.clone()]);
        let mut abandoned = Box::pin(far.get(&one));
        for _ in 0..n % 4 {
            if let Poll::Ready(found) = poll!(abandoned.as_mut()) {
                assert_eq!(found, Ok(vec![Some(values[n].clone())]));
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(abandoned);
        let other = (n * 31) % 200;
        assert_eq!(far.get(&names[other..=other]).await, Ok(vec![Some(values[other].clone())]));
    }
    assert_eq!(far.state(), "closed");
}

#[tokio::test]
async fn who_gives_up_as_the_probe_leaves_it_to_the_next() {
    let mut server = Server::start().await;
    let far = open(&hasty(&server.url()));
    let one = keys(["key"]);
    read(&far, &one).await;
    server.stop();
    break_open(&far).await;
    let mut probe = None;
    until("a request is let through", async || {
        let mut asked = Box::pin(far.get(&one));
        let is_sent = poll!(asked.as_mut()).is_pending();
        probe = Some(asked);
        is_sent
    })
    .await;
    assert_eq!(far.state(), "probing");
    assert_eq!(far.get(&one).await, Err(Missed::Breaker), "one at a time");
    drop(probe);
    assert_eq!(far.state(), "open");
    server.restart().await;
    assert_eq!(read(&far, &one).await, [None]);
}
