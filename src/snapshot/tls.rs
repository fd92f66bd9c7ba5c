//! TLS to upstreams: versions, protocol, and whom we trust.

use rustls::ClientConfig;
use rustls::RootCertStore;
use std::sync::Arc;

/// TLS 1.2 and 1.3, HTTP/1.1 by ALPN (RFC 7301), the host's name checked against the certificate.
///
/// # Errors
/// What rustls says, where its provider does not fit its versions (never, as both are fixed here).
pub(crate) fn client_config(roots: &RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
