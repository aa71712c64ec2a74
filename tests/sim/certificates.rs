//! How the certificates of `sim::tls` are made: once, by this, into `src/sim/tls`, and never again but by hand:
//! `WINDLASS_SIM_CERTIFICATES=src/sim/tls cargo test --features sim,tls --test sim certificates`.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519, date_time_ymd,
};
use std::path::Path;
use windlass::sim::tls;
use windlass::tls::{ClientTls, ServerTls};

/// An authority and a certificate of it, in PEM.
pub struct Made {
    pub authority: String,
    pub certificate: String,
    pub key: String,
}

/// Makes an authority and a certificate for `name`, good from the first of January of one year to that of another.
pub fn make(name: &str, years: std::ops::Range<i32>) -> Made {
    let (from, until) = (date_time_ymd(years.start, 1, 1), date_time_ymd(years.end, 1, 1));
    let key = || KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "for simulations only: its key is public");
    (params.not_before, params.not_after) = (from, until);
    let authority = CertifiedIssuer::self_signed(params, key()).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (from, until);
    let own = key();
    let certificate = params.signed_by(&own, &authority).unwrap();
    Made { authority: authority.pem(), certificate: certificate.pem(), key: own.serialize_pem() }
}

#[test]
fn what_is_embedded_is_made_like_this() {
    let made = make("*.sim.test", 1970..9999);
    if let Some(folder) = std::env::var_os("WINDLASS_SIM_CERTIFICATES") {
        let write = |name: &str, pem: &str| std::fs::write(Path::new(&folder).join(name), pem).unwrap();
        write("authority.pem", &made.authority);
        write("certificate.pem", &made.certificate);
        write("key.pem", &made.key);
    }
    ServerTls::from_pem(&made.certificate, &made.key).unwrap();
    ClientTls::builder().roots_pem(&made.authority).build().unwrap();
    // Serial numbers and keys are drawn, everything else has one length.
    let near = |a: &str, b: &str| a.len().abs_diff(b.len()) <= 4;
    assert!(near(&made.authority, tls::AUTHORITY_PEM));
    assert!(near(&made.certificate, tls::CERTIFICATE_PEM));
    assert_eq!(made.key.len(), tls::KEY_PEM.len());
}
