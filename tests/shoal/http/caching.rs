//! What caches are told: for how long and for whom they may keep an answer, whether it is still right, what is in it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::Answer;
use crate::on_both;
use crate::support::{Backend, CACHES_OFF, Database, TestApp};

on_both!(
    public_is_what_is_public_in_all_its_parts,
    a_draft_is_nobody_elses,
    what_was_made_of_a_request_alone_is_private,
    a_change_is_another_answer,
    a_kept_answer_says_the_same,
);

const PRODUCT: &str = "public, max-age=10, stale-while-revalidate=30";
const POST: &str = "public, max-age=30, stale-while-revalidate=30";
const TAG: &str = "public, max-age=60, stale-while-revalidate=30";
const PRIVATE: &str = "private, no-cache";
const NEVER: &str = "private, no-store";
/// Long enough to be compressed.
const LONG: &str = "{ products(first: 50) { nodes { id name } } }";

fn id(name: &str, key: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{name}:{key}"))
}

/// The address of a query.
fn address(app: &TestApp, query: &str) -> String {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    app.at(&format!("/graphql?query={query}"))
}

async fn get_with(app: &TestApp, query: &str, headers: &[(&str, &str)]) -> Answer {
    let request = reqwest::Client::new().get(address(app, query));
    Answer::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

async fn get(app: &TestApp, query: &str) -> Answer {
    get_with(app, query, &[]).await
}

async fn post(app: &TestApp, body: &Value) -> Answer {
    let request = reqwest::Client::new().post(app.at("/graphql")).header("content-type", "application/json");
    Answer::of(request.body(body.to_string())).await
}

/// As the primary has it.
async fn latest(app: &TestApp, query: &str, seen: &str) -> Answer {
    get_with(app, query, &[("cache-control", "no-cache"), ("if-none-match", seen)]).await
}

/// What an answer to a query without errors says.
async fn control(app: &TestApp, query: &str) -> String {
    let answer = latest(app, query, "\"\"").await;
    assert_eq!(answer.json().get("errors"), None, "{query}: {}", answer.json());
    assert!(answer.header("etag").len() > 20, "{query}");
    assert_eq!(answer.header("cache-tag").is_empty(), !answer.header("cache-control").contains("public"), "{query}");
    answer.header("cache-control").to_owned()
}

async fn public_is_what_is_public_in_all_its_parts(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let (product, post_id, user) = (id("Product", 1), id("Post", 1), id("User", 71));
    let entity = |name: &str, id: &str| {
        format!("{{ _entities(representations: [{{ __typename: \"{name}\", id: \"{id}\" }}]) {{ __typename }} }}")
    };
    for (query, expected) in [
        (format!("{{ product(id: \"{product}\") {{ name stock unitsSold price {{ amount }} }} }}"), PRODUCT),
        ("{ products(first: 3) { nodes { name } pageInfo { endCursor } totalCount } }".to_owned(), PRODUCT),
        (format!("{{ post(id: \"{post_id}\") {{ title body commentCount tags {{ nodes {{ name }} }} }} }}"), POST),
        ("{ posts(first: 3) { edges { node { title } } } tags { nodes { name } } }".to_owned(), POST),
        ("{ tags { nodes { name } } }".to_owned(), TAG),
        ("{ tag(name: \"nothing\") { id } }".to_owned(), TAG),
        (format!("{{ node(id: \"{product}\") {{ id }} }}"), PRODUCT),
        (format!("{{ nodes(ids: [\"{product}\", \"{post_id}\"]) {{ id }} }}"), PRODUCT),
        // Somebody is in it.
        (format!("{{ product(id: \"{product}\") {{ name buyers {{ nodes {{ id }} }} }} }}"), PRIVATE),
        (format!("{{ product(id: \"{product}\") {{ name buyers {{ totalCount }} }} }}"), PRIVATE),
        (format!("{{ post(id: \"{post_id}\") {{ title author {{ name }} }} }}"), PRIVATE),
        (format!("{{ product(id: \"{product}\") {{ name }} user(id: \"{user}\") {{ id }} }}"), PRIVATE),
        (format!("{{ node(id: \"{user}\") {{ id }} }}"), PRIVATE),
        (format!("{{ nodes(ids: [\"{product}\", \"{user}\"]) {{ id }} }}"), PRIVATE),
        (entity("Product", &product), PRODUCT),
        (entity("User", &user), PRIVATE),
        (entity("Job", &id("Job", 1)), PRIVATE),
        (format!("{{ node(id: \"{}\") {{ id }} }}", id("Job", 1)), PRIVATE),
        ("{ jobs { totalCount } }".to_owned(), PRIVATE),
        ("{ viewer { role } }".to_owned(), PRIVATE),
        ("{ __typename }".to_owned(), PRIVATE),
        ("{ __schema { queryType { name } } }".to_owned(), PRIVATE),
    ] {
        assert_eq!(control(&app, &query).await, expected, "{query}");
    }
}

async fn a_draft_is_nobody_elses(backend: Backend) {
    let app = TestApp::empty(backend).await;
    let shop = Community::on(&app).await;
    let (draft, published) = (shop.post(false).await, shop.post(true).await);
    let node = |id: &str| format!("{{ node(id: \"{id}\") {{ id }} }}");
    let looked_up = |id: &str| format!("{{ post(id: \"{id}\") {{ title }} }}");
    for query in [looked_up(&published), node(&published), "{ posts { nodes { title } } }".to_owned()] {
        assert_eq!(control(&app, &query).await, POST, "{query}");
    }
    for query in [
        looked_up(&draft),
        node(&draft),
        "{ posts(filter: { status: DRAFT }) { nodes { title } } }".to_owned(),
        "{ posts(filter: { status: DRAFT }) { totalCount } }".to_owned(),
        // Though there is none.
        "{ posts(filter: { status: ARCHIVED }) { nodes { title } } }".to_owned(),
    ] {
        assert_eq!(control(&app, &query).await, PRIVATE, "{query}");
    }
}

async fn what_was_made_of_a_request_alone_is_private(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let query = "{ products(first: 2) { nodes { name } } }";
    let wrong = "{ products(first: 2) { nodes { name } } product(id: \"x\") { name } }";
    let failed = get(&app, wrong).await;
    assert!(failed.json()["data"]["products"].is_object() && failed.json()["errors"].is_array(), "{}", failed.json());
    let refused = get(&app, "{ nothing }").await;
    let mutation =
        post(&app, &json!({ "query": "mutation { publishPost(input: { id: \"x\" }) { post { id } } }" })).await;
    let batch = post(&app, &json!([{ "query": query }, { "query": query }])).await;
    let by_get = Answer::of(reqwest::Client::new().delete(app.at("/graphql"))).await;
    for answer in [failed, refused, mutation, batch, by_get] {
        let found = (answer.header("cache-control"), answer.header("etag"), answer.header("cache-tag"));
        assert_eq!(found, (NEVER, "", ""), "{}", answer.json());
    }
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("shoal-token", "x"),
        ("cookie", "theme=dark; shoal-token=x"),
        ("shoal-trace", "1"),
        ("shoal-cost", "1"),
    ] {
        let answer = get_with(&app, query, &[(name, value)]).await;
        assert_eq!((answer.header("cache-control"), answer.header("cache-tag")), (PRIVATE, ""), "{name}");
        assert!(!answer.header("etag").is_empty(), "{name}");
    }
    // One that wants the latest gets what others may have, too.
    for headers in [&[("cache-control", "no-cache")][..], &[("cookie", "theme=dark")], &[]] {
        let answer = get_with(&app, query, headers).await;
        assert_eq!(answer.header("cache-control"), PRODUCT, "{headers:?}");
        let vary = answer.header("vary");
        assert_eq!(vary, "accept, accept-encoding, authorization, cookie, shoal-token", "{headers:?}");
    }
    // What a POST is answered with is not what its address shows.
    let posted = post(&app, &json!({ "query": query })).await;
    assert_eq!((posted.header("cache-control"), posted.header("etag")), (PRODUCT, ""));
    assert_eq!(posted.body, get(&app, query).await.body);
}

async fn a_change_is_another_answer(backend: Backend) {
    let app = TestApp::empty(backend).await;
    let community = Community::on(&app).await;
    let (first, other) = (community.product("A-1").await, community.product("A-2").await);
    let query = format!("{{ product(id: \"{first}\") {{ name }} }}");
    let before = latest(&app, &query, "\"\"").await;
    assert_eq!((before.status, before.header("cache-tag")), (200, "Product:1"));
    let tag = before.header("etag");
    let same = latest(&app, &query, tag).await;
    assert_eq!((same.status, same.header("etag"), same.body.len()), (304, tag, 0));
    community.rename(&other, "Another").await;
    assert_eq!(latest(&app, &query, tag).await.status, 304);
    let token = community.rename(&first, "New").await;
    let seen = [("if-none-match", tag), ("shoal-token", &token)];
    let after = get_with(&app, &query, &seen).await;
    assert_eq!((after.status, after.header("cache-control")), (200, PRIVATE));
    assert_eq!(after.json()["data"]["product"]["name"], "New");
    let seen = [("if-none-match", after.header("etag")), ("shoal-token", &token)];
    let same = get_with(&app, &query, &seen).await;
    assert_eq!((same.status, same.header("cache-control")), (304, PRIVATE));
    assert_ne!(after.header("etag"), tag);

    let tags = async |query: &str| latest(&app, query, "\"\"").await.header("cache-tag").to_owned();
    assert_eq!(tags("{ products { nodes { id } } }").await, "Product,Product:1,Product:2");
    assert_eq!(tags("{ products(first: 1) { edges { node { id } } } }").await, "Product,Product:2");
    assert_eq!(tags("{ products { totalCount } }").await, "Product");
    assert_eq!(tags(&format!("{{ product(id: \"{first}\") {{ unitsSold }} }}")).await, "Order,Product:1");
    assert_eq!(tags("{ productBySku(sku: \"A-2\") { id } }").await, "Product:2");
    assert_eq!(tags("{ productBySku(sku: \"A-3\") { id } }").await, "Product");
    assert_eq!(tags(&format!("{{ nodes(ids: [\"{first}\", \"{other}\"]) {{ id }} }}")).await, "Product:1,Product:2");
    let post = community.post(true).await;
    let shown = format!("{{ a: post(id: \"{post}\") {{ commentCount }} tag(name: \"x\") {{ id }} }}");
    assert_eq!(tags(&shown).await, "Comment,Tag,Post:1");
    // With that many objects, only their types are told.
    for number in 3..=101 {
        community.product(&format!("A-{number}")).await;
    }
    let (most, more) = ("{ products(first: 100) { nodes { id } } }", "a: product(id: ");
    let named = tags(most).await;
    assert_eq!(named.split(',').count(), 101, "{named}");
    assert_eq!(tags(&format!("{{ {more}\"{first}\") {{ id }} {}", &most[2..])).await, "Product");
}

async fn a_kept_answer_says_the_same(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.caches().await;
    let query = "{ products(first: 30) { nodes { id name price { amount } } } tags { nodes { name } } }";
    let first = get(&app, query).await;
    assert_eq!(first.header("cache-control"), PRODUCT);
    crate::support::eventually("the answer to be kept", async || {
        assert_eq!(post(&app, &json!({ "query": query })).await.body, first.body);
        app.metric("shoal_cache_hits_total", "resource=\"answers\"").await > 0.0
    })
    .await;
    let again = get(&app, query).await;
    for name in ["cache-control", "cache-tag", "etag", "vary", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!(again.body, first.body);
    let same = get_with(&app, query, &[("if-none-match", first.header("etag"))]).await;
    assert_eq!(same.status, 304);
}

#[tokio::test]
async fn each_coding_has_a_tag_of_its_own_and_all_are_known() {
    let app = TestApp::demo(Backend::Sqlite).await;
    let plain = get_with(&app, LONG, &[("accept-encoding", "identity")]).await;
    let base = plain.header("etag").trim_matches('"').to_owned();
    let mut all = vec![format!("\"{base}\"")];
    for coding in ["zstd", "br", "gzip"] {
        let answer = get_with(&app, LONG, &[("accept-encoding", coding)]).await;
        assert_eq!(answer.header("content-encoding"), coding);
        assert_eq!(answer.header("etag"), format!("\"{base}-{coding}\""));
        all.push(answer.header("etag").to_owned());
    }
    for tag in &all {
        for coding in ["identity", "zstd", "br", "gzip"] {
            let sent = [("accept-encoding", coding), ("if-none-match", tag)];
            let answer = get_with(&app, LONG, &sent).await;
            assert_eq!((answer.status, answer.header("etag"), answer.body.len()), (304, &**tag, 0), "{coding}");
            for name in ["content-encoding", "content-type", "content-length"] {
                assert!(answer.headers.get(name).is_none(), "{name}");
            }
            for name in ["cache-control", "cache-tag", "vary"] {
                assert_eq!(answer.header(name), plain.header(name), "{name}");
            }
        }
    }
    let star = get_with(&app, LONG, &[("if-none-match", "*"), ("accept-encoding", "gzip")]).await;
    assert_eq!((star.status, star.header("etag")), (304, &*all[3]));
    for (listed, status) in [
        (format!("\"x\", W/{}", all[1]), 304),
        (format!("{}, \"x\"", all[0]), 304),
        ("\"x\"".to_owned(), 200),
        (base.clone(), 200),
        (format!("\"{base}-\""), 200),
    ] {
        assert_eq!(get_with(&app, LONG, &[("if-none-match", &listed)]).await.status, status, "{listed}");
    }
    // Another type is another answer.
    let accept = ("accept", "application/graphql-response+json");
    let other = get_with(&app, LONG, &[accept, ("accept-encoding", "identity"), ("if-none-match", &all[0])]).await;
    assert_eq!((other.status, &other.body), (200, &plain.body));
    assert_ne!(other.header("content-type"), plain.header("content-type"));
    assert_ne!(other.header("etag"), plain.header("etag"));
    // GraphiQL's own files follow the same rules.
    let page = Answer::of(reqwest::Client::new().get(app.at("/")).header("accept-encoding", "br")).await;
    let known = reqwest::Client::new().get(app.at("/")).header("if-none-match", page.header("etag"));
    assert_eq!((page.status, Answer::of(known).await.status), (200, 304));
}

#[tokio::test]
async fn a_head_is_told_what_a_get_is() {
    let app = TestApp::demo(Backend::Sqlite).await;
    for coding in ["identity", "br"] {
        let got = get_with(&app, LONG, &[("accept-encoding", coding)]).await;
        let head = async |known: &str| {
            let request = reqwest::Client::new().head(address(&app, LONG)).header("accept-encoding", coding);
            Answer::of(request.header("if-none-match", known)).await
        };
        let told = head("\"x\"").await;
        for name in ["cache-control", "cache-tag", "etag", "vary", "content-type", "content-encoding"] {
            assert_eq!(told.header(name), got.header(name), "{name}");
        }
        assert_eq!((told.status, told.body.len(), head(got.header("etag")).await.status), (200, 0, 304));
    }
    // A tag is of what a GET shows; a POST does not show it.
    let tag = get(&app, LONG).await.header("etag").to_owned();
    let posted = reqwest::Client::new().post(app.at("/graphql")).json(&json!({ "query": LONG }));
    assert_eq!(Answer::of(posted.header("if-none-match", tag)).await.status, 200);
}

#[tokio::test]
async fn an_operator_has_the_last_word() {
    let database = std::sync::Arc::new(Database::demo(Backend::Sqlite).await);
    let with = async |age: &str, longer: &str| {
        let settings = [("SHOAL_HTTP__CACHE__MAX_AGE_S", age), ("SHOAL_HTTP__CACHE__STALE_WHILE_REVALIDATE_S", longer)];
        let app = TestApp::start(database.clone(), &[&settings[..], &[CACHES_OFF]].concat()).await;
        (control(&app, "{ tags { nodes { name } } }").await, control(&app, LONG).await)
    };
    assert_eq!(with("20", "5").await, (TAG.replace("60", "20").replace("30", "5"), PRODUCT.replace("30", "5")));
    assert_eq!(with("20", "0").await, ("public, max-age=20".to_owned(), "public, max-age=10".to_owned()));
    assert_eq!(with("0", "30").await, (PRIVATE.to_owned(), PRIVATE.to_owned()));
}

/// What a test changes, by mutations.
struct Community<'a> {
    app: &'a TestApp,
    author: String,
}

impl<'a> Community<'a> {
    async fn on(app: &'a TestApp) -> Self {
        let input = json!({ "email": "a@example.org", "name": "A", "role": "AUTHOR" });
        let author = done(app, "createUser", "user", input).await.0;
        Self { app, author }
    }

    /// A new post; its id.
    async fn post(&self, is_published: bool) -> String {
        let input = json!({ "authorId": self.author, "title": "T", "body": "B" });
        let id = done(self.app, "createPost", "post", input).await.0;
        if is_published {
            done(self.app, "publishPost", "post", json!({ "id": id })).await;
        }
        id
    }

    async fn product(&self, sku: &str) -> String {
        let input = json!({ "sku": sku, "name": "P", "price": { "amount": "1", "currencyCode": "EUR" } });
        done(self.app, "createProduct", "product", input).await.0
    }

    /// Renames a product; the token of that.
    async fn rename(&self, id: &str, name: &str) -> String {
        done(self.app, "updateProduct", "product", json!({ "id": id, "name": name })).await.1
    }
}

/// Does a mutation; the id of its object, and its token.
async fn done(app: &TestApp, mutation: &str, field: &str, input: Value) -> (String, String) {
    let kind = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
    let query = format!(
        "mutation($input: {kind}!) {{ {mutation}(input: $input) {{ {field} {{ id }} userErrors {{ message }} }} }}"
    );
    let answer = post(app, &json!({ "query": query, "variables": { "input": input } })).await;
    let json = answer.json();
    let id = json["data"][mutation][field]["id"].as_str().unwrap_or_else(|| panic!("{json}")).to_owned();
    assert_eq!(answer.header("cache-control"), NEVER);
    (id, answer.header("shoal-token").to_owned())
}
