//! Servers behind TLS.

use std::path::Path;
use std::process::Command;

use super::servers::{Server, arguments, free_port};
use super::{break_open, numbered, open, patient, write};
use crate::data::cache::far::Settings;

/// A server that takes TLS only, with a certificate that nobody has signed.
async fn start(more: &[&str]) -> Server {
    Server::with(|directory, port| {
        let path = |name: &str| directory.join(name).display().to_string();
        certify(directory);
        let (certificate, key, port) = (path("certificate.pem"), path("key.pem"), port.to_string());
        let tls = ["--port", "0", "--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
        arguments(&[&tls[..], &["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no"], more].concat())
    })
    .await
}

fn certify(directory: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "1"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(directory)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn any_certificate_will_do_where_that_was_asked_for() {
    let mut server = start(&[]).await;
    let far = open(&patient(&format!("rediss://127.0.0.1:{}/#insecure", server.port)));
    let (names, values) = numbered(100);
    write(&far, &names, &values).await;
    assert!(far.answers().await);
    server.stop();
    break_open(&far).await;
    server.restart().await;
    write(&far, &names, &values).await;
}

#[tokio::test]
async fn else_a_stranger_is_told_nothing() {
    let server = start(&[]).await;
    for (url, cluster) in [("rediss", false), ("rediss", true), ("redis", false)] {
        let settings = patient(&format!("{url}://127.0.0.1:{}/", server.port));
        let far = open(&Settings { cluster, ..settings });
        break_open(&far).await;
        assert!(!far.answers().await);
    }
}

#[tokio::test]
async fn a_cluster_speaks_tls_too() {
    let bus = free_port().to_string();
    let server = start(&["--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", &bus]).await;
    let settings = patient(&format!("rediss://127.0.0.1:{}/#insecure", server.port));
    // It has no slots yet: they are given to it through the far tier's own client.
    let origin = super::super::connection::Origin::new(settings.url.as_ref().unwrap(), false).unwrap();
    let mut connection = origin.connect().await.unwrap();
    connection.ask(redis::cmd("CLUSTER").arg(&["ADDSLOTSRANGE", "0", "16383"])).await.unwrap();
    let far = open(&Settings { cluster: true, ..settings });
    let (names, values) = numbered(100);
    write(&far, &names, &values).await;
}
