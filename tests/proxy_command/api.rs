//! The control's endpoints: what each answers, and what it does to the connections that are there.

use crate::rig::{Proxy, Upstream, dial, echoes, say};
use serde_json::json;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;

#[test]
fn a_proxy_is_made_shown_and_taken_away() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    assert_eq!(proxy.expect("GET", "/proxies", "", 200), json!({}));
    let listen = proxy.create("echo", &upstream.address);
    let shown = json!({
        "name": "echo", "listen": listen, "upstream": upstream.address, "enabled": true, "toxics": []
    });
    assert_eq!(proxy.expect("GET", "/proxies", "", 200), json!({"echo": shown}));
    assert_eq!(proxy.expect("GET", "/proxies/echo", "", 200), shown);
    echoes(&listen);
    assert_eq!(proxy.ask("DELETE", "/proxies/echo", "").status, 204);
    assert_eq!(proxy.expect("GET", "/proxies", "", 200), json!({}));
    TcpStream::connect(&listen).expect_err("nobody listens any more");
}

#[test]
fn a_toxic_has_defaults_is_merged_and_taken_out() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    proxy.create("echo", &upstream.address);
    let toxics = "/proxies/echo/toxics";
    assert_eq!(proxy.expect("GET", toxics, "", 200), json!([]));
    let made = proxy.expect("POST", toxics, r#"{"type": "latency", "attributes": {"latency": 1}}"#, 200);
    let mut shown = json!({
        "name": "latency_downstream", "type": "latency", "stream": "downstream", "toxicity": 1.0,
        "attributes": {"latency": 1, "jitter": 0}
    });
    assert_eq!(made, shown);
    let one = "/proxies/echo/toxics/latency_downstream";
    assert_eq!(proxy.expect("GET", one, "", 200), shown);
    for (method, change, field) in [
        ("POST", r#"{"attributes": {"jitter": 2}}"#, json!({"latency": 1, "jitter": 2})),
        ("PATCH", r#"{"attributes": {"latency": 3}}"#, json!({"latency": 3, "jitter": 2})),
        ("PATCH", "{}", json!({"latency": 3, "jitter": 2})),
    ] {
        shown["attributes"] = field;
        assert_eq!(proxy.expect(method, one, change, 200), shown, "{method} {change}");
    }
    shown["toxicity"] = json!(0.5);
    let other_fields = r#"{"toxicity": 0.5, "name": "other", "stream": "upstream", "type": "bandwidth"}"#;
    assert_eq!(proxy.expect("PATCH", one, other_fields, 200), shown, "name, type and stream stay");
    assert_eq!(proxy.expect("GET", toxics, "", 200), json!([shown]));
    assert_eq!(proxy.expect("GET", "/proxies/echo", "", 200)["toxics"], json!([shown]));
    assert_eq!(proxy.ask("DELETE", one, "").status, 204);
    assert_eq!(proxy.expect("GET", toxics, "", 200), json!([]));
}

#[test]
fn fields_may_be_written_as_other_languages_write_them() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let plan =
        json!({"Name": "echo", "Listen": "127.0.0.1:0", "Upstream": upstream.address, "Enabled": true});
    proxy.expect("POST", "/populate", &json!([plan]).to_string(), 201);
    proxy.refuses("POST", "/proxies", &plan.to_string(), 409, "already exists");
    let toxic =
        json!({"Type": "latency", "Stream": "UpStream", "Attributes": {"Latency": 5}, "Toxicity": 0.5});
    let shown = proxy.expect("POST", "/proxies/echo/toxics", &toxic.to_string(), 200);
    assert_eq!((&shown["name"], &shown["stream"]), (&json!("latency_upstream"), &json!("upstream")));
    assert_eq!((&shown["attributes"]["latency"], &shown["toxicity"]), (&json!(5), &json!(0.5)));
    let shown = proxy.expect("PATCH", "/proxies/echo", r#"{"Enabled": false}"#, 200);
    assert_eq!(shown["enabled"], json!(false));
}

#[test]
fn every_type_of_toxic_is_told_as_it_was_made() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    proxy.create("echo", &upstream.address);
    for (kind, attributes) in [
        ("latency", json!({"latency": 100, "jitter": 10})),
        ("bandwidth", json!({"rate": 512})),
        ("slow_close", json!({"delay": 500})),
        ("timeout", json!({"timeout": 0})),
        ("reset_peer", json!({"timeout": 5})),
        ("slicer", json!({"average_size": 64, "size_variation": 32, "delay": 10})),
        ("limit_data", json!({"bytes": 1000})),
        ("down", json!({})),
        ("corrupt", json!({"probability": 0.25})),
        ("loss", json!({"probability": 0.01, "rtt": 20})),
        ("partition", json!({})),
        ("stop_reading", json!({})),
    ] {
        let wanted = json!({
            "name": format!("my {kind}"), "type": kind, "stream": "upstream", "toxicity": 0.25, "attributes": attributes
        });
        assert_eq!(proxy.expect("POST", "/proxies/echo/toxics", &wanted.to_string(), 200), wanted);
        assert_eq!(proxy.expect("GET", &format!("/proxies/echo/toxics/my%20{kind}"), "", 200), wanted);
    }
    assert_eq!(proxy.expect("GET", "/proxies/echo/toxics", "", 200).as_array().map(Vec::len), Some(12));
}

#[test]
fn a_proxy_is_switched_off_and_on_by_post_and_by_patch() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let listen = proxy.create("echo", &upstream.address);
    for method in ["POST", "PATCH"] {
        let mut open = dial(&listen);
        say(&mut open, b"before");
        let off = proxy.expect(method, "/proxies/echo", r#"{"enabled": false}"#, 200);
        assert_eq!((&off["enabled"], &off["listen"]), (&json!(false), &json!(listen)));
        is_over(&mut open);
        TcpStream::connect(&listen).expect_err("nobody listens");
        let on = proxy.expect(method, "/proxies/echo", r#"{"enabled": true}"#, 200);
        assert_eq!((&on["enabled"], &on["listen"]), (&json!(true), &json!(listen)));
        echoes(&listen);
    }
}

/// The other end has ended the connection, in whatever way.
#[track_caller]
fn is_over(stream: &mut TcpStream) {
    match stream.read(&mut [0; 16]) {
        Ok(0) => {}
        Ok(more) => panic!("{more} bytes instead of an end"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}

#[test]
fn a_proxy_gets_another_upstream() {
    let (proxy, first, second) = (Proxy::empty(), Upstream::start(), Upstream::start());
    let listen = proxy.create("echo", &first.address);
    let body = json!({"upstream": second.address}).to_string();
    let shown = proxy.expect("PATCH", "/proxies/echo", &body, 200);
    assert_eq!((&shown["upstream"], &shown["listen"]), (&json!(second.address), &json!(listen)));
    drop(first);
    echoes(&listen);
}

#[test]
fn a_proxy_begins_switched_off_if_that_is_asked_for() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let body =
        json!({"name": "echo", "listen": "127.0.0.1:0", "upstream": upstream.address, "enabled": false});
    let shown = proxy.expect("POST", "/proxies", &body.to_string(), 201);
    assert_eq!((&shown["enabled"], &shown["listen"]), (&json!(false), &json!("127.0.0.1:0")));
    let shown = proxy.expect("POST", "/proxies/echo", r#"{"enabled": true}"#, 200);
    echoes(shown["listen"].as_str().expect("it listens now"));
}

#[test]
fn a_proxy_listens_on_loopback_if_nothing_is_said() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let body = json!({"name": "echo", "upstream": upstream.address});
    let shown = proxy.expect("POST", "/proxies", &body.to_string(), 201);
    let listen = shown["listen"].as_str().expect("an address");
    assert!(listen.starts_with("127.0.0.1:"), "{listen}");
    echoes(listen);
}

#[test]
fn reset_switches_everything_on_and_takes_all_toxics_out() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let off = proxy.create("off", &upstream.address);
    let on = proxy.create("on", &upstream.address);
    proxy.expect("POST", "/proxies/off", r#"{"enabled": false}"#, 200);
    for name in ["off", "on"] {
        proxy.expect("POST", &format!("/proxies/{name}/toxics"), r#"{"type": "timeout"}"#, 200);
    }
    let mut stuck = dial(&on);
    assert_eq!(proxy.ask("POST", "/reset", "").status, 204);
    say(&mut stuck, b"flows again");
    echoes(&off);
    for name in ["off", "on"] {
        let shown = proxy.expect("GET", &format!("/proxies/{name}"), "", 200);
        assert_eq!((&shown["enabled"], &shown["toxics"]), (&json!(true), &json!([])));
    }
}

#[test]
fn names_may_need_escapes() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let name = "a/b é%?#";
    proxy.create(name, &upstream.address);
    let path = "/proxies/a%2Fb%20%C3%A9%25%3F%23";
    assert_eq!(proxy.expect("GET", path, "", 200)["name"], name);
    let toxic = json!({"type": "latency", "name": name}).to_string();
    proxy.expect("POST", &format!("{path}/toxics"), &toxic, 200);
    assert_eq!(proxy.expect("GET", &format!("{path}/toxics/a%2fb%20%c3%a9%25%3f%23"), "", 200)["name"], name);
    assert_eq!(proxy.ask("DELETE", path, "").status, 204);
}

#[test]
fn the_version_is_one_whose_clients_may_patch() {
    let told = Proxy::empty().expect("GET", "/version", "", 200);
    let version = told["version"].as_str().expect("a version");
    let numbers: Vec<u32> = version.split('.').map(|number| number.parse().expect("a number")).collect();
    assert!(numbers >= vec![2, 6, 0], "{version}");
    assert_eq!(told["server"], concat!("windlass ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn metrics_count_what_went_through() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let listen = proxy.create("e\"cho", &upstream.address);
    proxy.expect("POST", "/proxies/e%22cho/toxics", r#"{"type": "latency"}"#, 200);
    echoes(&listen);
    let answer = proxy.ask("GET", "/metrics", "");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("Content-Type: text/plain; version=0.0.4"), "{}", answer.head);
    let labels = format!(r#"listener="{listen}",proxy="e\"cho",upstream="{}""#, upstream.address);
    for (series, direction) in
        [("received", "upstream"), ("received", "downstream"), ("sent", "upstream"), ("sent", "downstream")]
    {
        let line = format!("toxiproxy_proxy_{series}_bytes_total{{direction=\"{direction}\",{labels}}} 16");
        assert!(answer.body.lines().any(|told| told == line), "{line} is missing in\n{}", answer.body);
    }
    for line in [
        r#"windlass_proxy_accepted_total{proxy="e\"cho"} 1"#,
        r#"windlass_proxy_toxics_applied_total{proxy="e\"cho",type="latency"} 1"#,
    ] {
        assert!(answer.body.lines().any(|told| told == line), "{line} is missing in\n{}", answer.body);
    }
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a series and its value");
        value.parse::<f64>().unwrap_or_else(|error| panic!("{line}: {error}"));
        let name = series.split('{').next().expect("its name");
        assert!(answer.body.contains(&format!("# TYPE {name} ")), "{name} has no type");
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_a_status_and_a_sentence() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let listen = proxy.create("echo", &upstream.address);
    let mut open = dial(&listen);
    say(&mut open, b"before");
    let latency = r#"{"type": "latency", "name": "slow"}"#;
    proxy.expect("POST", "/proxies/echo/toxics", latency, 200);
    let with = |listen: &str, upstream: &str| {
        json!({"name": "new", "listen": listen, "upstream": upstream}).to_string()
    };
    let toxics = "/proxies/echo/toxics";
    for (method, path, body, status, words) in [
        ("GET", "/proxies/none", "", 404, "proxy not found"),
        ("PATCH", "/proxies/none", "{}", 404, "proxy not found"),
        ("DELETE", "/proxies/none", "", 404, "proxy not found"),
        ("GET", "/proxies/none/toxics", "", 404, "proxy not found"),
        ("POST", "/proxies/none/toxics", latency, 404, "proxy not found"),
        ("GET", "/proxies/echo/toxics/none", "", 404, "toxic not found"),
        ("PATCH", "/proxies/echo/toxics/none", "{}", 404, "toxic not found"),
        ("DELETE", "/proxies/echo/toxics/none", "", 404, "toxic not found"),
        ("GET", "/nowhere", "", 404, "try /proxies"),
        ("PUT", "/proxies/echo", "", 405, "GET, POST, PATCH, DELETE"),
        ("GET", "/reset", "", 405, "takes POST"),
        ("GET", "/proxies/%zz", "", 400, "two digits"),
        ("POST", "/proxies", "", 400, "bad request body"),
        ("POST", "/proxies", "[", 400, "bad request body"),
        ("POST", "/proxies", "{} x", 400, "bad request body"),
        ("POST", "/proxies", r#"{"name": 7, "upstream": "a:1"}"#, 400, "bad request body"),
        ("POST", "/proxies", r#"{"upstream": "127.0.0.1:1"}"#, 400, "missing required field: name"),
        ("POST", "/proxies", r#"{"name": "new"}"#, 400, "missing required field: upstream"),
        ("POST", "/proxies", &with("127.0.0.1:0", "nowhere"), 400, "nowhere"),
        ("POST", "/proxies", &with("127.0.0.1:0", "127.0.0.1:99999"), 400, "99999"),
        ("POST", "/proxies", &with("not an address", "127.0.0.1:1"), 400, "not an address"),
        ("POST", "/proxies", &with(&listen, "127.0.0.1:1"), 500, "in use"),
        (
            "POST",
            "/proxies",
            &format!(r#"{{"name": "echo", "upstream": "{listen}"}}"#),
            409,
            "already exists",
        ),
        ("POST", "/proxies", r#"["new", null, "127.0.0.1:1"]"#, 400, "bad request body"),
        ("POST", "/proxies", "null", 400, "bad request body"),
        ("PATCH", "/proxies/echo", "7", 400, "bad request body"),
        ("PATCH", "/proxies/echo", r#"{"enabled": "yes"}"#, 400, "bad request body"),
        ("PATCH", "/proxies/echo", r#"{"upstream": "nowhere"}"#, 400, "nowhere"),
        ("POST", toxics, "", 400, "bad request body"),
        ("POST", toxics, latency, 409, "already exists"),
        ("POST", toxics, r#"{"type": "lag"}"#, 400, "invalid toxic type"),
        ("POST", toxics, r#"{"type": "timeout", "stream": "sideways"}"#, 400, "stream was invalid"),
        ("POST", toxics, r#"{"type": "timeout", "toxicity": 2}"#, 400, "from 0 to 1"),
        ("POST", toxics, r#"{"type": "timeout", "attributes": {"timeout": -1}}"#, 400, "whole number"),
        ("POST", toxics, r#"{"type": "timeout", "attributes": {"timeout": "5"}}"#, 400, "whole number"),
        ("POST", toxics, r#"{"type": "timeout", "attributes": {"tiemout": 5}}"#, 400, "tiemout"),
        ("POST", toxics, r#"{"type": "slicer"}"#, 400, "at least 1"),
        ("PATCH", "/proxies/echo/toxics/slow", r#"{"toxicity": -1}"#, 400, "from 0 to 1"),
        ("PATCH", "/proxies/echo/toxics/slow", "[]", 400, "bad request body"),
    ] {
        proxy.refuses(method, path, body, status, words);
    }
    let shown = proxy.expect("GET", "/proxies", "", 200);
    assert_eq!(shown.as_object().map(serde_json::Map::len), Some(1), "nothing was made: {shown}");
    assert_eq!(shown["echo"]["toxics"].as_array().map(Vec::len), Some(1), "nothing was changed: {shown}");
    say(&mut open, b"and nobody's connection was touched");
}
