//! `own_loop`: the frames come, the keys count, and it ends by itself.

use super::process::Server;
use crate::thorough::thorough;
use std::io::{BufRead, BufReader, Write};

#[test]
fn own_loop_shows_each_frame_once_and_obeys_the_keys() {
    let frames: u64 = thorough(180, 30);
    let mut server = Server::start("own_loop", &["--frames", &frames.to_string()]);
    let mut client = server.connect();
    client.write_all(b"asd").expect("open");
    let pictures: Vec<String> = BufReader::new(client).lines().map(|line| line.expect("open")).collect();

    let (mut numbers, mut places) = (Vec::new(), Vec::new());
    for picture in &pictures {
        let (frame, players) = picture.split_once(':').expect("frame N: PLAYERS");
        numbers.push(frame.strip_prefix("frame ").and_then(|n| n.parse::<u64>().ok()).expect("a number"));
        places.push(players.split_once('@').and_then(|(_, place)| place.split_once(',')).expect("X,Y"));
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&frames), "the last frame is shown before the end");
    assert!(places.contains(&("1", "0")), "the last key steers right: {places:?}");
    assert!(places.iter().all(|(_, y)| *y == "0"), "keys of one frame are taken together: {places:?}");

    let line = server.line();
    assert!(line.starts_with(&format!("{frames} frames, late by ")), "{line}");
    assert!(server.wait().success());
}
