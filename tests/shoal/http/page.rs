//! GraphiQL, as a browser loads it. That it works is shown in `tests/clients`.

use std::sync::Arc;

use reqwest::Client;

use super::{Answer, coding};
use crate::support::{Backend, Database, TestApp};

async fn load(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = headers.iter().fold(client.get(app.at(path)), |request, (name, value)| request.header(*name, *value));
    Answer::of(request).await
}

#[tokio::test]
async fn nothing_is_loaded_from_elsewhere() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let page = load(&app, "/", &[("accept", "text/html")]).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    assert!(page.header("content-security-policy").starts_with("default-src 'self';"));
    assert_eq!((page.header("x-content-type-options"), page.header("cache-control")), ("nosniff", "no-cache"));
    let again = load(&app, "/", &[("if-none-match", page.header("etag"))]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));

    let html = String::from_utf8(page.body).unwrap();
    let attributes = html.split("src=\"").chain(html.split("href=\"")).filter(|rest| !rest.starts_with('<'));
    let paths: Vec<_> = attributes.filter_map(|rest| rest.split('"').next()).collect();
    let mut packed_files = 0;
    for path in paths {
        assert!(!path.contains("//"), "{path}");
        let path = format!("/{}", path.trim_start_matches("./").trim_start_matches('/'));
        let plain = load(&app, &path, &[("accept-encoding", "identity")]).await;
        assert_eq!(plain.status, 200, "{path}");
        if plain.body.len() <= 1024 {
            continue;
        }
        packed_files += 1;
        let packed = load(&app, &path, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!((plain.status, packed.status, packed.header("content-encoding")), (200, 200, "br"), "{path}");
        assert!(plain.headers.get("content-encoding").is_none());
        assert_eq!(coding::decoded("br", &packed.body), plain.body, "{path}");
        assert!(plain.header("etag") != packed.header("etag"), "{path}");
        assert_eq!(packed.header("cache-control"), "public, max-age=31536000, immutable");
        assert!(packed.header("vary").contains("accept-encoding"), "{path}");
        assert!(["text/javascript", "text/css"].contains(&packed.header("content-type")), "{path}");
        // A client that takes something else gets it from the plain form.
        let other = load(&app, &path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(other.header("content-encoding"), "gzip");
        assert_eq!(coding::decoded("gzip", &other.body), plain.body, "{path}");
    }
    assert!(packed_files >= 2, "{html}");
    assert_eq!(load(&app, "/assets/nothing.js", &[]).await.status, 404);
}

#[tokio::test]
async fn a_browser_finds_it_at_the_address_of_the_graph() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let browser = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    let sent_on = load(&app, "/graphql", &[browser]).await;
    assert_eq!((sent_on.status, sent_on.header("location")), (303, "./"));
    let asked = load(&app, "/graphql?query=%7B__typename%7D", &[browser]).await;
    assert_eq!((asked.status, asked.json()["data"]["__typename"].as_str()), (200, Some("Query")));
    assert_eq!(load(&app, "/graphql", &[("accept", "application/json")]).await.code(), "BAD_REQUEST");

    let database = Arc::new(Database::empty(Backend::Sqlite).await);
    let without = TestApp::start(database, &[("SHOAL_HTTP__GRAPHIQL", "false")]).await;
    assert_eq!(load(&without, "/", &[browser]).await.status, 404);
    assert_eq!(load(&without, "/graphql", &[browser]).await.code(), "BAD_REQUEST");
}
