use serde_json::json;

use super::*;

fn named(trusted: Trust, persisted: bool, manifest: Manifest) -> Named {
    let settings = Settings { persisted, trusted, manifests: None };
    Named::new(&settings, manifest, Texts::new(None, "test", 1 << 20))
}

fn request(query: &str, extensions: serde_json::Value) -> Request {
    let mut request = Request::new(query);
    for (name, value) in extensions.as_object().unwrap() {
        request.extensions.insert(name.clone(), Value::from_json(value.clone()).unwrap());
    }
    request
}

fn by_hash(document: &str) -> serde_json::Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hex(&hash(document)) } })
}

async fn resolved(named: &Named, query: &str, extensions: serde_json::Value) -> Result<(String, bool), String> {
    let mut request = request(query, extensions);
    let is_new = named.resolve(&mut request).await.map_err(|error| crate::graphql::error::code(&error))?;
    Ok((request.query, is_new))
}

fn manifest() -> (tempfile::TempDir, Manifest) {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("one.graphql", "{ one }");
    write("relay.json", r#"{ "aa": "{ relay }", "bb": "{ one }" }"#);
    let apollo = json!({
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [{ "id": "cc", "name": "Apollo", "type": "query", "body": "{ apollo }" }],
    });
    write("apollo.json", &apollo.to_string());
    write("README", "nothing");
    let manifest = Manifest::read(directory.path()).unwrap();
    (directory, manifest)
}

#[tokio::test]
async fn a_document_is_known_once_it_was_kept() {
    let named = named(Trust::Off, true, Manifest::default());
    assert_eq!(resolved(&named, "{ a }", json!({})).await, Ok(("{ a }".into(), false)));
    assert_eq!(resolved(&named, "", by_hash("{ a }")).await, Err("PERSISTED_QUERY_NOT_FOUND".into()));
    assert_eq!(resolved(&named, "{ a }", by_hash("{ a }")).await, Ok(("{ a }".into(), true)));
    // It has not proved to be one.
    assert_eq!(resolved(&named, "", by_hash("{ a }")).await, Err("PERSISTED_QUERY_NOT_FOUND".into()));
    named.keep("{ a }");
    assert_eq!(resolved(&named, "", by_hash("{ a }")).await, Ok(("{ a }".into(), false)));
    assert_eq!(resolved(&named, "{ b }", by_hash("{ a }")).await, Err("PERSISTED_QUERY_MISMATCH".into()));
    let id = format!("sha256:{}", hex(&hash("{ a }")).to_uppercase());
    assert_eq!(resolved(&named, "", json!({ "documentId": id })).await, Ok(("{ a }".into(), false)));
}

#[tokio::test]
async fn what_names_nothing_is_no_request() {
    let named = named(Trust::Off, true, Manifest::default());
    let hash = hex(&hash("{ a }"));
    for extension in [
        json!(7),
        json!({}),
        json!({ "version": 2, "sha256Hash": hash }),
        json!({ "version": 1 }),
        json!({ "version": 1, "sha256Hash": 7 }),
        json!({ "version": 1, "sha256Hash": &hash[1..] }),
        json!({ "version": 1, "sha256Hash": format!("{hash}00") }),
        json!({ "version": 1, "sha256Hash": hash.replace(&hash[..1], "x") }),
        json!({ "version": 1, "sha256Hash": "" }),
    ] {
        let refused = resolved(&named, "", json!({ "persistedQuery": extension })).await;
        assert_eq!(refused, Err("BAD_REQUEST".into()), "{extension}");
    }
    assert_eq!(resolved(&named, "", json!({ "documentId": 7 })).await, Err("BAD_REQUEST".into()));
    assert_eq!(resolved(&named, "", json!({ "documentId": "x" })).await, Err("PERSISTED_QUERY_NOT_FOUND".into()));
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let named = named(Trust::Off, false, Manifest::default());
    named.keep("{ a }");
    assert_eq!(resolved(&named, "", by_hash("{ a }")).await, Err("PERSISTED_QUERY_NOT_SUPPORTED".into()));
    assert_eq!(resolved(&named, "{ a }", by_hash("{ a }")).await.map(|(query, _)| query), Ok("{ a }".into()));
}

#[tokio::test]
async fn what_is_trusted_is_known_by_id_and_by_hash() {
    let (_directory, manifest) = manifest();
    assert_eq!(manifest.len(), 3);
    let named = named(Trust::Enforce, true, manifest);
    for (id, document) in [("aa", "{ relay }"), ("bb", "{ one }"), ("cc", "{ apollo }")] {
        let known = Ok((document.to_owned(), false));
        assert_eq!(resolved(&named, "", json!({ "documentId": id })).await, known);
        assert_eq!(resolved(&named, document, json!({ "documentId": id })).await, known);
        assert_eq!(resolved(&named, "", by_hash(document)).await, known);
        assert_eq!(resolved(&named, document, json!({})).await, known);
        let other = resolved(&named, "{ other }", json!({ "documentId": id })).await;
        assert_eq!(other, Err("PERSISTED_QUERY_MISMATCH".into()));
    }
    for extensions in [json!({}), by_hash("{ other }")] {
        assert_eq!(resolved(&named, "{ other }", extensions).await, Err("QUERY_NOT_IN_SAFELIST".into()));
    }
    // Not even what was kept before it was forbidden.
    named.keep("{ other }");
    assert_eq!(resolved(&named, "", by_hash("{ other }")).await, Err("QUERY_NOT_IN_SAFELIST".into()));
}

#[tokio::test]
async fn an_audit_refuses_nothing() {
    let (_directory, manifest) = manifest();
    let named = named(Trust::Audit, true, manifest);
    assert_eq!(resolved(&named, "{ other }", json!({})).await, Ok(("{ other }".into(), false)));
    assert!(named.told.contains_key(&hash("{ other }")));
    assert_eq!(resolved(&named, "{ one }", json!({})).await, Ok(("{ one }".into(), false)));
    assert!(!named.told.contains_key(&hash("{ one }")));
}

#[test]
fn manifests_that_cannot_be_used_are_named() {
    let (directory, _) = manifest();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("z.json", r#"{ "aa": "{ other }" }"#);
    assert!(Manifest::read(directory.path()).err().unwrap().to_string().contains("\"aa\" stands for another"));
    write("z.json", "[]");
    assert!(Manifest::read(directory.path()).err().unwrap().to_string().contains("z.json"));
    assert!(Manifest::read(&directory.path().join("nowhere")).is_err());
}
