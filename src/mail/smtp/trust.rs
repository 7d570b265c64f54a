//! Who may vouch for the server that takes mails.

use std::path::Path;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Whose certificates are believed.
pub enum Trust {
    /// The authorities of the system, or those in the file that `SSL_CERT_FILE` names.
    System,
    /// These, and nobody else: who has an authority of their own knows who signs.
    Only(Vec<Certificate>),
}

impl Trust {
    /// The authorities in a file, in PEM.
    ///
    /// # Errors
    /// Why it cannot be used, without its name.
    pub fn read(file: &Path) -> Result<Self, String> {
        let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let found = found.map_err(|error| error.to_string())?;
        if found.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        let authorities = found.iter().map(|certificate| Certificate::from_der(certificate.to_vec()));
        authorities.collect::<Result<_, _>>().map(Self::Only).map_err(|error| error.to_string())
    }

    /// How TLS is spoken to a host.
    ///
    /// # Errors
    /// When an authority is none.
    pub fn parameters(&self, host: &str) -> Result<TlsParameters, Error> {
        let builder = TlsParameters::builder(host.to_owned());
        match self {
            Self::System => builder.build(),
            Self::Only(authorities) => {
                let builder = builder.certificate_store(CertificateStore::None);
                authorities.iter().cloned().fold(builder, |builder, one| builder.add_root_certificate(one)).build()
            }
        }
    }
}
