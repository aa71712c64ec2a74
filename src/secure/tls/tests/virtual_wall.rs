//! Certificates and tickets in virtual time: what counts is the simulated wall clock, whatever the machine's shows.

use super::super::rustls_0_23::{self, rustls};
use super::super::{ClientTls, ServerTls, Sessions};
use super::rig::{Authority, assert_open, shake};
use crate::error::Cause;
use crate::time::set_virtual_wall;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// Days from 1970 to the first day of that year, near enough.
const fn year(year: u32) -> Duration {
    DAY.saturating_mul((year - 1970) * 365 + (year - 1970) / 4)
}

/// Sets the wall clock of this thread for as long as it lives.
struct Wall;

impl Wall {
    fn at(since_1970: Duration) -> Wall {
        set_virtual_wall(Some(since_1970));
        Wall
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        set_virtual_wall(None);
    }
}

#[track_caller]
fn causes(client: &ClientTls, server: &ServerTls) -> Option<[Cause; 2]> {
    let (mut client, mut server) = shake(client, "example.com", server);
    match (&client.failure, &server.failure) {
        (None, None) => assert_open(&mut client, &mut server),
        (Some(ours), Some(theirs)) => return Some([ours.cause, theirs.cause]),
        other => panic!("only one end failed: {other:?}"),
    }
    None
}

#[test]
fn a_certificate_is_good_and_expired_by_the_virtual_clock() {
    let authority = Authority::new();
    let expired = Some([Cause::CertificateExpired, Cause::PeerRefused]);
    for (until, good_at, expired_at) in [(2020, 2019, 2021), (3000, 2990, 3001)] {
        let leaf = authority.issue_until(&["example.com"], until);
        let server = ServerTls::from_pem(&leaf.chain, &leaf.key).unwrap();
        // Each time a client without sessions: nothing is resumed.
        let client = || ClientTls::builder().roots_pem(authority.pem()).sessions(None).build().unwrap();
        let found = [good_at, expired_at].map(|at| {
            let _wall = Wall::at(year(at));
            causes(&client(), &server)
        });
        assert_eq!(found, [None, expired], "good until {until}");
        // And back by the machine's clock, which shows a year between those.
        assert_eq!(causes(&client(), &server), expired.filter(|_| until == 2020), "good until {until}");
    }
}

#[test]
fn a_clients_certificate_expires_by_the_virtual_clock_also_when_a_session_is_resumed() {
    let authority = Authority::new();
    let leaf = authority.issue_until(&["client"], 2020);
    let server = authority.server(&["example.com"]).client_roots_pem(authority.pem());
    let server = server
        .require_client_certificates()
        .resume_client_certificates()
        .ticket_lifetime(7 * DAY)
        .build()
        .unwrap();
    let sessions = Sessions::default();
    let client = ClientTls::builder().roots_pem(authority.pem()).sessions(sessions);
    let client = client.identity_pem(&leaf.chain, &leaf.key).build().unwrap();
    let expired_on = year(2020) + 2 * DAY;
    for (at, good, resumed) in [(5, true, Some(false)), (3, true, Some(true)), (0, false, None)] {
        let _wall = Wall::at(expired_on - at * DAY);
        let (client, server) = shake(&client, "example.com", &server);
        assert_eq!(
            server.failure.as_ref().map(|failure| failure.cause),
            (!good).then_some(Cause::CertificateExpired)
        );
        assert_eq!(client.failure.is_none(), good);
        assert_eq!(client.session.map(|session| session.resumed), resumed, "{at} days before");
    }
}

#[test]
fn tickets_age_by_the_virtual_clock() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).ticket_lifetime(DAY).build().unwrap();
    let client = authority.client();
    let resumed_after = |since: Duration| {
        let _wall = Wall::at(year(2000) + since);
        let (mut open, mut peer) = shake(&client, "example.com", &server);
        assert_open(&mut open, &mut peer);
        open.session().resumed
    };
    let found = [Duration::ZERO, DAY / 3, DAY, 2 * DAY + DAY / 3].map(resumed_after);
    assert_eq!(found, [false, true, true, false]);
}

#[test]
fn a_saved_session_ages_by_the_virtual_clock() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).ticket_lifetime(DAY).build().unwrap();
    let before = Sessions::default();
    let trusting = |sessions: &Sessions| {
        ClientTls::builder().roots_pem(authority.pem()).sessions(sessions.clone()).build().unwrap()
    };
    let saved = {
        let _wall = Wall::at(year(2000));
        assert_eq!(causes(&trusting(&before), &server), None);
        before.save()
    };
    for (age, resumes) in [(DAY / 3, true), (DAY + DAY / 3, false)] {
        let _wall = Wall::at(year(2000) + age);
        let after = Sessions::default();
        after.load(&saved).unwrap();
        let (open, _) = shake(&trusting(&after), "example.com", &server);
        assert_eq!(open.session().resumed, resumes, "{age:?} later");
    }
}

#[test]
fn a_ready_made_configuration_asks_the_virtual_clock_too() {
    let authority = Authority::new();
    let leaf = authority.issue_until(&["example.com"], 3000);
    let server = ServerTls::from_pem(&leaf.chain, &leaf.key).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let client = rustls_0_23::client(&Arc::new(config)).unwrap();
    {
        let _wall = Wall::at(year(3001));
        let refused = [Cause::CertificateExpired, Cause::PeerRefused];
        assert_eq!(causes(&client, &server), Some(refused));
    }
    assert_eq!(causes(&client, &server), None);
}
