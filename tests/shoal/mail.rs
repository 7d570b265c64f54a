//! Mails on their way: to a server that is well, or is not, and into files where there is none.

mod tls;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures_util::future::join_all;
use mailparse::{MailHeaderMap, parse_mail};
use metrics_exporter_prometheus::PrometheusBuilder;
use shoal::mail::{Letter, Line, Mail, Mailer, OrderEvent, Recipient, SendError, Settings};
use tempfile::TempDir;

use crate::support::sink::{Manner, PASSWORD, Sink};
use crate::support::{Backend, Database, TestApp, command, eventually};

fn settings(url: &str) -> Settings {
    Settings {
        smtp_url: Some(url.parse().unwrap()),
        from: "Zahnräder & Söhne <shop@example.org>".to_owned(),
        ..Settings::default()
    }
}

fn mailer(settings: &Settings) -> Mailer {
    Mailer::new(settings, Path::new("/nowhere")).unwrap()
}

fn welcome(id: &str) -> Mail {
    Mail {
        to: Recipient { address: "ada@example.org".to_owned(), name: "Ada Łovelace".to_owned() },
        message_id: id.to_owned(),
        date: DateTime::from_timestamp(1_764_244_800, 0).unwrap(),
        letter: Letter::Welcome { name: "Ada Łovelace".to_owned() },
    }
}

fn is_to_be_tried_again(sent: &Result<(), SendError>) -> bool {
    sent.as_ref().is_err_and(SendError::is_worth_another_attempt)
}

#[tokio::test]
async fn a_mail_arrives_whole() {
    let sink = Sink::open().await;
    // Wrapped, some lines begin with dots.
    let product = format!("Zahnräder {}", ".".repeat(200));
    let letter = Letter::Order {
        event: OrderEvent::Shipped,
        name: "Ada Łovelace".to_owned(),
        order_id: "1815".to_owned(),
        lines: vec![Line { name: product.clone(), quantity: 2, unit_price_cents: 61_725 }],
        total_cents: 123_450,
        currency: "EUR".to_owned(),
    };
    let mailer = mailer(&settings(&sink.url_with("hunter2%2F%C3%A4")));
    let mail = Mail { letter, ..welcome("order-1815.shipped") };
    mailer.send(&mail).await.unwrap();
    mailer.send(&mail).await.unwrap();

    let taken = sink.mails("order-1815.shipped@example.org");
    assert_eq!((taken.len(), &taken[0]), (2, &taken[1]), "sent again, it is the same");
    assert_eq!((taken[0].from.as_str(), &taken[0].to[..]), ("shop@example.org", &["ada@example.org".to_owned()][..]));
    let parsed = parse_mail(taken[0].content.as_bytes()).unwrap();
    for (name, value) in [
        ("From", "\"Zahnräder & Söhne\" <shop@example.org>"),
        ("To", "\"Ada Łovelace\" <ada@example.org>"),
        ("Subject", "Your order 1815 is on its way"),
        ("Date", "Thu, 27 Nov 2025 12:00:00 +0000"),
        ("Auto-Submitted", "auto-generated"),
    ] {
        let found = parsed.headers.get_first_value(name).unwrap();
        assert_eq!(found.replace('"', ""), value.replace('"', ""), "{name}");
    }
    assert_eq!(parsed.ctype.mimetype, "multipart/alternative");
    let [text, html] = &parsed.subparts[..] else { panic!("{} parts", parsed.subparts.len()) };
    let (text_type, text) = (&text.ctype.mimetype, text.get_body().unwrap().replace("\r\n", "\n"));
    let (html_type, html) = (&html.ctype.mimetype, html.get_body().unwrap());
    assert_eq!((text_type.as_str(), html_type.as_str()), ("text/plain", "text/html"));
    assert!(text.contains(&format!("2 x {product}\n    at 617.25 EUR: 1,234.50 EUR\n")), "{text}");
    assert!(html.contains(&format!(">{product}</td>")) && html.contains("Zahnräder &amp; Söhne"), "{html}");
}

#[tokio::test]
async fn connections_are_used_again_and_are_no_more_than_allowed() {
    let sink = Sink::open().await;
    let mailer = mailer(&Settings { connections: 3, ..settings(&sink.url()) });
    for index in 0..10 {
        mailer.send(&welcome(&format!("one-{index}"))).await.unwrap();
    }
    assert_eq!(sink.connections(), 1);
    let mails: Vec<_> = (0..50).map(|index| welcome(&format!("many-{index}"))).collect();
    assert!(join_all(mails.iter().map(|mail| mailer.send(mail))).await.iter().all(Result::is_ok));
    assert!(sink.connections() <= 3, "{}", sink.connections());
    assert_eq!(sink.counts(), (60, 60));
    // One that the server has closed is noticed before a mail is given to it.
    sink.cut();
    mailer.send(&welcome("after")).await.unwrap();
    assert_eq!(sink.counts(), (61, 61));
}

#[tokio::test]
async fn what_may_go_better_later_is_told_from_what_will_not() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let sink = Sink::open().await;
    let mailer = mailer(&settings(&sink.url()));
    for (code, again) in [(421, true), (451, true), (530, true), (550, false), (552, false)] {
        sink.behave(Manner::Refuse(code));
        let sent = mailer.send(&welcome("refused")).await;
        assert_eq!(is_to_be_tried_again(&sent), again, "{sent:?}");
        let said = sent.unwrap_err().to_string();
        assert!(said.contains(&format!("({code})")) && said.contains("not for ada@example.org"), "{said}");
    }
    let mut nobody = welcome("nobody");
    nobody.to.address = "nobody".to_owned();
    assert!(!is_to_be_tried_again(&mailer.send(&nobody).await));
    // Not even a server that knows the alphabet could be asked.
    nobody.to.address = "łada@example.org".to_owned();
    assert!(!is_to_be_tried_again(&mailer.send(&nobody).await));
    sink.behave(Manner::Take(Duration::ZERO));
    mailer.send(&welcome("taken")).await.unwrap();
    assert_eq!(sink.counts(), (1, 1));
    for (label, count) in [(r#"outcome="sent""#, 1), (r#"outcome="failed""#, 3), (r#"outcome="refused""#, 4)] {
        let line = format!("shoal_mails_total{{{label}}} {count}");
        assert!(metrics.render().contains(&line), "{line}: {}", metrics.render());
    }
    drop(sink);
    let unreachable = mailer.send(&welcome("late")).await;
    assert!(is_to_be_tried_again(&unreachable), "{unreachable:?}");
}

#[tokio::test]
async fn an_answer_that_is_overdue_is_not_taken_for_that_to_the_next_mail() {
    let sink = Sink::open().await;
    let mailer = mailer(&Settings { connections: 1, timeout_ms: 200, ..settings(&sink.url()) });
    for (index, manner) in [Manner::Silent, Manner::Take(Duration::from_secs(3600))].into_iter().enumerate() {
        sink.behave(manner);
        let sent = mailer.send(&welcome(&format!("overdue-{index}"))).await;
        assert!(is_to_be_tried_again(&sent), "{sent:?}");
        assert!(sent.unwrap_err().to_string().contains("timed out"));
        // What it held back is said now.
        sink.behave(Manner::Refuse(550));
        assert!(matches!(patiently(&mailer, "refused").await, Err(SendError::Refused(_))));
        sink.behave(Manner::Take(Duration::ZERO));
        patiently(&mailer, &format!("next-{index}")).await.unwrap();
    }
    assert_eq!((sink.mails("next-0@example.org").len(), sink.mails("next-1@example.org").len()), (1, 1));
    assert_eq!(sink.counts(), (2, 2));
}

/// Sends until there is an answer in time: the machine may be slow, too.
async fn patiently(mailer: &Mailer, id: &str) -> Result<(), SendError> {
    loop {
        match mailer.send(&welcome(id)).await {
            Err(SendError::Failed(reason)) if reason.contains("timed out") => {}
            sent => return sent,
        }
    }
}

#[tokio::test]
async fn nothing_goes_in_the_clear_where_tls_is_required() {
    let sink = Sink::open().await;
    let sent = mailer(&settings(&format!("{}?tls=required", sink.url_with("hunter2")))).send(&welcome("a")).await;
    assert!(is_to_be_tried_again(&sent), "{sent:?}");
    assert!(sent.unwrap_err().to_string().contains("STARTTLS is not supported"));
    assert_eq!(sink.counts(), (0, 0));
    mailer(&settings(&format!("{}?tls=opportunistic", sink.url()))).send(&welcome("a")).await.unwrap();
    assert_eq!(sink.counts(), (1, 1));
}

#[tokio::test]
async fn passwords_show_nowhere() {
    let sink = Sink::open().await;
    let sent = mailer(&settings(&sink.url_with("hunter3"))).send(&welcome("a")).await;
    assert!(is_to_be_tried_again(&sent), "an operator can mend that: {sent:?}");
    let said = format!("{sent:?}");
    assert!(said.contains("does not take user and password (535)"), "{said}");
    assert!(!said.contains("hunter") && !said.contains(PASSWORD) && !said.contains("PLAIN"), "{said}");

    let url = "smtp://shop:hunter2@127.0.0.1:1?tls=required";
    let database = Arc::new(Database::empty(Backend::Sqlite).await);
    let output = command(&database).env("SHOAL_MAIL__SMTP_URL", url).arg("config").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("smtp://shop:***@127.0.0.1:1") && !said.contains("hunter2"), "{said}");
    let trace = [("SHOAL_MAIL__SMTP_URL", url), ("SHOAL_LOG__FILTER", "trace")];
    let app = TestApp::start(database, &trace).await;
    eventually("the start message", async || app.log().contains("mails go to smtp://127.0.0.1:1")).await;
    assert!(!app.log().contains("hunter2"));
}

#[tokio::test]
async fn without_a_server_mails_are_kept_as_files() {
    let data = TempDir::new().unwrap();
    let mailer = Mailer::new(&Settings::default(), &data.path().join("data")).unwrap();
    let directory = data.path().join("data/mail");
    assert_eq!(mailer.describe(), directory.display().to_string());
    assert!(!directory.exists(), "it is made with the first mail");
    // Several at once, and one of them often.
    let mails: Vec<_> = (0..20).map(|index| welcome(&format!("mail-{}", index % 5))).collect();
    assert!(join_all(mails.iter().map(|mail| mailer.send(mail))).await.iter().all(Result::is_ok));
    let mut names: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["mail-0.eml", "mail-1.eml", "mail-2.eml", "mail-3.eml", "mail-4.eml"]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&directory.join("mail-0.eml"))), (0o700, 0o600));
    let kept = std::fs::read(directory.join("mail-0.eml")).unwrap();
    let parsed = parse_mail(&kept).unwrap();
    assert_eq!(parsed.headers.get_first_value("Message-ID").as_deref(), Some("<mail-0@localhost>"));
    assert_eq!(parsed.subparts.len(), 2);
    let app = TestApp::empty(Backend::Sqlite).await;
    let says = |log: String| log.lines().any(|line| line.contains("mails go to /") && line.contains("/mail"));
    eventually("the start message", async || says(app.log())).await;
    // A directory that cannot be written to may be one day.
    let nowhere = Mailer::new(&Settings::default(), &directory.join("mail-0.eml")).unwrap();
    assert!(is_to_be_tried_again(&nowhere.send(&welcome("a")).await));
}

#[tokio::test]
async fn a_start_with_bad_settings_says_what_is_wrong() {
    let database = Database::empty(Backend::Sqlite).await;
    for (name, value, said) in [
        (
            "SHOAL_MAIL__SMTP_URL",
            "imap://shop:hunter2@host",
            "mail.smtp_url cannot be used: it is neither smtp nor smtps",
        ),
        ("SHOAL_MAIL__FROM", "nobody", "mail.from is not an address"),
        ("SHOAL_MAIL__SMTP_URI", "smtp://shop:hunter2@host", "smtp_uri"),
        ("SHOAL_MAIL__SMTP_URL", "hunter2", "not a URL"),
    ] {
        let output = command(&database).env(name, value).args(["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(said) && !stderr.contains("hunter2"), "{stderr}");
    }
}

#[tokio::test]
async fn a_preview_is_printed() {
    let database = Database::empty(Backend::Sqlite).await;
    let preview = |arguments: &[&str]| {
        let output = command(&database).args(["mail", "preview"]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, all) = preview(&[]);
    assert_eq!((code, all.matches("Subject: ").count()), (Some(0), 5), "{all}");
    let (_, paid) = preview(&["order_paid"]);
    assert!(all.contains(&paid) && paid.starts_with("Subject: Your order 1815 is paid\n\nHello Ada"), "{paid}");
    assert!(preview(&["order_paid", "--text"]).1.starts_with("Hello Ada"));
    assert!(preview(&["order_paid", "--html"]).1.contains("Brass gear &lt;24 teeth&gt;"));
    let (code, said) = preview(&["order_lost"]);
    assert!(code == Some(1) && said.contains("no template order_lost; there are welcome, order_placed,"), "{said}");
    assert_eq!(preview(&["--html"]).0, Some(2));
    assert_eq!(preview(&["welcome", "--html", "--text"]).0, Some(2));
}
