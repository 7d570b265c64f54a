//! Servers that say nothing for a while, and then everything at once.

use std::time::Duration;

use futures_util::future::join_all;
use redis::{Value, cmd};
use tokio::time::timeout;

use super::servers::Server;
use super::{break_open, hasty, keys, numbered, open, patient, read, until, write};
use crate::data::cache::far::connection::Origin;
use crate::data::cache::far::{Missed, values};

/// Longer than any request of these tests waits, and shorter than the freeze would last if one waited for its end.
const GIVEN_UP: Duration = Duration::from_millis(50);

#[tokio::test]
async fn nobody_waits_for_a_frozen_server() {
    let server = Server::start().await;
    let far = open(&hasty(&server.url()));
    let (names, values) = numbered(20);
    write(&far, &names, &values).await;
    server.freeze().await;
    // The server thaws only after they have all returned.
    let missed = join_all(names.iter().map(|name| far.get(std::slice::from_ref(name)))).await;
    assert_eq!(missed, vec![Err(Missed::Failed); 20]);
    until("nobody is let through", async || far.get(&names).await == Err(Missed::Breaker)).await;
    fail_probes(&far).await;
    assert!(!far.answers().await);
    server.thaw();
    assert_eq!(read(&far, &names).await, values.into_iter().map(Some).collect::<Vec<_>>());
    assert_eq!(far.state(), "closed");
}

/// Probes fail as long as the server is frozen.
async fn fail_probes(far: &super::Far) {
    let mut probes = 0;
    until("two probes have failed", async || {
        probes += usize::from(far.get(&keys(["key:0"])).await == Err(Missed::Failed));
        probes == 2
    })
    .await;
    assert_ne!(far.state(), "closed");
}

#[tokio::test]
async fn a_server_that_was_frozen_when_first_asked_is_found_by_itself() {
    let server = Server::start().await;
    server.freeze().await;
    let far = open(&hasty(&server.url()));
    break_open(&far).await;
    server.thaw();
    assert_eq!(read(&far, &keys(["key"])).await, [None]);
}

/// Each answer is that of its key, again and again, whatever was given up before.
#[tokio::test]
async fn late_answers_are_nobodys() {
    let server = Server::start().await;
    let (careful, far) = (open(&patient(&server.url())), open(&hasty(&server.url())));
    let (names, values) = numbered(300);
    write(&careful, &names, &values).await;
    read(&far, &names).await;
    for round in 1..4 {
        server.freeze().await;
        let missed = join_all(names.iter().map(|name| far.get(std::slice::from_ref(name)))).await;
        assert!(missed.iter().all(Result::is_err));
        far.fill(names.iter().map(|name| super::fill(&format!("{name}:late"), "late")));
        server.thaw();
        let mut answers = 0;
        until("many answers", async || {
            let asked: Vec<_> = (0..300).map(|n| (n * (2 * round + 1) * 7) % 300).collect();
            let found = join_all(asked.iter().map(|&n| far.get(&names[n..=n]))).await;
            for (n, found) in asked.into_iter().zip(found) {
                let Ok(found) = found else { continue };
                assert_eq!(found, [Some(values[n].clone())]);
                answers += 1;
            }
            answers >= 1_000
        })
        .await;
    }
}

/// The same on one connection, which the far tier might have replaced.
#[tokio::test]
async fn a_connection_throws_late_answers_away() {
    let server = Server::start().await;
    let far = open(&patient(&server.url()));
    let (names, expected) = numbered(100);
    write(&far, &names, &expected).await;
    let connection = Origin::new(&server.url().parse().unwrap(), false).unwrap().connect().await.unwrap();
    let ask = |n: usize| {
        let (mut connection, name) = (connection.clone(), names[n].clone());
        async move {
            let answer = connection.ask(cmd("MGET").arg(name)).await.unwrap();
            values(answer, 1).unwrap().remove(0).unwrap()
        }
    };
    server.freeze().await;
    let given_up = join_all((0..100).map(|n| timeout(GIVEN_UP, ask(n)))).await;
    assert!(given_up.iter().all(Result::is_err));
    // Some are asked before it thaws, some after.
    let (early, late) = tokio::join!(join_all((0..100).rev().map(ask)), async {
        server.thaw();
        join_all((0..100).map(|n| ask((n * 37) % 100))).await
    });
    assert!(early.iter().eq(expected.iter().rev()));
    assert!(late.iter().eq((0..100).map(|n| &expected[(n * 37) % 100])));
}

#[test]
fn an_answer_of_another_shape_is_none() {
    let bytes = || Value::BulkString(b"value".to_vec());
    assert_eq!(values(Value::Array(vec![bytes(), Value::Nil]), 2).unwrap(), [Some(b"value".to_vec()), None]);
    for answer in [
        Value::Nil,
        bytes(),
        Value::Array(vec![bytes()]),
        Value::Array(vec![bytes(), bytes(), bytes()]),
        Value::Array(vec![bytes(), Value::Int(1)]),
    ] {
        assert!(values(answer, 2).is_err());
    }
}
