//! TLS for the server's own port, for whoever has no balancer that does it.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio_rustls::TlsAcceptor;

use super::settings::Tls;

/// What accepts TLS, if that is configured.
///
/// # Errors
/// When one of the files is missing, cannot be read, or does not fit the other.
pub fn acceptor(settings: &Tls) -> Result<Option<TlsAcceptor>, String> {
    let (certificate, key) = match (&settings.certificate, &settings.key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err("http.tls takes both a certificate and a key".to_owned()),
    };
    let cannot = |path: &Path, error: &dyn std::fmt::Display| format!("cannot use {}: {error}", path.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| cannot(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| cannot(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| cannot(certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// The server's own certificate, for who asks it and needs to know no more than that it is the one. Whoever has the key that
/// belongs to it is the server, whatever name it has and who vouches for it.
#[derive(Debug)]
pub struct Own {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Own {
    /// None without TLS.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(settings: &Tls) -> Result<Option<Self>, String> {
        let Some(path) = &settings.certificate else { return Ok(None) };
        let certificate = CertificateDer::from_pem_file(path);
        let certificate = certificate.map_err(|error| format!("cannot use {}: {error}", path.display()))?;
        Ok(Some(Self { certificate, algorithms: ring::default_provider().signature_verification_algorithms }))
    }
}

impl ServerCertVerifier for Own {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match *end_entity == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
