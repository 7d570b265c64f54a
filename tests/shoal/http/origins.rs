//! Pages of other origins, and what browsers are told.

use super::{Answer, NAME};
use crate::support::{Backend, Database, TestApp};

async fn preflight(app: &TestApp, origin: &str) -> Answer {
    let request = reqwest::Client::new().request(reqwest::Method::OPTIONS, app.at("/graphql"));
    let request = request.header("origin", origin).header("access-control-request-method", "POST");
    Answer::of(request.header("access-control-request-headers", "content-type, shoal-token")).await
}

async fn post(app: &TestApp, origin: &str) -> Answer {
    let request = reqwest::Client::new().post(app.at("/graphql")).header("content-type", "application/json");
    Answer::of(request.header("origin", origin).body(NAME)).await
}

#[tokio::test]
async fn no_other_origin_may_ask_unless_it_is_listed() {
    let app = TestApp::empty(Backend::Sqlite).await;
    for answer in [preflight(&app, "https://shop.example").await, post(&app, "https://shop.example").await] {
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{:?}", answer.headers);
    }

    let listed = ("SHOAL_HTTP__CORS_ORIGINS", "[\"https://shop.example\"]");
    let app = TestApp::start(Database::empty(Backend::Sqlite).await.into(), &[listed]).await;
    let allowed = preflight(&app, "https://shop.example").await;
    assert_eq!(allowed.header("access-control-allow-origin"), "https://shop.example");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    assert!(allowed.header("access-control-allow-methods").contains("POST"));
    assert_eq!(allowed.header("access-control-allow-headers"), "content-type, shoal-token");
    let answer = post(&app, "https://shop.example").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "https://shop.example"));
    assert!(answer.header("access-control-expose-headers").contains("shoal-token"));
    let other = preflight(&app, "https://evil.example").await;
    assert!(other.headers.get("access-control-allow-origin").is_none());
    let plain = Answer::of(reqwest::Client::new().request(reqwest::Method::OPTIONS, app.at("/graphql"))).await;
    assert_eq!(plain.header("allow"), "GET, HEAD, POST, OPTIONS");

    let all = ("SHOAL_HTTP__CORS_ORIGINS", "[\"*\"]");
    let app = TestApp::start(Database::empty(Backend::Sqlite).await.into(), &[all]).await;
    let allowed = preflight(&app, "https://any.example").await;
    assert_eq!(allowed.header("access-control-allow-origin"), "*");
    assert!(allowed.headers.get("access-control-allow-credentials").is_none());
}

/// What a form, an image or a link of another site can send.
#[tokio::test]
async fn what_a_page_can_send_unasked_is_refused() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let client = reqwest::Client::new();
    let url = app.at("/graphql?query=%7B__typename%7D");
    for mode in ["no-cors", "cors", "navigate"] {
        let request = client.get(&url).header("sec-fetch-site", "cross-site").header("sec-fetch-mode", mode);
        let answer = Answer::of(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "FORBIDDEN"), "{mode}");
    }
    for site in ["same-origin", "same-site", "none"] {
        assert_eq!(Answer::of(client.get(&url).header("sec-fetch-site", site)).await.status, 200, "{site}");
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer = Answer::of(client.post(app.at("/graphql")).header("content-type", content_type).body(NAME)).await;
        assert_eq!(answer.status, 415, "{content_type}");
    }
    for path in ["/", "/graphql?query=%7B__typename%7D", "/livez", "/health", "/metrics", "/nothing"] {
        assert_eq!(Answer::of(client.get(app.at(path))).await.header("x-content-type-options"), "nosniff", "{path}");
    }
}
