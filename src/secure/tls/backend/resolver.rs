//! Which certificate a server shows, by the name the client asks for.

use crate::error::Error;
use rustls::SignatureScheme;
use rustls::pki_types::DnsName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

thread_local! {
    /// The name in the hello that is being answered on this thread. rustls shows it to the resolver only.
    static SERVER_NAME: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The name that the hello answered last on this thread asked for; forgotten here.
pub(super) fn take_server_name() -> Option<String> {
    SERVER_NAME.take()
}

/// Notes the name asked for and passes the question on.
#[derive(Debug)]
pub(super) struct Noting(pub(super) Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Noting {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        SERVER_NAME.set(hello.server_name().map(str::to_owned));
        self.0.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}

/// Certificates by name. A name may have several, of different kinds of key.
#[derive(Debug, Default)]
pub(super) struct ByName {
    names: HashMap<String, Vec<Arc<CertifiedKey>>>,
    all: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    /// Adds a certificate for `names`, or for those it has itself. The first one added is the default.
    pub(super) fn add(&mut self, names: Option<&[String]>, certified: CertifiedKey) -> Result<(), Error> {
        let names = match names {
            Some(names) => names.iter().map(|name| normal(name)).collect::<Result<Vec<_>, _>>()?,
            None => names_of(&certified)?,
        };
        let certified = Arc::new(certified);
        for name in names {
            self.names.entry(name).or_default().push(certified.clone());
        }
        self.all.push(certified);
        Ok(())
    }

    /// Those for `name`: for exactly that, else for the wildcard that covers its first label (RFC 9525, section
    /// 6.3), else all, the default first.
    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else { return &self.all };
        let name = name.to_ascii_lowercase();
        let wildcard = || name.split_once('.').and_then(|(_, parent)| self.names.get(&format!("*.{parent}")));
        self.names.get(&name).or_else(wildcard).unwrap_or(&self.all)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name());
        let usable = |certified: &&Arc<CertifiedKey>| can_sign(certified, hello.signature_schemes());
        candidates.iter().find(usable).or(candidates.first()).cloned()
    }
}

fn can_sign(certified: &CertifiedKey, schemes: &[SignatureScheme]) -> bool {
    certified.key.choose_scheme(schemes).is_some()
}

/// A name as the map has it: in lower case, checked, with or without `*.` in front.
fn normal(name: &str) -> Result<String, Error> {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    match DnsName::try_from(bare) {
        Ok(_) => Ok(name.to_ascii_lowercase()),
        Err(_) => Err(Error::Config(format!(
            "'{name}' is no DNS name to choose a certificate by: write www.example.com or *.example.com"
        ))),
    }
}

/// The DNS names in a certificate; none if it has only addresses.
fn names_of(certified: &CertifiedKey) -> Result<Vec<String>, Error> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::Config(format!("the names of a certificate cannot be read: {error}"))
    };
    let first = certified.end_entity_cert().map_err(|error| unreadable(&error))?;
    let parsed = webpki::EndEntityCert::try_from(first).map_err(|error| unreadable(&error))?;
    Ok(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}
