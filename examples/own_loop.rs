//! cargo run --release --example own_loop -- --listen 127.0.0.1:7000 --frames 600
//!
//! A game server with a loop of its own: 60 frames per second, and the reactor gets what is left of each. Players
//! steer with the keys w, a, s and d: `stty -icanon && nc 127.0.0.1 7000`. Without `--frames` it never ends.

#[path = "common/args.rs"]
mod args;

use bytes::Bytes;
use std::fmt::Write;
use std::time::Duration;
use windlass::metrics::histogram;
use windlass::{Config, Event, Handler, Io, Listen, PerConn, Reactor};

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);
const END_WITHIN: Duration = Duration::from_secs(1);
const WIDTH: i32 = 80;
const HEIGHT: i32 = 24;

fn main() -> Result<(), windlass::Error> {
    let mut frames = u64::MAX;
    let args = args::parse_for_one_core(&mut [("--frames", &mut frames)]);
    let mut reactor = Reactor::new(Config::default())?;
    let listener = reactor.io().listen(Listen::at(args.listen))?;
    args::announce(reactor.io().listener_address(listener).map_or(&[], std::slice::from_ref));

    let mut world = World::default();
    let (lateness, measured) = histogram();
    let mut next_frame = reactor.io().clock() + FRAME;
    for frame in 1..=frames {
        reactor.run_until(next_frame, &mut world)?;
        let now = reactor.io().clock();
        lateness.record(now.since(next_frame).as_nanos() as u64);
        world.step();
        world.show(reactor.io(), frame);
        // After a hitch the next frame is due at once, but frames that were missed stay missed.
        next_frame = now.max(next_frame + FRAME);
    }

    reactor.io().shutdown(END_WITHIN);
    reactor.run(&mut world)?;
    let lateness = measured.snapshot();
    let micros = |p| lateness.percentile(p).unwrap_or_default() / 1000;
    println!("{} frames, late by {} us (p50), {} us (p99)", lateness.count(), micros(0.5), micros(0.99));
    Ok(())
}

#[derive(Default)]
struct World {
    players: PerConn<Player>,
}

#[derive(Default)]
struct Player {
    at: (i32, i32),
    heading: (i32, i32),
}

/// What the network does to the world: between frames, and without a lock, for it is the same thread.
impl Handler for World {
    fn handle(&mut self, _io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => _ = self.players.insert(conn, Player::default()),
            Event::Closed { conn, .. } => _ = self.players.remove(conn),
            Event::Data { conn, bytes } => {
                let Some(player) = self.players.get_mut(conn) else { return };
                for key in bytes {
                    match key {
                        b'w' => player.heading = (0, -1),
                        b'a' => player.heading = (-1, 0),
                        b's' => player.heading = (0, 1),
                        b'd' => player.heading = (1, 0),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

impl World {
    fn step(&mut self) {
        for (_, player) in self.players.iter_mut() {
            let ((x, y), (dx, dy)) = (player.at, player.heading);
            player.at = ((x + dx).rem_euclid(WIDTH), (y + dy).rem_euclid(HEIGHT));
        }
    }

    /// Sends everybody the same picture: one line, one buffer.
    fn show(&self, io: &mut Io, frame: u64) {
        let mut picture = format!("frame {frame}:");
        for (conn, player) in self.players.iter() {
            let _ = write!(picture, " {}@{},{}", conn.index(), player.at.0, player.at.1);
        }
        picture.push('\n');
        let picture = Bytes::from(picture);
        for (conn, _) in self.players.iter() {
            // Who has not taken the last picture yet has no use for a queue of old ones.
            if io.queued(conn) == 0 {
                let _ = io.send_bytes(conn, &picture);
            }
        }
    }
}
