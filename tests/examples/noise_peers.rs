//! `noise_peers`: keys are made once, the right peer is answered, and the wrong one hears nothing.

use super::process::{Server, run_to_end};
use std::path::PathBuf;

/// A folder for key files, removed with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("windlass-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Folder(path)
    }

    fn key(&self, whose: &str) -> String {
        self.0.join(whose).to_str().expect("plain text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left goes with the system's temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The public key that belongs to a file, which the first call makes.
fn public(key: &str) -> String {
    let told = run_to_end("noise_peers", &["--key", key]);
    assert!(told.status.success(), "{told:?}");
    let told = String::from_utf8(told.stdout).expect("text");
    told.trim_end().strip_prefix("public key ").expect("its first words").to_owned()
}

/// Ann waits for the peer with this key.
fn start_ann(key: &str, peer: &str) -> Server {
    let mut ann = Server::spawn("noise_peers", &["--key", key, "--peer", peer, "--listen", "127.0.0.1:0"]);
    assert!(ann.line().starts_with("public key "));
    ann.address = ann.address_after("listening on ");
    ann
}

fn run_bob(ann: &Server, key: &str, peer: &str) -> String {
    let bob = run_to_end("noise_peers", &["--key", key, "--peer", peer, "--to", &ann.address.to_string()]);
    assert!(bob.status.success(), "{bob:?}");
    String::from_utf8(bob.stdout).expect("text")
}

#[test]
fn noise_peers_know_each_other_and_nobody_else() {
    let folder = Folder::new("peers");
    let (ann_file, bob_file, eve_file) = (folder.key("ann"), folder.key("bob"), folder.key("eve"));
    let (ann_key, bob_key) = (public(&ann_file), public(&bob_file));
    assert_eq!((public(&ann_file), ann_key == bob_key), (ann_key.clone(), false), "made once, each its own");

    let mut ann = start_ann(&ann_file, &bob_key);
    let told = run_bob(&ann, &bob_file, &ann_key);
    let opened = format!("opened: Noise_XK_25519_AESGCM_SHA256 with {ann_key}\n");
    assert!(told.contains(&opened) && told.contains("heard: I would know you anywhere.\n"), "{told}");
    assert_eq!(ann.line(), format!("opened: Noise_XK_25519_AESGCM_SHA256 with {bob_key}"));
    assert_eq!(ann.line(), "heard: Hello, it is me.");
    assert!(ann.line().starts_with("closed: "));

    let told = run_bob(&ann, &eve_file, &ann_key);
    assert!(!told.contains("heard: "), "{told}");
    let line = ann.line();
    assert!(line.starts_with("closed: ") && line.contains("key"), "never opened: {line}");

    let told = run_bob(&ann, &bob_file, &bob_key);
    assert!(!told.contains("opened: ") && !told.contains("heard: "), "{told}");
}
