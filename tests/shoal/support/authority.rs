//! An authority of one's own, and servers for which it vouches.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"];

/// Signs whatever it is asked to.
pub struct Authority(TempDir);

impl Authority {
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        // No two have the same name.
        let name = format!("/CN={}", directory.path().file_name().unwrap().to_str().unwrap());
        let request = ["-x509", "-days", "1", "-subj", &name, "-keyout", "authority.key", "-out"];
        openssl(directory.path(), &[&["req"], &KEY[..], &request, &["authority.pem"]].concat());
        Self(directory)
    }

    /// Its certificate, in PEM.
    pub fn file(&self) -> PathBuf {
        self.0.path().join("authority.pem")
    }

    /// A server of this name, such as `DNS:localhost` or `IP:127.0.0.1`, whose certificate ends in so many days.
    pub fn vouch(&self, name: &str, days: i32) -> TlsAcceptor {
        let (names, days) = (format!("subjectAltName={name}"), days.to_string());
        let request = ["-subj", "/CN=server", "-addext", &names, "-keyout", "key.pem", "-out", "request.pem"];
        openssl(self.0.path(), &[&["req"], &KEY[..], &request].concat());
        let by = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-copy_extensions", "copy"];
        let signed = ["-in", "request.pem", "-days", &days, "-out", "certificate.pem"];
        openssl(self.0.path(), &[&["x509", "-req"], &by[..], &signed].concat());
        let path = |name: &str| self.0.path().join(name);
        let certificate = CertificateDer::from_pem_file(path("certificate.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(path("key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

fn openssl(directory: &Path, arguments: &[&str]) {
    let made = Command::new("openssl").args(arguments).current_dir(directory).output().expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
