//! The HTTP face, as clients, browsers and balancers meet it.

mod caching;
mod coding;
mod connections;
mod load;
mod origins;
mod page;
mod persisted;
mod protocol;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::TestApp;

const JSON: &str = "application/json; charset=utf-8";
const RESPONSE: &str = "application/graphql-response+json; charset=utf-8";
const NAME: &str = "{\"query\":\"{ __typename }\"}";

/// A request that is built by hand, and its answer.
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of its only error.
    fn code(&self) -> String {
        let json = self.json();
        let errors = json["errors"].as_array().unwrap_or_else(|| panic!("no errors in {json}"));
        assert_eq!(errors.len(), 1, "{json}");
        assert!(json.get("data").is_none(), "{json}");
        assert_eq!(errors[0]["extensions"]["requestId"], self.header("x-request-id"), "{json}");
        errors[0]["extensions"]["code"].as_str().unwrap().to_owned()
    }
}

/// A connection on which bytes are sent as they are.
struct Raw(TcpStream);

impl Raw {
    async fn to(app: &TestApp) -> Self {
        Self(TcpStream::connect(app.at("").replace("http://", "")).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// What comes until the server closes the connection.
    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // One that is cut is closed, too.
        let _ = self.0.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What comes until the end of a head and a body with this in it.
    async fn until(&mut self, text: &str) -> String {
        let (mut all, mut buffer) = (String::new(), [0; 4096]);
        while !all.contains(text) {
            let read = self.0.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "no {text} in {all}");
            all.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        all
    }
}
