//! The door: in an overload, whoever finds no room is turned away here, before anything else is done for their request. That
//! time is for those who are let in.

use axum::extract::Request;
use axum::http::{Method, header};
use axum::response::Response;

use super::accept::{Accepted, MediaType};
use super::request_id::Measured;
use super::{body, cache, graphql, write};
use crate::graphql::execute::{Answer, Executor};

/// Cheap to clone.
#[derive(Clone)]
pub struct Door {
    executor: Executor,
    body: body::Limits,
}

impl Door {
    /// None where an answer that was kept might do for whoever is refused.
    pub fn new(executor: Executor, body: body::Limits) -> Option<Self> {
        (!executor.may_keep_answers()).then_some(Self { executor, body })
    }

    /// What a request is answered that would be refused further in, whatever it asks. Who is to be told in another way goes
    /// further in: a page of another origin, and whoever has encoded the body.
    pub fn refuses(&self, request: &Request) -> Option<Answer> {
        let headers = request.headers();
        let is_plain = !headers.contains_key(header::ORIGIN) && !headers.contains_key(header::CONTENT_ENCODING);
        let is_operation = request.method() == Method::POST && request.uri().path() == graphql::PATH;
        if is_operation && is_plain { self.executor.turns_away() } else { None }
    }

    /// Refuses a request.
    pub async fn turn_away(&self, request: Request, answer: Answer) -> Response {
        let measured = Measured::untraced(graphql::PATH);
        let media_type = Accepted::of(request.headers()).single;
        let (parts, body) = request.into_parts();
        // A connection with a body left on it could not be used again.
        let mut response = match body::read(&parts.headers, body, self.body).await {
            Err(refusal) => refusal.answer(media_type, measured.id()),
            Ok(_) => {
                let media_type = media_type.unwrap_or(MediaType::Json);
                let written = write::answer(answer.body, answer.note, media_type, measured.id());
                written.into_response(media_type, cache::never())
            }
        };
        response.headers_mut().insert(header::VARY, graphql::VARY);
        measured.end(super::no_sniffing(response))
    }
}
