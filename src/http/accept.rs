//! What a client accepts. RFC 9110, 12.5.1, and <https://graphql.github.io/graphql-over-http/draft/#sec-Media-Types>.

use axum::http::{HeaderMap, HeaderValue, header};

/// How an answer that is one document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    Response,
    /// `application/json`: 200 for whatever is a request at all.
    Json,
}

/// How a stream of answers is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// `text/event-stream`: server-sent events.
    Events,
    /// `multipart/mixed; subscriptionSpec=1.0`: a part for each.
    Multipart,
}

/// What a client accepts of what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub single: Option<MediaType>,
    /// Only what was named: a client that takes anything does not expect a stream.
    pub stream: Option<Stream>,
}

impl MediaType {
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Response => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }
}

/// A range of media types, with its weight in thousandths.
struct Range<'a> {
    name: &'a str,
    parameters: &'a str,
    weight: u16,
}

impl Accepted {
    /// What the header of a request says; JSON if there is none.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if values.peek().is_none() {
            return Self { single: Some(MediaType::Json), stream: None };
        }
        let ranges: Vec<_> = values.flat_map(|value| unquoted(value, ',')).filter_map(Range::parse).collect();
        // The most specific range counts.
        let weight = |names: [&str; 3]| {
            names.iter().find_map(|name| ranges.iter().find(|range| range.is(name))).map_or(0, |range| range.weight)
        };
        let is_named = ranges.iter().any(|range| range.is("application/graphql-response+json"));
        let response = weight(["application/graphql-response+json", "application/*", "*/*"]);
        let json = weight(["application/json", "application/*", "*/*"]);
        let single = match (response, json) {
            (0, 0) => None,
            // Who takes anything may not know the newer of the two.
            (response, json) if response > json || (response == json && is_named) => Some(MediaType::Response),
            _ => Some(MediaType::Json),
        };
        let streams = ranges.iter().filter(|range| range.weight > 0).filter_map(|range| Some((range.stream()?, range)));
        // Of equals the first.
        let stream = streams.rev().max_by_key(|(_, range)| range.weight).map(|(stream, _)| stream);
        Self { single, stream }
    }
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let quality = unquoted(parameters, ';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        let weight = match quality {
            None => 1000,
            Some(value) => {
                let value: f32 = value.parse().ok().filter(|value| (0.0..=1.0).contains(value))?;
                (value * 1000.0).round() as u16
            }
        };
        Some(Self { name: name.trim(), parameters, weight })
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn stream(&self) -> Option<Stream> {
        let is_subscription = |parameter: &str| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("subscriptionSpec") && value.trim().trim_matches('"') == "1.0"
            })
        };
        if self.is("text/event-stream") {
            Some(Stream::Events)
        } else if self.is("multipart/mixed") && unquoted(self.parameters, ';').any(is_subscription) {
            Some(Stream::Multipart)
        } else {
            None
        }
    }
}

/// The parts of a header's value between separators that are not quoted.
fn unquoted(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.split(move |found| {
        match found {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => return found == separator && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &str) -> Accepted {
        Accepted::of(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]))
    }

    #[test]
    fn the_heaviest_and_most_specific_range_decides() {
        use MediaType::{Json, Response};
        for (accept, single) in [
            ("application/json", Some(Json)),
            ("APPLICATION/JSON", Some(Json)),
            ("application/graphql-response+json", Some(Response)),
            ("application/graphql-response+json; charset=utf-8, application/json; charset=utf-8", Some(Response)),
            ("application/json, application/graphql-response+json", Some(Response)),
            ("application/graphql-response+json;q=0.9, application/json", Some(Json)),
            ("application/json;q=0.1, application/graphql-response+json;q=0.2", Some(Response)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/graphql-response+json, */*;q=0.1", Some(Response)),
            ("application/json;q=0, */*", Some(Response)),
            ("*/*;q=0, application/json", Some(Json)),
            ("text/html, */*;q=0.8", Some(Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
            ("nonsense", None),
            ("application/json;q=2", None),
            ("a/b;x=\", application/json\"", None),
            ("a/b;x=\"\\\", \", application/json", Some(Json)),
        ] {
            assert_eq!(of(accept).single, single, "{accept}");
        }
        assert_eq!(Accepted::of(&HeaderMap::new()), Accepted { single: Some(Json), stream: None });
    }

    #[test]
    fn streams_are_asked_for_by_name() {
        for (accept, stream) in [
            ("*/*", None),
            ("text/*", None),
            ("text/event-stream", Some(Stream::Events)),
            ("multipart/mixed", None),
            ("multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\"", Some(Stream::Multipart)),
            ("multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json;q=0.9", Some(Stream::Multipart)),
            ("text/event-stream;q=0", None),
            ("text/event-stream, multipart/mixed;subscriptionSpec=1.0", Some(Stream::Events)),
            ("text/event-stream;q=0.5, multipart/mixed;subscriptionSpec=1.0", Some(Stream::Multipart)),
        ] {
            assert_eq!(of(accept).stream, stream, "{accept}");
        }
    }
}
