//! Two ends without sockets, and the certificates they show.

use super::super::{ClientTls, ServerTls, ServerTlsBuilder, TlsTransformer, Wanted};
use crate::secure::{Failure, Session, Then, TlsSession};
use crate::time::Instant;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};

/// One end of a connection: its transformer, what it was sent and what came out.
pub(super) struct End {
    pub(super) tls: TlsTransformer,
    wire: Vec<u8>,
    pub(super) done: bool,
    pub(super) finished: bool,
    pub(super) early: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) failure: Option<Failure>,
    pub(super) session: Option<TlsSession>,
}

impl End {
    pub(super) fn new(wanted: &Wanted) -> End {
        End {
            tls: wanted.begin(),
            wire: Vec::new(),
            done: false,
            finished: false,
            early: Vec::new(),
            data: Vec::new(),
            failure: None,
            session: None,
        }
    }

    pub(super) fn server(tls: &ServerTls) -> End {
        End::new(&Wanted::server(tls))
    }

    pub(super) fn client(tls: &ClientTls, name: &str) -> End {
        End::new(&Wanted::client(tls, name).unwrap())
    }

    /// Does what the reactor would when `bytes` arrive; what must go to the peer is returned. A client is given
    /// nothing to begin with.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.wire.extend_from_slice(bytes);
        let (mut reply, mut plain) = (Vec::new(), vec![0; self.wire.len() + 64]);
        if self.failure.is_some() {
            return reply;
        }
        if !self.done {
            match self.tls.shake(Instant::ZERO, &mut self.wire, &mut plain, &mut reply) {
                Ok(shaken) => {
                    self.early.extend_from_slice(&plain[..shaken.early]);
                    self.wire.drain(..shaken.consumed);
                    self.done = shaken.done;
                }
                Err(failure) => self.failure = Some(failure),
            }
            if !self.done {
                return reply;
            }
            let mut session = Session::default();
            self.tls.describe(&mut session);
            self.session = session.tls;
        }
        let opened = self.tls.open(&mut self.wire, &mut plain, &mut reply);
        self.data.extend_from_slice(&plain[..opened.produced]);
        self.wire.drain(..opened.consumed);
        match opened.then {
            Then::More => {}
            Then::Finished => self.finished = true,
            Then::Failed(failure) => self.failure = Some(failure),
        }
        reply
    }

    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = vec![0; self.tls.sealed_bytes_max(plain.len())];
        let bytes = self.tls.seal(plain, &mut sealed).unwrap();
        sealed.truncate(bytes);
        sealed
    }

    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut reply = Vec::new();
        self.tls.finish(&mut reply);
        reply
    }

    #[track_caller]
    pub(super) fn session(&self) -> &TlsSession {
        self.session.as_ref().unwrap_or_else(|| panic!("no session: {:?}", self.failure))
    }

    #[track_caller]
    pub(super) fn failure(&self) -> &Failure {
        self.failure.as_ref().expect("no failure")
    }
}

/// How what one end sends is cut up before the other gets it.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    Whole,
    /// Every so many bytes.
    Every(usize),
    /// In two, after this many bytes of all that this direction carries.
    At(usize),
}

/// Lets the two talk until neither has anything to say. Gives all that each sent: the client's bytes, the server's.
pub(super) fn talk(client: &mut End, server: &mut End, cut: Cut) -> (Vec<u8>, Vec<u8>) {
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    let mut to_server = client.receive(&[]);
    while !to_server.is_empty() {
        let to_client = deliver(server, &to_server, cut, from_client.len());
        from_client.append(&mut to_server);
        to_server = deliver(client, &to_client, cut, from_server.len());
        from_server.extend(to_client);
    }
    (from_client, from_server)
}

fn deliver(end: &mut End, bytes: &[u8], cut: Cut, before: usize) -> Vec<u8> {
    match cut {
        Cut::Whole => end.receive(bytes),
        Cut::Every(step) => bytes.chunks(step).flat_map(|part| end.receive(part)).collect(),
        Cut::At(place) => {
            let (first, second) = bytes.split_at(place.saturating_sub(before).min(bytes.len()));
            [first, second]
                .into_iter()
                .filter(|part| !part.is_empty())
                .flat_map(|part| end.receive(part))
                .collect()
        }
    }
}

/// A handshake between the two, and what each of them ended as.
pub(super) fn shake(client: &ClientTls, name: &str, server: &ServerTls) -> (End, End) {
    let (mut client, mut server) = (End::client(client, name), End::server(server));
    talk(&mut client, &mut server, Cut::Whole);
    (client, server)
}

/// Both ends are open, and data passes both ways.
#[track_caller]
pub(super) fn assert_open(client: &mut End, server: &mut End) {
    assert!(client.done && server.done, "client {:?}, server {:?}", client.failure, server.failure);
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut *client, &mut *server];
        let sealed = ends[from].seal(b"how do you do");
        let reply = ends[to].receive(&sealed);
        assert!(reply.is_empty() && ends[to].data.ends_with(b"how do you do"), "{:?}", ends[to].failure);
    }
}

/// A root that issues certificates.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key in PEM.
pub(super) struct Leaf {
    pub(super) chain: String,
    pub(super) key: String,
    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub(super) pin: [u8; 32],
    serial: SerialNumber,
}

impl Authority {
    pub(super) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let name = format!("authority {:?}", &key.public_key_raw()[1..9]);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Authority { issuer }
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(super) fn issue(&self, names: &[&str]) -> Leaf {
        self.issue_until(names, 4000)
    }

    pub(super) fn issue_with(&self, names: &[&str], kind: &'static SignatureAlgorithm) -> Leaf {
        self.issue_for(names, 4000, &KeyPair::generate_for(kind).unwrap())
    }

    /// A certificate that is good from 1990 to the first day of `year`.
    pub(super) fn issue_until(&self, names: &[&str], year: i32) -> Leaf {
        self.issue_for(names, year, &KeyPair::generate().unwrap())
    }

    fn issue_for(&self, names: &[&str], year: i32, key: &KeyPair) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(1990, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
        let serial = SerialNumber::from(u64::from_be_bytes(digest.as_ref()[..8].try_into().unwrap()) >> 1);
        params.serial_number = Some(serial.clone());
        let chain = params.signed_by(key, &self.issuer).unwrap().pem();
        Leaf { chain, key: key.serialize_pem(), pin: digest.as_ref().try_into().unwrap(), serial }
    }

    /// A list that names `revoked`.
    pub(super) fn revoke(&self, revoked: &[&Leaf]) -> String {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|leaf| RevokedCertParams {
                    serial_number: leaf.serial.clone(),
                    revocation_time: date_time_ymd(2021, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A server with a certificate for `names`.
    pub(super) fn server(&self, names: &[&str]) -> ServerTlsBuilder {
        let leaf = self.issue(names);
        ServerTls::builder().certificate_pem(&leaf.chain, &leaf.key)
    }

    /// A client that trusts this authority.
    pub(super) fn client(&self) -> ClientTls {
        ClientTls::builder().roots_pem(self.pem()).build().unwrap()
    }
}
