//! What an answer says to caches: for how long and for whom they may keep it, what it is called, and what is in it.
//! RFC 9111, RFC 5861, RFC 9110.
//!
//! Promises that an answer is public only if everything in it is, nothing went wrong, and its request had neither a
//! token nor a name; and that what comes with one `ETag` are the same bytes.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;

use super::accept::MediaType;
use super::settings::Cache;
use super::write::{NO_STORE, Written};
use crate::graphql::note::Keeping;
use crate::graphql::policy::{Policy, Scope};

/// By which what is kept can be purged.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
/// A client's own cache may keep it, and asks whether it is still right.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");
/// What follows a fingerprint in the `ETag` of an answer that was encoded.
const SUFFIXES: [&str; 3] = ["-zstd", "-br", "-gzip"];

/// What a request has to do with who may keep its answer.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// Whether the answer may be another for somebody else.
    pub is_somebody: bool,
    /// Whether the answer is what the address shows: that to a POST is none that can be asked for again.
    pub reads: bool,
}

/// The headers of an answer that nobody may keep.
pub fn never() -> HeaderMap {
    HeaderMap::from_iter([(header::CACHE_CONTROL, NO_STORE)])
}

/// The headers of an answer for caches.
pub fn headers(written: &Written, media_type: MediaType, asker: Asker, settings: &Cache) -> HeaderMap {
    let Keeping::Within { policy, tags } = &written.note.keeping else { return never() };
    let mut headers = HeaderMap::new();
    let policy = if asker.is_somebody { Policy::NONE } else { bounded(*policy, settings) };
    headers.insert(header::CACHE_CONTROL, control(policy, settings));
    if policy.is_public() && !tags.is_empty() {
        insert(&mut headers, CACHE_TAG, HeaderValue::from_maybe_shared(tags.clone()));
    }
    if asker.reads {
        let tag = format!("\"{}{}\"", written.note.fingerprint(&written.bytes), letter(media_type));
        insert(&mut headers, header::ETAG, HeaderValue::try_from(tag));
    }
    headers
}

/// Takes the place of what there was of this name. All that is made here are visible letters.
fn insert<E>(headers: &mut HeaderMap, name: HeaderName, value: Result<HeaderValue, E>) {
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

/// No longer than an operator allows.
fn bounded(policy: Policy, settings: &Cache) -> Policy {
    match policy.scope {
        Scope::Public if settings.max_age_s == 0 => Policy::NONE,
        Scope::Public => Policy { seconds: policy.seconds.min(settings.max_age_s), ..policy },
        Scope::Private => policy,
    }
}

fn control(policy: Policy, settings: &Cache) -> HeaderValue {
    let Policy { seconds, scope } = policy;
    let text = match (scope, settings.stale_while_revalidate_s) {
        _ if seconds == 0 => return ASK_AGAIN,
        (Scope::Private, _) => format!("private, max-age={seconds}"),
        (Scope::Public, 0) => format!("public, max-age={seconds}"),
        (Scope::Public, longer) => format!("public, max-age={seconds}, stale-while-revalidate={longer}"),
    };
    HeaderValue::try_from(text).unwrap_or(ASK_AGAIN)
}

/// The same bytes of another type are another answer.
fn letter(media_type: MediaType) -> char {
    match media_type {
        MediaType::Response => 'r',
        MediaType::Json => 'j',
    }
}

/// What a client says that it has.
pub struct Known {
    is_read: bool,
    tags: Vec<HeaderValue>,
}

impl Known {
    pub fn of(request: &Request) -> Self {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        Self { is_read, tags: request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect() }
    }

    /// Gives each coding of an answer an `ETag` of its own, and sends no body to who has it: 304.
    pub fn validate(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        let Some(base) =
            headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).and_then(opaque).map(str::to_owned)
        else {
            return response;
        };
        let coding = headers.get(header::CONTENT_ENCODING).and_then(|coding| coding.to_str().ok());
        // A file that is there in a coding has its tag already.
        if let Some(coding) = coding.filter(|coding| !base.ends_with(&format!("-{coding}"))) {
            let tag = HeaderValue::try_from(format!("\"{base}-{coding}\""));
            insert(headers, header::ETAG, tag);
        }
        if !self.is_read || response.status() != StatusCode::OK {
            return response;
        }
        let texts = self.tags.iter().filter_map(|value| value.to_str().ok());
        match texts.flat_map(Listed).find(|listed| is_same(listed, &base)) {
            Some(listed) => not_modified(response, (listed != "*").then_some(listed)),
            None => response,
        }
    }
}

/// That what a client has is right: of its codings, the one that it named.
fn not_modified(response: Response, named: Option<&str>) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    if let Some(named) = named {
        insert(&mut parts.headers, header::ETAG, HeaderValue::try_from(format!("\"{named}\"")));
    }
    Response::from_parts(parts, axum::body::Body::empty())
}

/// Whether a tag, or `*`, means what has this fingerprint, in any coding.
fn is_same(listed: &str, base: &str) -> bool {
    listed == "*" || listed.strip_prefix(base).is_some_and(|rest| rest.is_empty() || SUFFIXES.contains(&rest))
}

/// What stands between the quotes of a strong tag.
fn opaque(tag: &str) -> Option<&str> {
    tag.strip_prefix('"')?.strip_suffix('"')
}

/// The tags of a list, without their quotes, and whether weak or not: RFC 9110, 8.8.3 and 13.1.2.
struct Listed<'a>(&'a str);

impl<'a> Iterator for Listed<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches([',', ' ', '\t']);
        if let Some(rest) = rest.strip_prefix('*') {
            self.0 = rest;
            return Some("*");
        }
        let rest = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (tag, rest) = rest.split_once('"')?;
        self.0 = rest;
        Some(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags_are_read() {
        let listed = |text: &'static str| Listed(text).collect::<Vec<_>>();
        assert_eq!(listed("\"a\""), ["a"]);
        assert_eq!(listed("W/\"a\" , \"b,c\",,\"\""), ["a", "b,c", ""]);
        assert_eq!(listed("*"), ["*"]);
        assert_eq!(listed("\"a\", b, \"c\""), ["a"]);
        assert_eq!(listed("\"a"), [""; 0]);
        assert_eq!(listed("w/\"a\""), [""; 0]);
    }

    #[test]
    fn a_tag_is_the_same_in_any_coding() {
        for (listed, same) in [
            ("abc", true),
            ("abc-br", true),
            ("abc-gzip", true),
            ("abc-zstd", true),
            ("*", true),
            ("abc-", false),
            ("abc-brr", false),
            ("ab", false),
            ("abcd", false),
            ("-br", false),
        ] {
            assert_eq!(is_same(listed, "abc"), same, "{listed}");
        }
    }

    #[test]
    fn the_stricter_of_type_and_operator_counts() {
        let of = |seconds, scope, max_age_s, stale_while_revalidate_s| {
            let settings = Cache { max_age_s, stale_while_revalidate_s };
            control(bounded(Policy { seconds, scope }, &settings), &settings)
        };
        assert_eq!(of(10, Scope::Public, 60, 30), "public, max-age=10, stale-while-revalidate=30");
        assert_eq!(of(90, Scope::Public, 60, 0), "public, max-age=60");
        assert_eq!(of(90, Scope::Public, 0, 30), "private, no-cache");
        assert_eq!(of(0, Scope::Public, 60, 30), "private, no-cache");
        assert_eq!(of(90, Scope::Private, 60, 30), "private, max-age=90");
        assert_eq!(of(0, Scope::Private, 60, 30), "private, no-cache");
    }
}
