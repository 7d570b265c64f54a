//! TLS to the primary, as its URL and libpq's variables ask for it.

use std::path::PathBuf;

use pgwire_replication::{SslMode, TlsConfig};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::Lost;

/// How the log is to be read that other connections reach with these options.
///
/// # Errors
/// For certificates and keys that are not in files.
pub(super) fn of(options: &PgConnectOptions) -> Result<TlsConfig, Lost> {
    let mode = match options.get_ssl_mode() {
        // A socket leaves this machine as little as memory does.
        _ if options.get_socket().is_some() => SslMode::Disable,
        PgSslMode::Disable => SslMode::Disable,
        PgSslMode::Allow | PgSslMode::Prefer => SslMode::Prefer,
        PgSslMode::Require => SslMode::Require,
        PgSslMode::VerifyCa => SslMode::VerifyCa,
        PgSslMode::VerifyFull => SslMode::VerifyFull,
    };
    let url = options.to_url_lossy();
    let file = |name: &str| {
        let given = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
        // So files are shown there. Anything else may be a key itself, and an error would show what it took for a name.
        let is_name = |path: &&str| !path.contains("-----BEGIN");
        let path = given.map(|text| text.strip_prefix("file: ").filter(is_name).map(PathBuf::from));
        path.map(|path| path.ok_or(Lost::Because("certificates and keys must be in files"))).transpose()
    };
    Ok(TlsConfig {
        mode,
        ca_pem_path: file("sslrootcert")?,
        // Addresses are names, too.
        sni_hostname: Some(options.get_host().to_owned()),
        client_cert_pem_path: file("sslcert")?,
        client_key_pem_path: file("sslkey")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(url: &str) -> Result<TlsConfig, Lost> {
        of(&url.parse().unwrap())
    }

    #[test]
    fn it_is_what_other_connections_have() {
        let plain = tls("postgres://shoal@db.example/shoal?sslmode=disable").unwrap();
        assert_eq!((plain.mode, plain.ca_pem_path), (SslMode::Disable, None));
        assert_eq!(tls("postgres://shoal@db.example/shoal").unwrap().mode, SslMode::Prefer);
        assert_eq!(tls("postgres:///shoal?host=/run/postgresql&sslmode=require").unwrap().mode, SslMode::Disable);
        let url =
            "postgres://shoal@10.1.2.3/shoal?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k.pem";
        let full = tls(url).unwrap();
        assert_eq!(full.mode, SslMode::VerifyFull);
        assert_eq!(full.sni_hostname.as_deref(), Some("10.1.2.3"));
        let files = [full.ca_pem_path, full.client_cert_pem_path, full.client_key_pem_path];
        assert_eq!(files, ["/ca.pem", "/c.pem", "/k.pem"].map(|path| Some(path.into())));
    }

    #[test]
    fn a_key_is_not_shown() {
        let url = "postgres://shoal@db.example/shoal?sslmode=require&sslkey=-----BEGIN%20PRIVATE%20KEY-----secret-----";
        assert!(!tls(url).unwrap_err().to_string().contains("secret"));
    }
}
