//! What is refused before anything is started: one sentence, exit code 2, nothing on standard output.

use crate::rig::{Ended, QUICK, Scratch, bench, ended, windlass};
use std::process::Command;

/// Nothing was started, and it says why.
#[track_caller]
fn refused(words: &[&str]) -> Ended {
    let ended = ended(words);
    assert!(ended.stdout.is_empty(), "{words:?} prints {}", ended.stdout);
    assert!(!ended.stderr.trim().is_empty(), "{words:?} says nothing");
    ended
}

#[test]
fn absurd_numbers_are_refused_with_a_sentence() {
    for flag in [
        "--rate",
        "--connections",
        "--size",
        "--depth",
        "--duration",
        "--timeout",
        "--connect-timeout",
        "--interval",
        "--threads",
        "--reconnect-every",
    ] {
        for value in ["0", "-1", "1e30", "99999999999999999999999h", "", "x"] {
            let ended = refused(&["bench", flag, value]).expect(2);
            let sentence = ended.stderr.lines().next().unwrap_or_default();
            assert!(sentence.len() > 20 && !sentence.contains("invalid digit"), "{flag} {value}: {sentence}");
        }
    }
    for (flag, value) in [
        ("--duration", "99999999h"),
        ("--warm-up", "-1"),
        ("--think", "99999999h"),
        ("--seed", "-1"),
        ("--seed", "1e30"),
        ("--server-cores", "0"),
        ("--server-cores", "100000"),
        ("--rate", "1k.."),
        ("--rate", "1000m"),
        ("--size", "9..3"),
        ("--slo", "p99.9"),
        ("--slo", ""),
        ("--slo", "p101=1ms"),
        ("--protocol", "smtp"),
        ("--idle", "dance"),
    ] {
        refused(&["bench", flag, value]).expect(2);
    }
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    for (words, said) in [
        (&["--search"][..], "--slo"),
        (&["--rate", "max", "--poisson"], "--poisson"),
        (&["--rate", "max", "--search", "--slo", "p99=1s"], "--search"),
        (&["--rate", "1..2", "--search", "--slo", "p99=1s"], "--search"),
        (&["--threads", "3", "--connections", "2"], "threads"),
        (&["--protocol", "redis"], "embedded server speaks echo only"),
        (&["--keys", "5"], "for Redis"),
        (&["--header", "A: b"], "for HTTP"),
        (&["--json", "--json-stream"], "--json"),
        (&["--force"], "--out"),
        (&["--compare", "x", "--duration", "300ms", "--interval", "100ms"], "at least 8 intervals"),
        (&["--profile", "sometimes"], "idle"),
        (&["127.0.0.1:1", "--profile", "idle"], "--profile"),
    ] {
        refused(&[&["bench"], words].concat()).expect(2).says(said);
    }
    refused(&["bench", "http://127.0.0.1:1/", "--size", "5"]).expect(2).says("--body");
    refused(&["bench", "http://127.0.0.1:1/", "--header", "nonsense"]).expect(2).says("a colon");
    refused(&["bench", "http://127.0.0.1:1/", "--protocol", "redis"]).expect(2).says("leave one of them out");
    refused(&["bench", "redis://127.0.0.1:1", "--command", "GET 'x"]).expect(2).says("--command");
}

#[test]
fn flags_of_security_that_do_nothing_are_refused() {
    let (target, key) = ("127.0.0.1:1", "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    for (words, said) in [
        (&["load", target, "--cert", "a"][..], "--key"),
        (&["load", target, "--cert", "a", "--key", "b"], "--transport tls"),
        (&["load", target, "--ca", "a"], "--ca is for TLS"),
        (&["load", target, "--resume"], "--resume is for TLS"),
        (&["load", target, "--noise-peer", key], "--noise-peer is for Noise"),
        (&["load", target, "--transport", "tls", "--noise-rekey", "off"], "--noise-rekey is for Noise"),
        (&["load", target, "--transport", "tls", "--ca", "a", "--server-pin", key], "--server-pin"),
        (&["load", target, "--transport", "tls", "--server-pin", "12"], "64 hex digits"),
        (&["load", target, "--transport", "noise"], "--noise-peer HEX"),
        (&["load", target, "--transport", "noise", "--noise-peer", "12"], "64 hex digits"),
        (
            &["load", target, "--transport", "noise", "--noise-pattern", "XK"],
            "Noise_PATTERN_25519_CIPHER_HASH",
        ),
        (&["load", target, "--transport", "noise", "--noise-rekey", "0"], "off"),
        (&["load", "https://a/", "--transport", "tcp"], "reached over TLS"),
        (&["load", "unix:/a", "--transport", "tcp"], "is a Unix socket"),
        (&["load", target, "--transport", "unix"], "is no Unix socket"),
        (&["load", target, "--transport", "quic"], "tls+noise"),
        (&["load", target, "--transport", "tls", "--ca", "/nonexistent/ca"], "/nonexistent/ca"),
        (&["bench", "--transport", "tls", "--server-name", "a"], "embedded one is known by its own key"),
        (&["bench", "--transport", "noise", "--noise-peer", key], "embedded one is known by its own key"),
        (&["bench", "--mode", "handshake", "--depth", "2"], "depth above 1"),
        (&["bench", "--mode", "handshake", "--reconnect-every", "2"], "reconnecting"),
        (&["serve", "--noise-psk", "a"], "--noise-psk is for Noise"),
        (&["serve", "--transport", "tls", "--cert", "/nonexistent/c", "--key", "k"], "/nonexistent/c"),
        (&["serve", "--transport", "noise", "--noise-key", "/nonexistent/k"], "/nonexistent/k"),
    ] {
        let ended = refused(words).says(said);
        assert!([1, 2].contains(&ended.code), "{words:?}: {}", ended.code);
    }
    let scratch = Scratch::new();
    let file = scratch.join("key");
    std::fs::write(&file, "not a key").unwrap();
    let noise = ["serve", "--transport", "noise", "--noise-key", &file];
    refused(&noise).expect(2).says("64 hex digits");
    let nn = ["--noise-pattern", "Noise_NN_25519_AESGCM_SHA256"];
    refused(&[&noise[..], &nn].concat()).expect(2).says("leave --noise-key out");
    let psk = ["serve", "--transport", "noise", "--noise-pattern", "Noise_XKpsk3_25519_AESGCM_SHA256"];
    refused(&psk).expect(2).says("--noise-psk FILE");
    refused(&[&psk[..], &["--noise-psk", &file]].concat()).expect(2).says("64 hex digits");
}

#[test]
fn targets_that_are_none_are_refused_with_advice() {
    for target in [
        "host",
        "127.0.0.1",
        "127.0.0.1:99999",
        "::1:7000",
        "ftp://a:1",
        "unix:",
        "https://",
        "rediss://",
        "/tmp/a.sock",
    ] {
        refused(&["bench", target]).expect(2);
        refused(&["load", target]).expect(2);
    }
    refused(&["load"]).expect(2).says("TARGET");
    refused(&["bench", "/tmp/a.sock"]).says("unix:/tmp/a.sock");
}

#[test]
fn a_baseline_that_is_none_is_refused() {
    let scratch = Scratch::new();
    let missing = scratch.join("missing");
    refused(&["bench", "--compare", &missing]).expect(2).says("missing");
    let empty = scratch.path().to_str().unwrap();
    refused(&["bench", "--compare", empty]).expect(2).says("run.json");
    let garbage = scratch.join("garbage.json");
    std::fs::write(&garbage, "{\"not\": \"a run\"}").unwrap();
    refused(&["bench", "--compare", &garbage]).expect(2).says("not of a run");
    std::fs::write(&garbage, "{\"schema_version\": 999}").unwrap();
    refused(&["bench", "--compare", &garbage]).expect(2).says("schema_version 999");
}

#[test]
fn results_have_a_directory_that_can_be_written_to_before_anything_is_measured() {
    let scratch = Scratch::new();
    let file = scratch.join("file");
    std::fs::write(&file, "mine").unwrap();
    refused(&["bench", "--out", &file]).expect(1).says("this is a file");
    refused(&["bench", "--out", &format!("{file}/below")]).expect(1).says("cannot be made");
    // Nobody, not even root, makes directories there.
    refused(&["bench", "--out", "/proc/windlass"]).expect(1).says("--out /proc/windlass");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn results_of_an_earlier_run_are_replaced_only_by_force() {
    if crate::slow::left_out() {
        return;
    }
    let scratch = Scratch::new();
    std::fs::write(scratch.join("run.json"), "{}").unwrap();
    let out = scratch.path().to_str().unwrap();
    refused(&["bench", "--out", out]).expect(2).says("--force");
    assert_eq!(std::fs::read_to_string(scratch.join("run.json")).unwrap(), "{}");
    ended([&["bench", "--out", out, "--force"], &QUICK[..]].concat()).expect(0).says("Saved");
    assert!(std::fs::read_to_string(scratch.join("run.json")).unwrap().contains("schema_version"));
}

#[test]
fn too_few_descriptors_name_the_limit_and_the_command() {
    let script = format!("ulimit -n 64; exec {} bench -c 100", env!("CARGO_BIN_EXE_windlass"));
    let output = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    Ended::of(&output).expect(1).says("this process may have 64").says("`ulimit -n ");
}

#[test]
fn a_soft_limit_of_descriptors_is_raised_silently() {
    if crate::slow::left_out() {
        return;
    }
    let command = format!("{} bench {} -c 100", env!("CARGO_BIN_EXE_windlass"), QUICK.join(" "));
    // The last --connections counts.
    let script = format!("ulimit -S -n 64; exec {}", command.replace("--connections 2", ""));
    let output = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    Ended::of(&output).expect(0).says("100 connections");
}

#[test]
fn a_body_that_cannot_be_read_names_its_file() {
    bench("http://127.0.0.1:1/", &["--body", "@/nonexistent/body"]).expect(1).says("/nonexistent/body");
}

#[test]
fn help_tells_exit_codes_and_examples() {
    for command in ["bench", "load"] {
        let help = ended([command, "--help"]).expect(0).stdout;
        // Lines are wrapped wherever they have to be.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "Examples:",
            "Exit codes:",
            "130 ",
            "open loop",
            "intended start",
            "[default: 10k",
            "--mode handshake",
        ] {
            assert!(help.contains(words), "{command} --help lacks '{words}'");
        }
    }
    let output = windlass().output().expect("the command starts");
    assert_eq!(output.status.code(), Some(2), "no command at all is a question, not a success");
}

#[test]
fn completions_are_there_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ended(["completions", shell]).expect(0).stdout;
        assert!(script.contains("slo") && script.contains("bench"), "{shell}");
    }
    refused(&["completions", "cmd"]).expect(2);
}
