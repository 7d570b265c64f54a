//! Whose pages may ask. <https://fetch.spec.whatwg.org/#http-cors-protocol>

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use url::Url;

/// How long a browser may remember what it was told.
const MAX_AGE: Duration = Duration::from_secs(7200);

/// Origins other than the server's own whose pages may ask.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    is_any: bool,
    listed: Vec<HeaderValue>,
}

impl Origins {
    /// Of a list of origins, or of `*` for all.
    ///
    /// # Errors
    /// For a text that is no origin: a scheme, a host, perhaps a port, and nothing else.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let mut origins = Self::default();
        for text in texts {
            if text == "*" {
                origins.is_any = true;
                continue;
            }
            let url = Url::parse(text).ok().filter(|url| url.origin().ascii_serialization() == *text);
            match url.map(|_| HeaderValue::try_from(text)) {
                Some(Ok(origin)) => origins.listed.push(origin),
                _ => return Err(format!("{text} is no origin, such as https://example.org")),
            }
        }
        Ok(origins)
    }

    /// Whether a request comes from no page, from one of the server's own, or from one that is listed.
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            // Without one, it is no page that asks across origins with leave.
            return headers.get("sec-fetch-site").is_none_or(|site| site != "cross-site");
        };
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let authority =
            origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest.as_bytes());
        self.is_any || self.listed.contains(origin) || (authority.is_some() && authority == host)
    }

    /// What tells browsers so; none where no other origin may ask.
    pub fn layer(&self) -> Option<CorsLayer> {
        if !self.is_any && self.listed.is_empty() {
            return None;
        }
        let exposed = ["shoal-token", "x-request-id", "retry-after", "etag"].map(HeaderName::from_static);
        let layer = CorsLayer::new()
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(exposed)
            .max_age(MAX_AGE);
        // Whoever may be anybody gets no cookies.
        Some(match self.is_any {
            true => layer.allow_origin(AllowOrigin::any()),
            false => layer.allow_origin(AllowOrigin::list(self.listed.iter().cloned())).allow_credentials(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_listed_origins_may_ask() {
        let origins = Origins::parse(&["https://a.example".to_owned(), "http://b.example:8080".to_owned()]).unwrap();
        let allow = |origins: &Origins, pairs: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            origins.allow(&pairs.iter().map(pair).collect())
        };
        for (pairs, is_allowed) in [
            (&[][..], true),
            (&[("origin", "https://a.example")], true),
            (&[("origin", "http://b.example:8080")], true),
            (&[("origin", "http://b.example")], false),
            (&[("origin", "https://a.example.evil")], false),
            (&[("origin", "null"), ("host", "null")], false),
            (&[("origin", "http://c.example:1"), ("host", "c.example:1")], true),
            (&[("origin", "http://c.example:1"), ("host", "c.example:2")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-origin")], true),
        ] {
            assert_eq!(allow(&origins, pairs), is_allowed, "{pairs:?}");
        }
        assert!(allow(&Origins::parse(&["*".to_owned()]).unwrap(), &[("origin", "https://c.example")]));
        for text in ["a.example", "https://a.example/", "https://a.example/path", "", "https://user@a.example"] {
            assert!(Origins::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
