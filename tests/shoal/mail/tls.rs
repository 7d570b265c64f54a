//! Mails by TLS, to servers for which an authority of one's own vouches, and to those that only say so.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use shoal::mail::{Mailer, Settings};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::{is_to_be_tried_again, mailer, settings, welcome};
use crate::support::authority::Authority;
use crate::support::sink::{PASSWORD, Security, Sink};
use crate::support::{Backend, Database, TestApp, eventually};

/// The password of the sink, as it stands in a URL.
const WRITTEN: &str = "hunter2%2F%C3%A4";
const HERE: &str = "IP:127.0.0.1";

type Way = fn(TlsAcceptor) -> Security;

/// Each way to speak TLS, with what the URL says of it.
const WAYS: [(Way, &str); 3] =
    [(Security::Offered, "?tls=required"), (Security::Offered, "?tls=opportunistic"), (Security::Whole, "")];

fn trusting(url: &str, authority: &Authority) -> Settings {
    Settings { ca: Some(authority.file()), ..settings(url) }
}

#[tokio::test]
async fn a_server_that_its_authority_vouches_for_gets_mails() {
    let authority = Authority::new();
    for (way, query) in WAYS {
        let sink = Sink::with(way(authority.vouch(HERE, 1))).await;
        // It takes the password from nobody who speaks in the clear.
        let mailer = mailer(&trusting(&format!("{}{query}", sink.url_with(WRITTEN)), &authority));
        for id in ["a", "b"] {
            mailer.send(&welcome(id)).await.unwrap();
            assert!(sink.mails(&format!("{id}@example.org")).iter().all(|mail| mail.is_secret), "{query}");
        }
        assert_eq!((sink.counts(), sink.connections()), ((2, 2), 1), "{query}");
    }
    // By its name, among other authorities in the file.
    let sink = Sink::with(Security::Whole(authority.vouch("DNS:localhost", 1))).await;
    let files = TempDir::new().unwrap();
    let both = files.path().join("both.pem");
    let read = |authority: &Authority| std::fs::read(authority.file()).unwrap();
    std::fs::write(&both, [read(&Authority::new()), read(&authority)].concat()).unwrap();
    let url = sink.url().replace("127.0.0.1", "localhost");
    mailer(&Settings { ca: Some(both), ..settings(&url) }).send(&welcome("a")).await.unwrap();
    assert_eq!(sink.counts(), (1, 1));
}

#[tokio::test]
async fn who_is_not_who_they_say_is_told_nothing_and_asked_again() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (way, query) in WAYS {
        for (acceptor, trusted, said) in [
            (other.vouch(HERE, 1), Some(&authority), "unknownissuer"),
            (authority.vouch(HERE, 1), None, "unknownissuer"),
            (authority.vouch(HERE, -1), Some(&authority), "expired"),
            (authority.vouch("DNS:mail.example.org", 1), Some(&authority), "not valid for name \"127.0.0.1\""),
        ] {
            let sink = Sink::with(way(acceptor)).await;
            let url = format!("{}{query}", sink.url_with(WRITTEN));
            let settings = match trusted {
                Some(authority) => trusting(&url, authority),
                None => settings(&url),
            };
            let sent = mailer(&settings).send(&welcome("a")).await;
            assert!(is_to_be_tried_again(&sent), "an operator can mend that: {sent:?}");
            let text = sent.unwrap_err().to_string();
            assert!(text.contains("invalid peer certificate") && text.to_lowercase().contains(said), "{query}: {text}");
            assert!(!text.contains(PASSWORD) && !text.contains(WRITTEN), "{text}");
            assert_eq!(sink.counts(), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_mail_waits_until_the_certificate_is_mended() {
    let authority = Authority::new();
    let sink = Sink::with(Security::Offered(authority.vouch(HERE, 1))).await;
    let url = format!("{}?tls=required", sink.url_with(WRITTEN));
    let database = Arc::new(Database::empty(Backend::Sqlite).await);
    let start = async |authority: &Authority, lease_ms| {
        let file = authority.file().display().to_string();
        let mail = [("SHOAL_MAIL__SMTP_URL", url.as_str()), ("SHOAL_MAIL__CA", file.as_str())];
        let quick = [("SHOAL_JOBS__BACKOFF_MS", "50"), ("SHOAL_JOBS__POLL_MS", "50"), ("SHOAL_LOG__FILTER", "trace")];
        // A job of a server that is killed is another's soon.
        let lease = ("SHOAL_JOBS__LEASE_MS", lease_ms);
        TestApp::start(database.clone(), &[&mail[..], &quick, &[lease]].concat()).await
    };
    let app = start(&Authority::new(), "1000").await;
    let create = "mutation { createUser(input: { email: \"ada@example.org\", name: \"Ada\" }) { user { id } } }";
    assert!(app.query(create).await["createUser"]["user"]["id"].is_string());
    let job = "{ jobs { nodes { state attempt error } } }";
    eventually("two attempts", async || app.query(job).await["jobs"]["nodes"][0]["attempt"].as_i64().unwrap() > 1)
        .await;
    let shown = app.query("{ jobs { nodes { error finishedAt } } }").await["jobs"]["nodes"][0].take();
    let error = shown["error"].as_str().unwrap();
    assert!(error.contains("cannot connect to smtp://127.0.0.1:") && error.contains("UnknownIssuer"), "{error}");
    assert_eq!(shown["finishedAt"], json!(null));
    let said = ["a job failed", "invalid peer certificate: UnknownIssuer"];
    eventually("the log to say why", async || said.iter().all(|said| app.log().contains(said))).await;
    let log = app.log();
    assert!(!log.contains(PASSWORD) && !log.contains(WRITTEN) && !log.contains("hunter2"));
    drop(app);
    let app = start(&authority, "30000").await;
    eventually("the mail", async || sink.counts() == (1, 1)).await;
    eventually("it to be done", async || app.query(job).await["jobs"]["nodes"][0]["state"] == "DONE").await;
    assert!(!app.log().contains("hunter2"));
}

#[test]
fn authorities_that_cannot_be_used_are_refused() {
    let authority = Authority::new();
    let files = TempDir::new().unwrap();
    let none = files.path().join("none.pem");
    std::fs::write(&none, "nothing to see\n").unwrap();
    let missing = files.path().join("missing.pem");
    let key = authority.file().with_file_name("authority.key");
    for (url, file, said) in [
        ("smtps://me:hunter2@host", &missing, format!("cannot use {}: ", missing.display())),
        ("smtps://me:hunter2@host", &none, format!("cannot use {}: there is no certificate in it", none.display())),
        ("smtps://me:hunter2@host", &key, format!("cannot use {}: there is no certificate in it", key.display())),
        ("smtp://me:hunter2@host", &authority.file(), "mail.ca is of no use: mail.smtp_url asks for no".to_owned()),
    ] {
        let refusal = Mailer::new(&Settings { ca: Some(file.clone()), ..settings(url) }, Path::new("/nowhere"));
        let refusal = refusal.err().unwrap();
        assert!(refusal.starts_with(&said) && !refusal.contains("hunter2"), "{refusal}");
    }
}
