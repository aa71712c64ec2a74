//! Plans and toxics as JSON has them, what is refused of them and with which words, and the component on a reactor of
//! the test's own.

use windlass::proxy::{Change, Direction, Plan, Proxies, ProxyError, Toxic, ToxicKind};
use windlass::{Config, Event, Io, Owner, Reactor, Wait};

#[test]
fn toxics_are_read_and_written_alike() {
    let kinds = [
        ToxicKind::Latency { latency_ms: 100, jitter_ms: 10 },
        ToxicKind::Bandwidth { rate_kb_per_s: 50 },
        ToxicKind::SlowClose { delay_ms: 5 },
        ToxicKind::Timeout { timeout_ms: 0 },
        ToxicKind::ResetPeer { timeout_ms: 7 },
        ToxicKind::Slicer { average_size: 64, size_variation: 32, delay_us: 10 },
        ToxicKind::LimitData { bytes: i64::MAX as u64 },
        ToxicKind::Down,
        ToxicKind::Corrupt { probability: 0.25 },
        ToxicKind::Loss { probability: 0.01, rtt_ms: 40 },
        ToxicKind::Partition,
        ToxicKind::StopReading,
    ];
    assert_eq!(kinds.len(), ToxicKind::TYPES.len());
    for (number, kind) in kinds.into_iter().enumerate() {
        assert_eq!((kind.number(), kind.type_name()), (number, ToxicKind::TYPES[number]));
        let toxic = Toxic::new(kind).toxicity(0.1).upstream();
        let json = serde_json::to_vec(&toxic).unwrap();
        assert_eq!(Toxic::from_json(&json).unwrap(), toxic, "{}", String::from_utf8_lossy(&json));
        assert_eq!(serde_json::from_slice::<Toxic>(&json).unwrap(), toxic);
    }
}

#[test]
fn what_a_toxic_does_not_say_is_as_toxiproxy_has_it() {
    let toxic = Toxic::from_json(br#"{"type": "latency", "attributes": {"latency": 1000}}"#).unwrap();
    assert_eq!(toxic, Toxic::latency_ms(1000).named("latency_downstream"));
    let json: serde_json::Value = serde_json::to_value(&toxic).unwrap();
    let expected = serde_json::json!({
        "attributes": {"latency": 1000, "jitter": 0},
        "name": "latency_downstream",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1.0,
    });
    assert_eq!(json, expected);
    let nulls = br#"{"name": null, "type": "down", "stream": "", "toxicity": null, "attributes": null}"#;
    assert_eq!(Toxic::from_json(nulls).unwrap(), Toxic::new(ToxicKind::Down));
}

#[test]
fn a_change_is_laid_over_what_was_there() {
    let before = Toxic::latency_ms(100).jitter_ms(10).toxicity(0.5).upstream().named("slow");
    let after =
        before.merged(br#"{"attributes": {"latency": 7}, "name": "other", "stream": "downstream"}"#).unwrap();
    assert_eq!(after, Toxic { kind: ToxicKind::Latency { latency_ms: 7, jitter_ms: 10 }, ..before.clone() });
    assert_eq!(before.merged(br#"{"toxicity": 1}"#).unwrap().toxicity, 1.0);
    for refused in [r#"{"toxicity": 2}"#, r#"{"attributes": {"latency": -1}}"#, "[]", ""] {
        assert!(matches!(before.merged(refused.as_bytes()), Err(ProxyError::Invalid(_))), "{refused}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() {
    for (json, words) in [
        (r#"{"type": "warp"}"#, "invalid toxic type 'warp'; there are latency, "),
        (r#"{}"#, "invalid toxic type ''"),
        (r#"{"type": "latency", "stream": "sideways"}"#, "either upstream or downstream, not 'sideways'"),
        (r#"{"type": "latency", "toxicity": 1.5}"#, "toxicity must be from 0 to 1, not 1.5"),
        (r#"{"type": "latency", "toxicity": -0.5}"#, "not -0.5"),
        (
            r#"{"type": "latency", "attributes": {"latency": -5}}"#,
            "latency of latency must be a whole number",
        ),
        (r#"{"type": "latency", "attributes": {"latency": 1.5}}"#, "whole number from 0 on, not 1.5"),
        (r#"{"type": "latency", "attributes": {"latency": "1s"}}"#, "not \"1s\""),
        (r#"{"type": "latency", "attributes": {"latency": 1e300}}"#, "whole number"),
        (r#"{"type": "timeout", "attributes": {"timeout": 9223372036854775808}}"#, "whole number"),
        (r#"{"type": "timeout", "attributes": {"time": 1}}"#, "has no attribute 'time'; it has timeout"),
        (r#"{"type": "down", "attributes": {"time": 1}}"#, "it has none"),
        (r#"{"type": "slicer"}"#, "average_size of a slicer must be at least 1"),
        (r#"{"type": "slicer", "attributes": {"average_size": 1, "size_variation": 2}}"#, "not be more than"),
        (
            r#"{"type": "loss", "attributes": {"probability": 1.01}}"#,
            "probability of loss must be from 0 to 1",
        ),
        (r#"{"type": "corrupt", "attributes": {"probability": "all"}}"#, "must be a number from 0 to 1"),
        (r#"{"type": "latency""#, "not a toxic in JSON"),
    ] {
        let error = Toxic::from_json(json.as_bytes()).expect_err(json).to_string();
        assert!(error.contains(words), "{json}: {error}");
    }
}

#[test]
fn attributes_as_large_as_they_may_be_do_no_harm() {
    const MOST: u64 = u64::MAX;
    let mut reactor = Reactor::new(Config::default()).unwrap();
    let mut proxies = Proxies::new(1);
    proxies.create(reactor.io(), Plan::to("p", "127.0.0.1:9")).unwrap();
    let kinds = [
        ToxicKind::Latency { latency_ms: MOST, jitter_ms: MOST },
        ToxicKind::Bandwidth { rate_kb_per_s: MOST },
        ToxicKind::SlowClose { delay_ms: MOST },
        ToxicKind::Timeout { timeout_ms: MOST },
        ToxicKind::ResetPeer { timeout_ms: MOST },
        ToxicKind::Slicer { average_size: MOST, size_variation: MOST, delay_us: MOST },
        ToxicKind::LimitData { bytes: MOST },
        ToxicKind::Loss { probability: 1.0, rtt_ms: MOST },
    ];
    for kind in kinds {
        proxies.add_toxic(reactor.io(), "p", Toxic::new(kind)).unwrap();
    }
    assert_eq!(proxies.get("p").unwrap().toxics().len(), kinds.len());
}

#[test]
fn plans_are_checked_before_anything_is_done() {
    let mut reactor = Reactor::new(Config::default()).unwrap();
    let io = reactor.io();
    let mut proxies = Proxies::new(1);
    let good = Plan::to("good", "127.0.0.1:9");
    let refused = [
        Plan { name: String::new(), ..good.clone() },
        Plan { name: "x".repeat(256), ..good.clone() },
        Plan { listen: String::new(), ..good.clone() },
        Plan { listen: "nonsense".into(), ..good.clone() },
        Plan { listen: "127.0.0.1:99999".into(), ..good.clone() },
        Plan { listen: "unix:".into(), ..good.clone() },
        Plan { listen: format!("unix:/{}", "x".repeat(200)), ..good.clone() },
        Plan { upstream: String::new(), ..good.clone() },
        Plan { upstream: "127.0.0.1:0".into(), ..good.clone() },
        Plan { upstream: "host.invalid:1".into(), ..good.clone() },
        Plan { listen: "127.0.0.1:9".into(), ..good.clone() },
        Plan { listen: ":9".into(), ..good.clone() },
        Plan { listen: "unix:/same".into(), upstream: "unix:/same".into(), ..good.clone() },
    ];
    for plan in refused {
        let outcome = proxies.create(io, plan.clone()).map(drop);
        assert!(matches!(&outcome, Err(ProxyError::Invalid(_))), "{plan:?}: {outcome:?}");
    }
    let listen = proxies.create(io, good.clone()).unwrap().plan().listen.clone();
    assert!(!listen.ends_with(":0"), "the port that the system chose: {listen}");
    assert!(matches!(proxies.create(io, good), Err(ProxyError::ProxyExists(_))));
    let same_port = Plan { listen: listen.clone(), ..Plan::to("other", "127.0.0.1:9") };
    assert!(matches!(proxies.create(io, same_port), Err(ProxyError::Listen(_))));
    assert!(matches!(proxies.remove(io, "other"), Err(ProxyError::ProxyNotFound(_))));
    assert_eq!(proxies.iter().map(|proxy| &proxy.plan().name[..]).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn a_change_that_cannot_be_made_changes_nothing() {
    let mut reactor = Reactor::new(Config::default()).unwrap();
    let io = reactor.io();
    let mut proxies = Proxies::new(1);
    let first = Plan { listen: "127.0.101.3:0".into(), ..Plan::to("first", "127.0.0.1:9") };
    let first = proxies.create(io, first).unwrap().plan().clone();
    let second = proxies.create(io, Plan::to("second", "127.0.0.1:9")).unwrap().plan().clone();
    let taken = Change { listen: Some(second.listen), upstream: Some("127.0.0.1:10".into()), enabled: None };
    assert!(matches!(proxies.update(io, "first", &taken), Err(ProxyError::Listen(_))));
    let nonsense = Change { upstream: Some("nonsense".into()), enabled: Some(false), ..Change::default() };
    assert!(matches!(proxies.update(io, "first", &nonsense), Err(ProxyError::Invalid(_))));
    assert_eq!(proxies.get("first").unwrap().plan(), &first);
    let here = Change { listen: Some(first.listen.clone()), ..Change::default() };
    assert_eq!(proxies.update(io, "first", &here).unwrap().plan(), &first, "where it is already");
    let moved = Change { listen: Some("127.0.101.3:0".into()), ..Change::default() };
    assert_ne!(proxies.update(io, "first", &moved).unwrap().plan().listen, first.listen);
    let off = Change { enabled: Some(false), ..Change::default() };
    assert!(!proxies.update(io, "first", &off).unwrap().plan().enabled);
    proxies.add_toxic(io, "first", Toxic::black_hole()).unwrap();
    proxies.reset(io).unwrap();
    let first = proxies.get("first").unwrap();
    assert!(first.plan().enabled && first.toxics().len() == 0);
}

#[test]
fn events_of_others_are_handed_on() {
    let mut reactor = Reactor::new(Config::default()).unwrap();
    let mut proxies = Proxies::new(1);
    proxies.create(reactor.io(), Plan::to("p", "127.0.0.1:9")).unwrap();
    let at = reactor.io().now();
    reactor.io().timer_at(at, 99);
    let mut handed_on = 0;
    while handed_on == 0 {
        let mut handler = |io: &mut Io, event: Event<'_>| match proxies.handle(io, event) {
            Some(Event::Timer { timer, tag: 99 }) if timer.owner() == Owner::APP => handed_on += 1,
            other => panic!("{other:?}"),
        };
        reactor.turn(Wait::Forever, &mut handler).unwrap();
    }
}

#[test]
fn figures_are_written_as_prometheus_reads_them() {
    let mut reactor = Reactor::new(Config::default()).unwrap();
    let mut proxies = Proxies::new(1);
    proxies.create(reactor.io(), Plan::to("a \"b\"", "127.0.0.1:9")).unwrap();
    let text = proxies.snapshot().to_prometheus();
    for line in [
        "# TYPE windlass_proxy_accepted_total counter",
        "windlass_proxy_accepted_total{proxy=\"a \\\"b\\\"\"} 0",
        "windlass_proxy_received_bytes_total{proxy=\"a \\\"b\\\"\",direction=\"upstream\"} 0",
        "windlass_proxy_toxics_applied_total{proxy=\"a \\\"b\\\"\",type=\"slow_close\"} 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
    }
    let direction: Direction = serde_json::from_str("\"upstream\"").unwrap();
    assert_eq!(direction, Direction::Upstream);
}
