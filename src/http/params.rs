//! What a request asks, as its body or its URL tells it. <https://graphql.github.io/graphql-over-http/draft/#sec-Request>

use async_graphql::{Request, Variables};
use axum::http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::graphql::error::Code;
use crate::graphql::persisted::{DOCUMENT_ID, PERSISTED_QUERY};

/// The parameters of one operation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Variables>,
    extensions: Option<Map<String, Value>>,
    /// The name of a document that the server knows.
    /// <https://github.com/graphql/graphql-over-http/blob/main/spec/Appendix%20A%20--%20Persisted%20Documents.md>
    document_id: Option<String>,
}

/// What a request asks.
#[derive(Debug)]
pub enum Asked {
    One(Params),
    /// Several operations, to be answered in their order.
    Batch(Vec<Params>),
}

/// A parameter, for messages.
struct Parameter {
    name: &'static str,
    expected: &'static str,
    is_right: fn(&Value) -> bool,
}

const fn text(name: &'static str) -> Parameter {
    Parameter { name, expected: "a string", is_right: Value::is_string }
}

const fn object(name: &'static str) -> Parameter {
    Parameter { name, expected: "an object", is_right: Value::is_object }
}

const PARAMETERS: [Parameter; 5] =
    [text("query"), text("operationName"), object("variables"), object("extensions"), text("documentId")];

impl Params {
    /// As the executor takes it.
    ///
    /// # Errors
    /// Without a document, or something that stands for one.
    pub fn request(self) -> Result<Request, Refusal> {
        let mut extensions = self.extensions.unwrap_or_default();
        extensions.extend(self.document_id.map(|id| (DOCUMENT_ID.to_owned(), id.into())));
        if self.query.is_none() && !names_document(&extensions) {
            return Err(Refusal::bad("the parameter query is missing"));
        }
        let mut request = Request::new(self.query.unwrap_or_default()).variables(self.variables.unwrap_or_default());
        request.operation_name = self.operation_name.filter(|name| !name.is_empty());
        for (name, value) in extensions {
            request.extensions.insert(name, async_graphql::Value::from_json(value).unwrap_or_default());
        }
        Ok(request)
    }

    /// Those of a URL.
    ///
    /// # Errors
    /// For a parameter that is given twice, or is not what it should be.
    pub fn of_url(query: &str) -> Result<Self, Refusal> {
        let mut params = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            if !PARAMETERS.iter().any(|known| known.name == name) {
                continue;
            }
            let value = decode(value)?;
            let is_new = match name.as_str() {
                "query" => params.query.replace(value).is_none(),
                "operationName" => params.operation_name.replace(value).is_none(),
                "variables" => params.variables.replace(json(&name, &value)?).is_none(),
                "extensions" => params.extensions.replace(json(&name, &value)?).is_none(),
                _ => params.document_id.replace(value).is_none(),
            };
            if !is_new {
                return Err(Refusal::bad(format!("the parameter {name} is given twice")));
            }
        }
        Ok(params)
    }
}

/// Whether a document is named, and need not be sent.
pub fn names_document(extensions: &Map<String, Value>) -> bool {
    [PERSISTED_QUERY, DOCUMENT_ID].iter().any(|name| extensions.contains_key(*name))
}

impl Asked {
    /// What a body asks; at most this many operations.
    ///
    /// # Errors
    /// For what is no JSON in UTF-8, or has a parameter that is not what it should be.
    pub fn of_body(body: &[u8], most: usize) -> Result<Self, Refusal> {
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
            return serde_json::from_slice(body).map(Self::One).map_err(|error| explain(body, &error));
        }
        let batch: Vec<Params> = serde_json::from_slice(body).map_err(|error| explain(body, &error))?;
        match batch.len() {
            0 => Err(Refusal::bad("the batch is empty")),
            count if count > most => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                Code::BatchTooLarge,
                format!("a batch may have {most} operations, this one has {count}"),
            )),
            _ => Ok(Self::Batch(batch)),
        }
    }
}

/// Whether a body may be read as JSON. A form, or plain text, is what a page of another origin could have sent without
/// being asked whether it may.
///
/// # Errors
/// For any other content type, or another charset than UTF-8.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    check_media_type(headers, "application/json")
}

/// Refuses a body that is not of this type, or no UTF-8 by what it says.
pub fn check_media_type(headers: &HeaderMap, wanted: &str) -> Result<(), Refusal> {
    let refusal = |message: &str| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType, message);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !essence.trim().eq_ignore_ascii_case(wanted) {
        return Err(refusal(&format!("the body must be {wanted}")));
    }
    let charset = parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find_map(|(name, value)| name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"')));
    match charset {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") && !charset.eq_ignore_ascii_case("utf8") => {
            Err(refusal("the charset of the body must be utf-8"))
        }
        _ => Ok(()),
    }
}

/// Why a body cannot be read. Where, not what: the text of the parser's error would repeat the body.
fn explain(body: &[u8], error: &serde_json::Error) -> Refusal {
    if std::str::from_utf8(body).is_err() {
        return Refusal::bad("the body is not valid UTF-8");
    }
    let value = serde_json::from_slice::<Value>(body);
    let wrong = value.iter().flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    for value in wrong {
        let Some(params) = value.as_object() else {
            return Refusal::bad("a request must be an object in JSON");
        };
        for Parameter { name, expected, is_right } in PARAMETERS {
            if params.get(name).is_some_and(|value| !value.is_null() && !is_right(value)) {
                return Refusal::bad(format!("the parameter {name} must be {expected}"));
            }
        }
    }
    Refusal::bad(format!("the body is not a request in JSON: line {}, column {}", error.line(), error.column()))
}

/// A part of a URL, as forms write it.
fn decode(text: &str) -> Result<String, Refusal> {
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    let decoded = percent_decode(&bytes).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| Refusal::bad("the URL is not valid UTF-8"))
}

/// A parameter of a URL that is JSON; empty, it counts as left out.
fn json<T: for<'de> Deserialize<'de> + Default>(name: &str, text: &str) -> Result<T, Refusal> {
    if text.is_empty() {
        return Ok(T::default());
    }
    let parsed: Result<Option<T>, _> = serde_json::from_str(text);
    parsed
        .map(Option::unwrap_or_default)
        .map_err(|_| Refusal::bad(format!("the parameter {name} must be an object in JSON")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> String {
        match Asked::of_body(body.as_bytes(), 2) {
            Err(refusal) => refusal.message,
            Ok(asked) => format!("{asked:?}"),
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said() {
        for (body, said) in [
            ("", "the body is not a request in JSON: line 1, column 0"),
            ("{\"query\": 1}", "the parameter query must be a string"),
            ("{\"query\": \"{a}\", \"variables\": []}", "the parameter variables must be an object"),
            ("{\"query\": \"{a}\", \"extensions\": \"\"}", "the parameter extensions must be an object"),
            ("{\"query\": \"{a}\", \"operationName\": {}}", "the parameter operationName must be a string"),
            ("7", "a request must be an object in JSON"),
            ("[7]", "a request must be an object in JSON"),
            ("[]", "the batch is empty"),
            ("[{}, {}, {}]", "a batch may have 2 operations, this one has 3"),
            ("[{}, {\"query\": 1}]", "the parameter query must be a string"),
        ] {
            assert_eq!(message(body), said, "{body}");
        }
        let refusal = Asked::of_body(b"{\"query\": \"\xff\"}", 2).unwrap_err();
        assert_eq!(refusal.message, "the body is not valid UTF-8");
        assert!(matches!(Asked::of_body(b" [{\"query\": \"{a}\"}]", 2), Ok(Asked::Batch(batch)) if batch.len() == 1));
    }

    #[test]
    fn a_url_is_read_as_forms_write_it() {
        let params =
            Params::of_url("query=%7B+a%20%7D&variables=%7B%22x%22%3A1%7D&operationName=&unknown=%ff").unwrap();
        assert_eq!(params.query.as_deref(), Some("{ a }"));
        let request = params.request().unwrap();
        assert_eq!((request.variables.len(), request.operation_name), (1, None));
        for (query, said) in [
            ("query=%ff", "the URL is not valid UTF-8"),
            ("query=a&query=b", "the parameter query is given twice"),
            ("query=a&variables=1", "the parameter variables must be an object in JSON"),
            ("query=a&variables=%7B", "the parameter variables must be an object in JSON"),
            ("query=a&extensions=[]", "the parameter extensions must be an object in JSON"),
        ] {
            assert_eq!(Params::of_url(query).unwrap_err().message, said, "{query}");
        }
        assert_eq!(Params::of_url("a=b").unwrap().request().unwrap_err().message, "the parameter query is missing");
        assert!(Params::of_url("query=a&variables=&extensions=null").unwrap().request().is_ok());
    }
}
