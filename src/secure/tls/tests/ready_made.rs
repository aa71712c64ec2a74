//! Configurations made by hand with rustls.

use super::super::rustls_0_23::{self, rustls};
use super::rig::{Authority, assert_open, shake};
use crate::error::Error;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

#[test]
fn ready_made_configurations_serve() {
    let authority = Authority::new();
    let leaf = authority.issue(&["example.com"]);
    let chain = vec![CertificateDer::from_pem_slice(leaf.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(chain.clone(), key).unwrap();
    config.alpn_protocols = vec![b"mine".to_vec()];
    let server = rustls_0_23::server(&Arc::new(config)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"mine".to_vec()];
    let client = rustls_0_23::client(&Arc::new(config)).unwrap();
    for resumed in [false, true] {
        let (mut open, mut peer) = shake(&client, "example.com", &server);
        assert_open(&mut open, &mut peer);
        assert_eq!(peer.session().alpn.as_deref(), Some(&b"mine"[..]));
        assert_eq!(peer.session().server_name.as_deref(), Some("example.com"));
        assert_eq!(peer.session().cipher_suite, "TLS_AES_256_GCM_SHA384");
        assert_eq!(open.session().resumed, resumed);
    }
    let error = server.reload().unwrap_err();
    assert!(matches!(&error, Error::Config(sentence) if sentence.contains("use replace")), "{error}");
    server.replace(authority.server(&["example.com"])).unwrap();
    server.reload().unwrap();
}

#[test]
fn a_suite_that_the_record_layer_lacks_is_refused_whatever_the_features() {
    let mut provider = default_provider();
    let known = provider.cipher_suites[0].tls13().unwrap();
    let foreign = rustls::Tls13CipherSuite {
        common: rustls::crypto::CipherSuiteCommon {
            suite: rustls::CipherSuite::TLS13_AES_128_CCM_SHA256,
            hash_provider: known.common.hash_provider,
            confidentiality_limit: known.common.confidentiality_limit,
        },
        hkdf_provider: known.hkdf_provider,
        aead_alg: known.aead_alg,
        quic: None,
    };
    provider.cipher_suites.push(rustls::SupportedCipherSuite::Tls13(Box::leak(Box::new(foreign))));
    let config = ClientConfig::builder_with_provider(Arc::new(provider));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let error = rustls_0_23::client(&Arc::new(config)).unwrap_err();
    assert!(error.to_string().contains("TLS13_AES_128_CCM_SHA256"), "{error}");
}
