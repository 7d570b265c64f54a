//! Messages, as clients send them.

use super::*;

fn introduced(most: usize) -> Protocol {
    let mut protocol = Protocol::new(most);
    assert!(matches!(protocol.incoming(Some(r#"{"type":"connection_init"}"#)), Incoming::Forward(_, None)));
    protocol
}

fn code(incoming: Incoming) -> (u16, String) {
    match incoming {
        Incoming::Close(code, reason) => (code, reason),
        other => panic!("{other:?}"),
    }
}

const ONE: &str = r#"{"id":"one","type":"subscribe","payload":{"query":"{ a }","variables":null,"extensions":null}}"#;

#[test]
fn what_is_no_message_closes_with_4400() {
    for text in [
        "",
        "nonsense",
        "[]",
        "7",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":"unknown"}"#,
        r#"{"type":"start","id":"1","payload":{"query":"{ a }"}}"#,
        r#"{"type":"ping","payload":[]}"#,
        r#"{"type":"connection_init","payload":"a"}"#,
        r#"{"type":"complete"}"#,
        r#"{"type":"subscribe","id":1,"payload":{"query":"{ a }"}}"#,
        r#"{"type":"subscribe","payload":{"query":"{ a }"}}"#,
        r#"{"type":"subscribe","id":"","payload":{"query":"{ a }"}}"#,
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"subscribe","id":"1","payload":{}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":null}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":{}}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","variables":[]}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","operationName":1}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","extensions":""}}"#,
    ] {
        // With another type the same might be one before it is introduced.
        assert_eq!(code(introduced(9).incoming(Some(text))).0 / 100, 44, "{text}");
    }
    assert_eq!(code(introduced(9).incoming(None)).0, 4400);
    assert_eq!(code(Protocol::new(9).incoming(Some(r#"{"type":"connection_init","payload":1}"#))).0, 4400);
}

#[test]
fn a_client_introduces_itself_once_and_first() {
    let mut protocol = Protocol::new(9);
    assert_eq!(code(protocol.incoming(Some(ONE))), (4401, "Unauthorized".to_owned()));
    let mut protocol = introduced(9);
    let again = protocol.incoming(Some(r#"{"type":"connection_init"}"#));
    assert_eq!(code(again), (4429, "Too many initialisation requests".to_owned()));
}

#[test]
fn an_id_is_taken_until_its_operation_ends() {
    let mut protocol = introduced(9);
    let forwarded = r#"{"id":"1","payload":{"query":"{ a }"},"type":"subscribe"}"#;
    assert_eq!(protocol.incoming(Some(ONE)), Incoming::Forward(forwarded.to_owned(), Some(1)));
    assert_eq!(code(protocol.incoming(Some(ONE))), (4409, "Subscriber for one already exists".to_owned()));
    let done = protocol.outgoing(r#"{"type":"complete","id":"1"}"#, &mut HashSet::new());
    assert_eq!(done.as_deref(), Some(r#"{"id":"one","type":"complete"}"#));
    assert!(matches!(protocol.incoming(Some(ONE)), Incoming::Forward(_, Some(2))));
    // Reasons must be short.
    let id = "ä".repeat(200);
    let long = json!({ "type": "subscribe", "id": id, "payload": { "query": "{ a }" } }).to_string();
    assert!(matches!(protocol.incoming(Some(&long)), Incoming::Forward(..)));
    assert!(code(protocol.incoming(Some(&long))).1.len() <= LONGEST_REASON);
}

#[test]
fn what_comes_of_an_operation_that_was_ended_is_nobodys() {
    let mut protocol = introduced(9);
    protocol.incoming(Some(ONE));
    let ended = protocol.incoming(Some(r#"{"id":"one","type":"complete"}"#));
    assert_eq!(ended, Incoming::Forward(r#"{"id":"1","type":"complete"}"#.to_owned(), None));
    assert_eq!(protocol.incoming(Some(r#"{"id":"one","type":"complete"}"#)), Incoming::Nothing);
    assert!(matches!(protocol.incoming(Some(ONE)), Incoming::Forward(_, Some(2))));
    let none = &mut HashSet::new();
    assert_eq!(protocol.outgoing(r#"{"type":"next","id":"1","payload":{"data":1}}"#, none), None);
    assert_eq!(protocol.outgoing(r#"{"type":"complete","id":"1"}"#, none), None);
    let next = protocol.outgoing(r#"{"type":"next","id":"2","payload":{"data":1}}"#, none);
    assert_eq!(next.as_deref(), Some(r#"{"id":"one","type":"next","payload":{"data":1}}"#));
}

#[test]
fn an_operation_that_fails_ends_with_an_error_and_nothing_else() {
    let mut protocol = introduced(9);
    protocol.incoming(Some(ONE));
    let mut failed = HashSet::from([1]);
    let text = r#"{"type":"next","id":"1","payload":{"data":null,"errors":[{"message":"a"}]}}"#;
    let error = protocol.outgoing(text, &mut failed);
    assert_eq!(error.as_deref(), Some(r#"{"id":"one","type":"error","payload":[{"message":"a"}]}"#));
    assert_eq!(protocol.outgoing(r#"{"type":"complete","id":"1"}"#, &mut failed), None);
    assert!(failed.is_empty());
}

#[test]
fn there_are_only_so_many_operations_at_once() {
    let mut protocol = introduced(1);
    protocol.incoming(Some(ONE));
    let Incoming::Reply(reply) = protocol.incoming(Some(&ONE.replace("one", "two"))) else { panic!("it is taken") };
    let reply: Value = serde_json::from_str(&reply).unwrap();
    assert_eq!((&reply["id"], &reply["type"]), (&json!("two"), &json!("error")));
    assert_eq!(reply["payload"][0]["extensions"]["code"], "TOO_MANY_OPERATIONS");
    protocol.incoming(Some(r#"{"id":"one","type":"complete"}"#));
    assert!(matches!(protocol.incoming(Some(&ONE.replace("one", "two"))), Incoming::Forward(..)));
}

#[test]
fn pings_are_answered_and_pongs_are_not() {
    let mut protocol = Protocol::new(9);
    assert!(matches!(protocol.incoming(Some(r#"{"type":"ping","payload":{"a":1}}"#)), Incoming::Forward(..)));
    assert_eq!(protocol.incoming(Some(r#"{"type":"pong"}"#)), Incoming::Nothing);
    let pong = r#"{"type":"pong","payload":{"a":1}}"#;
    assert_eq!(protocol.outgoing(pong, &mut HashSet::new()).as_deref(), Some(pong));
}
