//! The protocol `graphql-transport-ws`, as far as GraphQLWebSocket leaves it open. Pure.
//! <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>
//!
//! async-graphql 8.0.0-rc.5 closes with other codes, or not at all; it answers an operation that cannot be executed as if it
//! had been, and takes a name that is in use. So a message of a client is judged before it gets there, and operations go
//! by numbers there: what comes back of one that has ended is nobody's.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::graphql::persisted::DOCUMENT_ID;
use crate::http::params::names_document;

/// A reason must fit into a frame. RFC 6455, 5.5.
const LONGEST_REASON: usize = 123;
const LONGEST_ID: usize = 1024;

/// What has gone on in a socket.
pub struct Protocol {
    is_introduced: bool,
    /// Operations at work, by the client's names and by ours.
    numbers: HashMap<String, u64>,
    names: HashMap<u64, String>,
    last: u64,
    most: usize,
}

/// What is to be done about a message of a client.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// It goes on, as this; the number is that of an operation that begins.
    Forward(String, Option<u64>),
    Nothing,
    Reply(String),
    Close(u16, String),
}

#[derive(Deserialize)]
struct FromClient {
    r#type: String,
    id: Option<String>,
    payload: Option<Value>,
}

#[derive(Deserialize)]
struct FromLibrary<'a> {
    r#type: &'a str,
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl Protocol {
    /// With at most so many operations at once.
    pub fn new(most: usize) -> Self {
        Self { is_introduced: false, numbers: HashMap::new(), names: HashMap::new(), last: 0, most }
    }

    /// Whether the client has introduced itself.
    pub fn is_introduced(&self) -> bool {
        self.is_introduced
    }

    /// A message of the client; none if it is no text.
    pub fn incoming(&mut self, text: Option<&str>) -> Incoming {
        let Some(message) = text.and_then(|text| serde_json::from_str::<FromClient>(text).ok()) else {
            return invalid("a message must be a text, an object in JSON with a type");
        };
        let FromClient { r#type, id, payload } = message;
        let payload = match payload {
            None | Some(Value::Null) => None,
            Some(Value::Object(payload)) => Some(payload),
            Some(_) => return invalid("a payload must be an object"),
        };
        match r#type.as_str() {
            "connection_init" if self.is_introduced => close(4429, "Too many initialisation requests"),
            "connection_init" => {
                self.is_introduced = true;
                forward("connection_init", payload)
            }
            "ping" => forward("ping", payload),
            "pong" => Incoming::Nothing,
            "subscribe" if !self.is_introduced => close(4401, "Unauthorized"),
            "subscribe" => match (id, payload) {
                (Some(id), Some(payload)) if !id.is_empty() && id.len() <= LONGEST_ID => self.subscribe(id, payload),
                _ => invalid("a subscribe must have an id and a payload"),
            },
            "complete" => match id {
                Some(id) => self.complete(&id),
                None => invalid("a complete must have an id"),
            },
            _ => invalid("there is no message of this type"),
        }
    }

    fn subscribe(&mut self, id: String, mut payload: Map<String, Value>) -> Incoming {
        payload.retain(|_, value| !value.is_null());
        if let Some(id) = payload.remove(DOCUMENT_ID).filter(Value::is_string)
            && let Some(extensions) = payload.entry("extensions").or_insert_with(|| Map::new().into()).as_object_mut()
        {
            extensions.insert(DOCUMENT_ID.to_owned(), id);
        }
        let is_named = payload.get("extensions").and_then(Value::as_object).is_some_and(names_document);
        let is = |name: &str, is_right: fn(&Value) -> bool| payload.get(name).is_none_or(is_right);
        let is_request = (is_named || payload.contains_key("query"))
            && is("query", Value::is_string)
            && is("operationName", Value::is_string)
            && is("variables", Value::is_object)
            && is("extensions", Value::is_object);
        if !is_request {
            return invalid("a payload must be a request: query, operationName, variables, extensions");
        }
        if self.numbers.contains_key(&id) {
            return close(4409, &format!("Subscriber for {id} already exists"));
        }
        if self.numbers.len() >= self.most {
            let message = format!("a socket may have {} operations at once", self.most);
            let error = json!({ "message": message, "extensions": { "code": "TOO_MANY_OPERATIONS" } });
            return Incoming::Reply(json!({ "id": id, "type": "error", "payload": [error] }).to_string());
        }
        self.last += 1;
        let number = self.last;
        self.names.insert(number, id.clone());
        self.numbers.insert(id, number);
        let message = json!({ "type": "subscribe", "id": number.to_string(), "payload": payload });
        Incoming::Forward(message.to_string(), Some(number))
    }

    fn complete(&mut self, id: &str) -> Incoming {
        // One that is not known has ended meanwhile.
        let Some(number) = self.numbers.remove(id) else { return Incoming::Nothing };
        self.names.remove(&number);
        Incoming::Forward(json!({ "type": "complete", "id": number.to_string() }).to_string(), None)
    }

    /// A message for the client, as it is to be sent, if it is; `failed` are the numbers of operations whose next message
    /// is their last, and has only errors.
    pub fn outgoing(&mut self, text: &str, failed: &mut HashSet<u64>) -> Option<String> {
        let message: FromLibrary<'_> = serde_json::from_str(text).ok()?;
        let Some(number) = message.id else { return Some(text.to_owned()) };
        let number: u64 = number.parse().ok()?;
        let has_failed = message.r#type == "next" && failed.remove(&number);
        let id = serde_json::to_string(self.names.get(&number)?).ok()?;
        if has_failed || message.r#type == "complete" {
            let name = self.names.remove(&number)?;
            self.numbers.remove(&name);
        }
        Some(match message.payload {
            Some(payload) if has_failed => {
                #[derive(Deserialize)]
                struct Failed<'a> {
                    #[serde(borrow)]
                    errors: &'a RawValue,
                }
                let Failed { errors } = serde_json::from_str(payload.get()).ok()?;
                format!(r#"{{"id":{id},"type":"error","payload":{}}}"#, errors.get())
            }
            Some(payload) => format!(r#"{{"id":{id},"type":"{}","payload":{}}}"#, message.r#type, payload.get()),
            None => format!(r#"{{"id":{id},"type":"{}"}}"#, message.r#type),
        })
    }
}

/// A message as the library takes it.
fn forward(kind: &str, payload: Option<Map<String, Value>>) -> Incoming {
    Incoming::Forward(json!({ "type": kind, "payload": payload }).to_string(), None)
}

fn invalid(why: &str) -> Incoming {
    close(4400, why)
}

fn close(code: u16, reason: &str) -> Incoming {
    let end = reason.floor_char_boundary(LONGEST_REASON);
    Incoming::Close(code, reason[..end].to_owned())
}

#[cfg(test)]
mod tests;
