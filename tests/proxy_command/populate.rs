//! `POST /populate`: what is there and equal stays, what is not becomes, and a list with a mistake changes nothing.

use crate::rig::{Proxy, Upstream, dial, echoes, say};
use serde_json::{Value, json};

fn listen_of(shown: &Value) -> String {
    shown["listen"].as_str().expect("an address").to_owned()
}

#[test]
fn a_list_of_proxies_is_made_at_once() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let list = json!([
        {"name": "one", "listen": "127.0.0.1:0", "upstream": upstream.address},
        {"name": "two", "listen": "127.0.0.1:0", "upstream": upstream.address, "enabled": false},
    ]);
    let told = proxy.expect("POST", "/populate", &list.to_string(), 201);
    let made = told["proxies"].as_array().expect("a list");
    assert_eq!(made.len(), 2);
    assert_eq!(
        (&made[0]["name"], &made[0]["enabled"], &made[0]["toxics"]),
        (&json!("one"), &json!(true), &json!([]))
    );
    assert_eq!((&made[1]["name"], &made[1]["enabled"]), (&json!("two"), &json!(false)));
    echoes(&listen_of(&made[0]));
    assert_eq!(proxy.expect("POST", "/populate", "[]", 201), json!({"proxies": []}));
    assert_eq!(proxy.expect("GET", "/proxies", "", 200).as_object().map(serde_json::Map::len), Some(2));
}

#[test]
fn what_is_equal_keeps_its_connections_and_toxics_and_what_differs_is_replaced() {
    let (proxy, upstream, other) = (Proxy::empty(), Upstream::start(), Upstream::start());
    let kept = proxy.create("kept", &upstream.address);
    let changed = proxy.create("changed", &upstream.address);
    for name in ["kept", "changed"] {
        proxy.expect("POST", &format!("/proxies/{name}/toxics"), r#"{"type": "latency"}"#, 200);
    }
    let mut open = dial(&kept);
    say(&mut open, b"before");
    let (_, port) = kept.rsplit_once(':').expect("a port");
    let list = json!([
        // The same place by another name.
        {"name": "kept", "listen": format!("localhost:{port}"), "upstream": upstream.address},
        {"name": "changed", "listen": changed, "upstream": other.address},
    ]);
    let told = proxy.expect("POST", "/populate", &list.to_string(), 201);
    let toxics = |number: usize| told["proxies"][number]["toxics"].as_array().map(Vec::len);
    assert_eq!((toxics(0), toxics(1)), (Some(1), Some(0)));
    assert_eq!(told["proxies"][0]["listen"], kept);
    assert_eq!(
        (&told["proxies"][1]["listen"], &told["proxies"][1]["upstream"]),
        (&json!(changed), &json!(other.address))
    );
    say(&mut open, b"after");
    drop(upstream);
    echoes(&changed);
}

#[test]
fn a_list_with_a_mistake_changes_nothing() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let good = json!({"name": "good", "upstream": upstream.address});
    for (bad, words) in [
        (json!({"upstream": "a:1"}), "missing required field: name at proxy 2"),
        (json!({"name": "bad"}), "missing required field: upstream at proxy 2"),
        (json!({"name": "good", "upstream": "127.0.0.1:1"}), "duplicate proxy name"),
        (json!(7), "bad request body"),
    ] {
        proxy.refuses("POST", "/populate", &json!([good, bad]).to_string(), 400, words);
    }
    proxy.refuses("POST", "/populate", &good.to_string(), 400, "bad request body");
    assert_eq!(proxy.expect("GET", "/proxies", "", 200), json!({}));
}

#[test]
fn what_the_system_refuses_is_told_together_with_what_was_done() {
    let (proxy, upstream, other) = (Proxy::empty(), Upstream::start(), Upstream::start());
    let list = json!([
        {"name": "done", "upstream": upstream.address},
        {"name": "refused", "listen": other.address, "upstream": upstream.address},
        {"name": "never tried", "upstream": upstream.address},
    ]);
    let told = proxy.expect("POST", "/populate", &list.to_string(), 500);
    assert!(told["error"].as_str().is_some_and(|sentence| sentence.contains("in use")), "{told}");
    assert_eq!(told["proxies"].as_array().map(Vec::len), Some(1));
    echoes(&listen_of(&told["proxies"][0]));
    assert_eq!(proxy.expect("GET", "/proxies", "", 200).as_object().map(serde_json::Map::len), Some(1));
}
