//! An authority made for a test, and certificates that it issues.

use crate::rig::Folder;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Files in PEM.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        Authority::named("an authority for tests")
    }

    /// One of another name is unknown; one of the same name would be taken for a forgery.
    pub fn named(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate as a file.
    pub fn write(&self, folder: &Folder) -> String {
        folder.write("ca.pem", self.0.pem())
    }

    /// A certificate for a server of these names and its key, in two texts.
    pub fn server(&self, names: &[&str]) -> (String, String) {
        self.issue(names, names[0], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// The same as files whose names begin with `name`.
    pub fn write_server(&self, folder: &Folder, name: &str, names: &[&str]) -> Pair {
        write_pair(folder, name, self.server(names))
    }

    /// A certificate for a server that nobody should accept any more, and its key, as files.
    pub fn write_expired_server(&self, folder: &Folder, name: &str, names: &[&str]) -> Pair {
        let mut params = params(names, names[0], ExtendedKeyUsagePurpose::ServerAuth);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        write_pair(folder, name, self.sign(&params))
    }

    /// A certificate for a client and its key as files whose names begin with its own.
    pub fn write_client(&self, folder: &Folder, name: &str) -> Pair {
        write_pair(folder, name, self.issue(&[name], name, ExtendedKeyUsagePurpose::ClientAuth))
    }

    fn issue(&self, names: &[&str], common_name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        self.sign(&params(names, common_name, usage))
    }

    fn sign(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

fn params(names: &[&str], common_name: &str, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names that a certificate can hold");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params
}

fn write_pair(folder: &Folder, name: &str, (cert, key): (String, String)) -> Pair {
    Pair {
        cert: folder.write(&format!("{name}.pem"), cert),
        key: folder.write(&format!("{name}.key.pem"), key),
    }
}
