//! What mails say, byte by byte.

use super::*;

const SETTINGS_FROM: &str = "Gears & Co <shop@example.org>";

fn settings() -> Settings {
    Settings { from: SETTINGS_FROM.to_owned(), ..Settings::default() }
}

fn mail(letter: Letter) -> Mail {
    Mail {
        to: Recipient { address: "ada@example.org".to_owned(), name: "Ada Lovelace".to_owned() },
        message_id: "order-1815.paid".to_owned(),
        date: DateTime::from_timestamp(1_764_244_800, 0).unwrap(),
        letter,
    }
}

fn written(letter: &Letter) -> templates::Written {
    Templates::new().write(letter, &settings().house().unwrap()).unwrap()
}

fn bytes(mail: &Mail) -> Result<String, SendError> {
    let message = message::write(mail, &settings().house().unwrap(), &Templates::new())?;
    Ok(String::from_utf8(message.formatted()).unwrap())
}

fn welcome(name: &str) -> Letter {
    Letter::Welcome { name: name.to_owned() }
}

#[test]
fn every_template_can_be_written() {
    for letter in letter::samples() {
        let written = written(&letter);
        assert!(!written.subject.is_empty() && !written.subject.contains(['{', '\n']), "{}", written.subject);
        assert!(written.text.starts_with("Hello Ada Lovelace,\n\n"), "{}", written.text);
        assert!(written.html.contains(&format!("<title>{}</title>", written.subject.replace('&', "&amp;"))));
        for text in [&written.text, &written.html] {
            assert!(!text.contains("{{") && !text.contains("{%") && !text.contains("\n\n\n"), "{text}");
        }
    }
}

#[test]
fn an_order_lists_what_it_is_of() {
    let [_, placed, ..] = letter::samples();
    let written = written(&placed);
    let lines = "3 x Punched cards, a box of 100\n    at 12.50 EUR: 37.50 EUR\n\
                 1 x Brass gear <24 teeth>\n    at 1,199.00 EUR: 1,199.00 EUR\n\n\
                 Total: 1,236.50 EUR\n";
    assert!(written.text.contains(lines), "{}", written.text);
    for part in [">Brass gear &lt;24 teeth&gt;</td>", ">1,199.00 EUR</td>", ">37.50 EUR</td>", ">1,236.50 EUR</td>"] {
        assert!(written.html.contains(part), "{part}: {}", written.html);
    }
}

#[test]
fn html_is_escaped_and_text_is_not() {
    let name = r#"<b onload="x">O'Neill & Söhne</b> {{ shop }}"#;
    let written = written(&welcome(name));
    assert!(written.text.contains(&format!("Hello {name},\n")), "{}", written.text);
    assert!(!written.html.contains("<b ") && !written.html.contains("onload=\""), "{}", written.html);
    assert!(written.html.contains("Neill &amp; Söhne&lt;") && written.html.contains("{{ shop }}"), "{}", written.html);
    assert!(written.html.contains("Visit Gears &amp; Co</a>"));
}

#[test]
fn a_name_breaks_no_line() {
    let name = "Eve\r\nBcc: all@example.org\n\n\u{2028}<script>\0";
    let Letter::Order { event, lines, total_cents, currency, .. } = letter::samples()[2].clone() else {
        unreachable!("an order")
    };
    let (order_id, name) = (format!("7{name}"), name.to_owned());
    let mut mail = mail(Letter::Order { event, name: name.clone(), order_id, lines, total_cents, currency });
    mail.to.name = name;
    let message = bytes(&mail).unwrap();
    let (head, _) = message.split_once("\r\n\r\n").unwrap();
    let names: Vec<_> =
        head.split("\r\n").filter(|line| !line.starts_with(' ')).map(|line| line.split_once(':').unwrap().0).collect();
    let expected = ["Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "MIME-Version", "Content-Type"];
    assert_eq!(names, expected, "{head}");
    assert!(
        head.replace("\r\n ", " ").contains("Subject: Your order 7Eve Bcc: all@example.org <script> is paid"),
        "{head}"
    );
}

#[test]
fn a_mail_that_is_written_again_is_the_same_bytes() {
    for letter in letter::samples() {
        let mail = mail(letter);
        let message = bytes(&mail).unwrap();
        assert_eq!(message, bytes(&mail).unwrap());
        assert!(
            message
                .starts_with("Message-ID: <order-1815.paid@example.org>\r\nDate: Thu, 27 Nov 2025 12:00:00 +0000\r\n"),
            "{message}"
        );
        assert!(message.is_ascii() && message.lines().all(|line| line.len() <= 78), "{message}");
    }
    // Whatever is in it, a part does not end before its end.
    let message = bytes(&mail(welcome("\n--=_shoal--\n"))).unwrap();
    assert_eq!(message.matches("\r\n--=_shoal\r\n").count(), 2);
    assert_eq!(message.matches("--=_shoal--").count(), 1, "{message}");
}

#[test]
fn ids_and_addresses_that_are_none_are_refused() {
    let refused = |change: fn(&mut Mail)| {
        let mut mail = mail(welcome("Ada"));
        change(&mut mail);
        bytes(&mail).is_err_and(|error| !error.is_worth_another_attempt())
    };
    assert!(!refused(|_| {}));
    assert!(!refused(|mail| mail.to.name = " \n ".to_owned()));
    for change in [
        (|mail| mail.message_id = "../shop".to_owned()) as fn(&mut Mail),
        |mail| mail.message_id = "a..b".to_owned(),
        |mail| mail.message_id = String::new(),
        |mail| mail.message_id = "a@b".to_owned(),
        |mail| mail.message_id = "a".repeat(129),
        |mail| mail.to.address = "nobody".to_owned(),
        |mail| mail.to.address = "ada@example.org\r\nBcc: all@example.org".to_owned(),
        |mail| mail.to.address = "ada@example.org>".to_owned(),
    ] {
        assert!(refused(change));
    }
    // A date that cannot be written is not worth a panic.
    for date in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        assert!(bytes(&Mail { date, ..mail(welcome("Ada")) }).is_ok());
    }
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused_with_a_sentence() {
    let refusal = |change: fn(&mut Settings)| {
        let mut settings = settings();
        change(&mut settings);
        Mailer::new(&settings, Path::new("data")).err()
    };
    assert_eq!(refusal(|_| {}), None);
    for (change, said) in [
        ((|to| to.from = "nobody".to_owned()) as fn(&mut Settings), "mail.from is not an address"),
        (|to| to.domain = Some("a b".to_owned()), "mail.domain is not the name of a host: a b"),
        (|to| to.shop_url = "javascript:alert(1)".parse().unwrap(), "mail.shop_url is neither http nor https"),
        (|to| to.connections = 0, "mail.connections is 0"),
        (|to| to.timeout_ms = 0, "mail.timeout_ms is 0"),
    ] {
        let refusal = refusal(change).unwrap();
        assert!(refusal.starts_with(said), "{refusal}");
    }
    let mailer = |url: &str| {
        let settings = Settings { smtp_url: Some(url.parse().unwrap()), ..settings() };
        Mailer::new(&settings, Path::new("data")).map(|mailer| mailer.describe())
    };
    for (url, said) in [
        ("http://me:hunter2@host/", "it is neither smtp nor smtps"),
        ("smtp:me:hunter2", "it names no host"),
        ("smtp:///hunter2", "it names no host"),
        ("smtp://me:hunter2@host/?tsl=required", "behind ? it takes nothing but"),
        ("smtp://me:hunter2@host/?tls=hunter2", "tls is neither required nor opportunistic"),
        ("smtps://me:hunter2@host/?tls=required", "smtps is TLS already"),
        ("smtp://hunter2@host/", "it has a user and no password"),
        ("smtp://me:hunter2@host/hunter2%0d", "its path is not the name of a host"),
        ("smtp://me:%ffhunter2@host/", "its user or password is not UTF-8"),
    ] {
        let refusal = mailer(url).unwrap_err();
        assert!(refusal.starts_with(&format!("mail.smtp_url cannot be used: {said}")), "{url}: {refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    for (url, name) in [
        ("smtp://host", "smtp://host:25"),
        ("smtp://me:hunter2@host?tls=required", "smtp://host:587"),
        ("smtp://me:hunter2@[::1]:2525/mx.example.org?tls=opportunistic", "smtp://[::1]:2525"),
        ("smtps://me:hunter2@127.0.0.1", "smtps://127.0.0.1:465"),
    ] {
        assert_eq!(mailer(url).as_deref(), Ok(name));
    }
}

#[test]
fn a_preview_shows_a_letter_or_all() {
    let shown = |template, shown| preview(&settings(), template, shown);
    let all = shown(None, Shown::Letter).unwrap();
    assert_eq!(all.matches("Subject: ").count(), 5);
    let paid = shown(Some("order_paid"), Shown::Letter).unwrap();
    assert!(paid.starts_with("Subject: Your order 1815 is paid\n\nHello Ada Lovelace,\n"), "{paid}");
    assert!(all.contains(&paid));
    assert!(shown(Some("order_paid"), Shown::Text).is_ok_and(|text| paid.ends_with(&text)));
    assert!(shown(Some("welcome"), Shown::Html).unwrap().starts_with("<!DOCTYPE html>"));
    let names = "welcome, order_placed, order_paid, order_shipped, order_cancelled";
    assert_eq!(shown(Some("nothing"), Shown::Text), Err(format!("there is no template nothing; there are {names}")));
}
