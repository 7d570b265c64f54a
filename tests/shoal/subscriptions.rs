//! Subscriptions, as clients of all transports see them.

mod ends;
mod feed;
mod fields;
mod jobs;
mod socket;
mod streams;

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::TestApp;

/// Nothing that is awaited takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of a WebSocket.
struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Messages that came while another was waited for.
    aside: VecDeque<Value>,
}

impl Socket {
    /// Opens one, with headers besides.
    async fn connect(app: &TestApp, headers: &[(&'static str, &str)]) -> Self {
        Self::try_connect(app, headers).await.unwrap()
    }

    /// The same; the status of who is refused.
    async fn try_connect(app: &TestApp, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = app.at("/graphql").replace("http", "ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((stream, _)) => Ok(Self { stream, aside: VecDeque::new() }),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// One that has introduced itself.
    async fn open(app: &TestApp) -> Self {
        let mut socket = Self::connect(app, &[]).await;
        socket.introduce(json!({})).await;
        socket
    }

    async fn introduce(&mut self, payload: Value) {
        self.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(self.receive().await["type"], "connection_ack");
    }

    async fn send(&mut self, message: Value) {
        self.say(Message::text(message.to_string())).await;
    }

    async fn say(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Begins an operation, and waits until the server has taken it in.
    async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(json!({ "id": id, "type": "subscribe", "payload": payload })).await;
    }

    /// Waits until all operations that were sent before have begun. Once one that came after them has ended, each has been
    /// looked at, at the latest before another.
    async fn settle(&mut self) {
        self.ask().await;
        self.ask().await;
    }

    /// Asks something, and waits for its end.
    async fn ask(&mut self) {
        self.subscribe("settle", "{ viewer { role } }", json!({})).await;
        loop {
            let message = self.message().await;
            match (message["id"].as_str(), message["type"].as_str()) {
                (Some("settle"), Some("complete")) => return,
                (Some("settle"), _) => {}
                _ => self.aside.push_back(message),
            }
        }
    }

    /// The next message of an operation; none of another may come.
    async fn receive(&mut self) -> Value {
        match self.aside.pop_front() {
            Some(message) => message,
            None => self.message().await,
        }
    }

    /// The data of the next event, which must be of this operation.
    async fn event(&mut self, id: &str) -> Value {
        let mut message = self.receive().await;
        assert_eq!((&message["id"], &message["type"]), (&json!(id), &json!("next")), "{message}");
        assert_eq!(message["payload"].get("errors"), None, "{message}");
        message["payload"]["data"].take()
    }

    /// The code of the error with which this operation ends.
    async fn error(&mut self, id: &str) -> String {
        let message = self.receive().await;
        assert_eq!((&message["id"], &message["type"]), (&json!(id), &json!("error")), "{message}");
        message["payload"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    }

    async fn message(&mut self) -> Value {
        match self.next().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Code and reason with which the server closes it.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Some(Message::Close(Some(CloseFrame { code, reason }))) => return (code.into(), reason.to_string()),
                Some(Message::Text(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("something is to come");
            match next {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }
}

/// Does a mutation without a variable.
async fn mutate(app: &TestApp, mutation: &str) -> Value {
    app.query(&format!("mutation {{ {mutation} }}")).await
}

/// Does some that are heard of under the name `user_updated`.
async fn rename(app: &TestApp, name: &str) {
    let input = format!(r#"updateUser(input: {{ id: "VXNlcjox", name: "{name}" }}) {{ userErrors {{ message }} }}"#);
    assert_eq!(mutate(app, &input).await["updateUser"]["userErrors"], json!([]));
}

const USER: &str = r#"subscription { userUpdated(id: "VXNlcjox") { name } }"#;

fn named(name: &str) -> Value {
    json!({ "userUpdated": { "name": name } })
}
