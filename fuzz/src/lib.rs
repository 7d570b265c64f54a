//! What must hold of anything that a stranger sends. Each body panics where it does not: `./test` gives them what
//! proptest makes up, cargo-fuzz what it finds.

use std::sync::{Arc, LazyLock};

use async_graphql::{ID, Request, Variables};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shoal::config::Config;
use shoal::data::list::Listing;
use shoal::data::page::{Cursor, PageArgs, PageSpec};
use shoal::data::position::Keys;
use shoal::graphql::context::Settings;
use shoal::graphql::prepare::Preparation;
use shoal::graphql::{error, id, post, table};

static SETTINGS: LazyLock<Arc<Settings>> = LazyLock::new(|| Arc::new(Config::default().graphql));
static PREPARATION: LazyLock<Arc<Preparation>> =
    LazyLock::new(|| Arc::new(Preparation::new(table(), SETTINGS.clone())));
static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(vec![b"key".to_vec(), b"previous".to_vec()]));

/// What a refusal of a document may be.
const REFUSALS: [&str; 7] = [
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "OPERATION_RESOLUTION_FAILURE",
    "BAD_USER_INPUT",
    "QUERY_TOO_LARGE",
    "QUERY_TOO_COMPLEX",
    "INTROSPECTION_DISABLED",
];

/// Any text as a document.
pub fn guard(text: &str) {
    prepared(Request::new(text));
}

/// Any JSON as variables.
pub fn variables(text: &str) {
    let Ok(values) = serde_json::from_str::<Variables>(text) else { return };
    let query = "query($ids: [ID!]!, $n: Int) { nodes(ids: $ids) { id } posts(first: $n) { nodes { id } } }";
    prepared(Request::new(query).variables(values));
}

/// It is refused with a code and few words, or within all limits.
fn prepared(request: Request) {
    match PREPARATION.clone().prepare(request) {
        Ok(prepared) => assert!((1..=SETTINGS.max_price).contains(&prepared.price), "{}", prepared.price),
        Err(mut error) => {
            error::finish(&mut error, "0123456789abcdef");
            assert!(REFUSALS.contains(&error::code(&error).as_str()), "{error:?}");
            assert!(!error.message.is_empty() && error.message.chars().count() <= 501, "{}", error.message);
        }
    }
}

/// Any text as a cursor; and any bytes behind what tells the list and order of a real one.
pub fn cursor(bytes: &[u8]) {
    let listing = post::BY_AUTHOR.select(Vec::new(), None).expect("a list has an order");
    if let Ok(text) = std::str::from_utf8(bytes) {
        page(text, &listing);
    }
    let empty: Cursor = serde_json::from_str("[]").expect("a cursor of nothing");
    let mut inside = URL_SAFE_NO_PAD.decode(empty.encode(&listing)).expect("a cursor is base64");
    // Its length, which is 0.
    inside.pop();
    inside.extend(bytes);
    page(&URL_SAFE_NO_PAD.encode(inside), &listing);
}

fn page<R: shoal::data::Record>(cursor: &str, listing: &Listing<R>) {
    let args = PageArgs { after: Some(cursor.to_owned()), ..PageArgs::default() };
    if let Err(error) = PageSpec::new(&args, SETTINGS.page_limits(), listing) {
        assert!(error.is_clients(), "{error:?}");
    }
}

/// Any text as a global id: an object has one, and no other.
pub fn id(text: &str) {
    for text in [text.to_owned(), URL_SAFE_NO_PAD.encode(text)] {
        match id::split(&ID(text.clone())) {
            Ok((name, key)) => assert_eq!(URL_SAFE_NO_PAD.encode(format!("{name}:{key}")), text),
            Err(error) => assert!(error.is_clients(), "{error:?}"),
        }
    }
}

/// Any text as a token: only what was signed is one.
pub fn token(text: &str) {
    if let Some(token) = KEYS.read(text) {
        let resigned = [&b"key"[..], b"previous"].map(|key| Keys::new(vec![key.to_vec()]).sign(token));
        assert!(resigned.iter().any(|signed| signed == text), "{text}");
    }
}
