//! The certificate of a server, and whose certificates it accepts.

use crate::access::AccessError;
use chrono::Utc;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{Error as TlsError, RootCertStore, ServerConfig};
use x509_certificate::CapturedX509Certificate;

/// PEM files for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, followed by those that lead to a known authority.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// Clients must have a certificate of this authority; its common name is the user.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// What TLS needs, for clients that speak one of these protocols after it.
    ///
    /// # Errors
    /// [`AccessError::Tls`] when a file cannot be read, has expired, or does not fit another one.
    pub fn server_config(&self, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, AccessError> {
        let certificates = certificates("certificate", &self.certificate)?;
        let now = Utc::now();
        if let Some(first) = certificates.first() {
            ensure_valid(&self.certificate, first, now)?;
        }
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key = key.map_err(|error| AccessError::tls("key", &self.key, &error))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| AccessError::tls("certificate", &self.certificate, &error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authority(path)?);
                let provider = Arc::new(ring::default_provider());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                let verifier =
                    verifier.map_err(|error| AccessError::tls("client CA", path, &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(certificates, key);
        let mut config = config.map_err(|error| self.unfit(&error))?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn unfit(&self, error: &TlsError) -> AccessError {
        match error {
            TlsError::InconsistentKeys(_) => {
                let reason =
                    format!("it is not the key of certificate {}", self.certificate.display());
                AccessError::tls("key", &self.key, &reason)
            }
            other => AccessError::tls("certificate", &self.certificate, &other),
        }
    }
}

/// The common name in a client's certificate.
#[cfg_attr(not(any(feature = "flight", feature = "postgres")), expect(dead_code))]
pub(crate) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = CapturedX509Certificate::from_der(certificate.as_ref().to_vec()).ok()?;
    parsed.subject_common_name()
}

fn certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let refused = |reason: String| AccessError::tls(what, path, &reason);
    let found = CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))?;
    let found: Vec<_> =
        found.collect::<Result<_, _>>().map_err(|error| refused(error.to_string()))?;
    match found.is_empty() {
        true => Err(refused("it holds no certificate in PEM form".into())),
        false => Ok(found),
    }
}

fn authority(path: &Path) -> Result<RootCertStore, AccessError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client CA", path)? {
        let added = roots.add(certificate);
        added.map_err(|error| AccessError::tls("client CA", path, &error))?;
    }
    Ok(roots)
}

fn ensure_valid(
    path: &Path,
    certificate: &CertificateDer<'_>,
    now: chrono::DateTime<Utc>,
) -> Result<(), AccessError> {
    let parsed = CapturedX509Certificate::from_der(certificate.as_ref().to_vec());
    let parsed = parsed.map_err(|error| AccessError::tls("certificate", path, &error))?;
    let (from, to) = (parsed.validity_not_before(), parsed.validity_not_after());
    match (from..=to).contains(&now) {
        true => Ok(()),
        false => {
            let reason = format!("it is valid from {from} to {to}, now it is {now}");
            Err(AccessError::tls("certificate", path, &reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    fn files(change: impl FnOnce(&mut CertificateParams)) -> (TempDir, TlsFiles) {
        let folder = tempfile::tempdir().unwrap();
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let files =
            TlsFiles { certificate: path("cert.pem"), key: path("key.pem"), client_ca: None };
        (folder, files)
    }

    #[test]
    fn protocols_are_offered_in_order() {
        let (_folder, files) = files(|_| ());
        let config = files.server_config(&[b"h2", b"http/1.1"]).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }

    #[test]
    fn an_expired_certificate_is_named() {
        let (_folder, files) = files(|parameters| {
            parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });
        let error = files.server_config(&[]).unwrap_err().to_string();
        assert!(error.contains("valid from 2020-01-01"), "{error}");
        assert!(error.contains("cert.pem"), "{error}");
    }

    #[test]
    fn a_key_of_another_certificate_is_named() {
        let (_folder, files) = files(|_| ());
        std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let error = files.server_config(&[]).unwrap_err().to_string();
        assert!(error.contains("it is not the key of certificate"), "{error}");
    }

    #[test]
    fn files_that_are_missing_or_no_pem_are_named() {
        let (folder, files) = files(|_| ());
        let missing = TlsFiles { key: folder.path().join("nothing.pem"), ..files.clone() };
        let error = missing.server_config(&[]).unwrap_err().to_string();
        assert!(error.contains("cannot use the key") && error.contains("nothing.pem"), "{error}");
        std::fs::write(&files.certificate, "no certificate").unwrap();
        let error = files.server_config(&[]).unwrap_err().to_string();
        assert!(error.contains("holds no certificate"), "{error}");
    }

    #[test]
    fn the_common_name_of_a_client_is_read() {
        let (_folder, files) = files(|parameters| {
            parameters.distinguished_name.push(rcgen::DnType::CommonName, "ada");
        });
        let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
        assert_eq!(common_name(&certificate), Some("ada".into()));
    }
}
