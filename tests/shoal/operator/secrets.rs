//! Secrets in files, as containers get them.

use std::process::Output;

use tempfile::TempDir;

use crate::support::{Backend, Database, TestApp, command};

/// What `shoal config` says with this in its environment.
fn config(environment: &[(&str, &str)]) -> (bool, String) {
    let nowhere = Database::Sqlite { dir: TempDir::new().unwrap() };
    let Output { status, stdout, stderr } =
        command(&nowhere).arg("config").envs(environment.iter().copied()).output().unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn any_setting_may_be_in_a_file() {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let url = file("url", "postgres://shoal:hunter2@primary/shop\n");
    let replicas = file("replicas", "postgres://shoal:hunter2@one/shop, postgres://shoal:hunter2@two/shop\n");
    let redis = file("redis", "redis://:hunter2@redis/");
    let key = file("key", "1234\r\n");
    let (done, said) = config(&[
        ("DATABASE_URL_FILE", &url),
        ("REPLICA_URLS_FILE", &replicas),
        ("REDIS_URL_FILE", &redis),
        ("SHOAL_TOKEN__KEY_FILE", &key),
        ("SHOAL_MAIL__FROM_FILE", &file("from", "Shop <shop@example.org>")),
    ]);
    assert!(done, "{said}");
    for part in [
        "url = \"postgres://shoal:***@primary/shop\"",
        "postgres://shoal:***@one/shop",
        "postgres://shoal:***@two/shop",
        "url = \"redis://:***@redis/\"",
        "key = \"***\"",
        "from = \"Shop <shop@example.org>\"",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");

    let (done, said) = config(&[("DATABASE_URL_FILE", "/nothing/url")]);
    assert!(!done && said.contains("DATABASE_URL_FILE: cannot read /nothing/url"), "{said}");
    for (name, value) in [("DATABASE_URL", "postgres://a/b"), ("SHOAL_TOKEN__KEY", "key")] {
        let in_file = format!("{name}_FILE");
        let (done, said) = config(&[(name, value), (&in_file, &key)]);
        assert!(!done && said.contains(&format!("{name} and {in_file} are both set")), "{said}");
    }
    // What is wrong with it is told without it.
    let wrong = file("wrong", "hunter2");
    let (done, said) = config(&[("DATABASE_URL_FILE", &wrong)]);
    assert!(!done && said.contains("DATABASE_URL_FILE") && !said.contains("hunter2"), "{said}");
    let (done, said) = config(&[("SHOAL_TOKEN__NOTHING_FILE", &wrong)]);
    assert!(!done && said.contains("nothing") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn a_probe_needs_no_other_program() {
    let app = TestApp::demo(Backend::Sqlite).await;
    let listen = app.at("").replace("http://", "");
    let probe = |arguments: &[&str], listen: &str| {
        let nowhere = Database::Sqlite { dir: TempDir::new().unwrap() };
        let output = command(&nowhere).arg("probe").args(arguments).env("SHOAL_LISTEN", listen).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for what in [&[][..], &["readyz"], &["livez"]] {
        assert_eq!(probe(what, &listen), (true, "ok\n".to_owned()), "{what:?}");
    }
    let (is_well, said) = probe(&["health"], &listen);
    assert!(is_well && said.contains("\"state\":\"all is well\""), "{said}");
    // A server that listens everywhere is found here.
    let port = listen.rsplit(':').next().unwrap();
    assert!(probe(&[], &format!("0.0.0.0:{port}")).0);
    let (is_well, said) = probe(&["--worker"], &listen);
    assert!(!is_well && said.contains("jobs.probes is not set"), "{said}");
    drop(app);
    let (is_well, said) = probe(&[], &listen);
    assert!(!is_well && said.contains("does not answer"), "{said}");
}
