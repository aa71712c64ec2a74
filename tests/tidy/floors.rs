//! The floors: which room may use which, and which may own a clock.

use crate::source::{Complaint, Source};

type Floors = [&'static [&'static str]];

fn floor_of(room: &str, floors: &Floors) -> Option<usize> {
    floors.iter().position(|rooms| rooms.contains(&room))
}

/// The room that a file is in; `None` for the top of the house, `src/lib.rs` and `src/bin/`.
fn room_of(source: &Source) -> Option<String> {
    source.module().into_iter().next().filter(|room| room != "bin")
}

fn unknown(room: &str) -> String {
    format!(
        "`{room}` is no room that tests/tidy.rs knows: add it to FLOORS there, on the floor where it belongs"
    )
}

/// Every path into the crate leads to the same room or to one on a floor below.
pub fn check(source: &Source, floors: &Floors) -> Vec<Complaint> {
    let Some(room) = room_of(source) else { return Vec::new() };
    let Some(floor) = floor_of(&room, floors) else {
        return vec![source.complaint(1, unknown(&room))];
    };
    let mut complaints = Vec::new();
    for name in source.names() {
        let Some(target) = name.rooted().and_then(|segments| segments.into_iter().next()) else {
            continue;
        };
        if target == room || target == "self" && name.segments.len() == 2 {
            continue;
        }
        let message = match floor_of(&target, floors) {
            Some(below) if below < floor => continue,
            Some(same) if same == floor => format!(
                "`{name}`: {room} and {target} are on one floor and must not use each other; \
                 move what they share to a floor below, or let a floor above join them"
            ),
            Some(_) => format!(
                "`{name}` points up the house: {room} may use {}; pass in what it needs, or move the shared part down",
                floors[..floor].concat().join(", ")
            ),
            None if target == "*" => format!("`{name}` hides what is used: name it"),
            None => format!("`{name}`: {}; a re-export is named by the room it comes from", unknown(&target)),
        };
        complaints.push(source.complaint(name.line, message));
    }
    complaints
}

/// Below `clock_room` nobody owns a `Clock`: the time is passed in.
pub fn check_clock_owner(source: &Source, floors: &Floors, clock_room: &str) -> Vec<Complaint> {
    let Some(room) = room_of(source) else { return Vec::new() };
    let lowest = floor_of(clock_room, floors).expect("the room with the clock is in the table");
    if room == "time" || floor_of(&room, floors).is_none_or(|floor| floor >= lowest) {
        return Vec::new();
    }
    let owns = |segments: Vec<String>| {
        segments.first().is_some_and(|first| first == "time")
            && segments.get(1).is_some_and(|second| second == "Clock" || second == "*")
    };
    let names = source.names().into_iter().filter(|name| name.rooted().is_some_and(owns));
    names
        .map(|name| {
            let message = format!(
                "`{name}`: {room} is below {clock_room}, where nobody reads a clock; take `now: Instant`"
            );
            source.complaint(name.line, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOORS: &Floors = &[&["time"], &["wheel", "slots"], &["reactor"]];

    #[track_caller]
    fn complains(path: &str, text: &str, expected: &str) {
        let complaints = check(&Source::parse(path, text), FLOORS);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].to_string().contains(expected), "{}", complaints[0]);
    }

    #[test]
    fn paths_up_the_house_are_refused() {
        complains(
            "src/wheel.rs",
            "\nuse crate::reactor::Io;",
            "src/wheel.rs:2: `crate::reactor::Io` points up",
        );
        complains(
            "src/wheel/a.rs",
            "use crate::{time::Instant, reactor::{Io}};",
            "`crate::reactor::Io` points up",
        );
        complains("src/wheel/a.rs", "use super::super::reactor;", "points up");
        complains("src/wheel.rs", "fn f() { assert!(crate::reactor::x()) }", "may use time;");
        complains("src/wheel.rs", "#[cfg(test)] mod tests { use super::super::reactor::Io; }", "points up");
    }

    #[test]
    fn neighbours_are_refused() {
        complains("src/wheel.rs", "use crate::slots::Slots;", "on one floor");
    }

    #[test]
    fn rooms_that_the_table_does_not_know_are_refused() {
        complains(
            "src/attic.rs",
            "",
            "src/attic.rs:1: `attic` is no room that tests/tidy.rs knows: add it to FLOORS",
        );
        complains("src/wheel.rs", "use crate::attic::Box;", "add it to FLOORS");
        complains("src/wheel.rs", "use crate::Slots;", "named by the room it comes from");
        complains("src/wheel.rs", "use crate::*;", "hides what is used");
    }

    #[test]
    fn paths_down_the_house_and_inside_the_room_are_fine() {
        let text = "use crate::{self as me, time::Instant, wheel::Slot}; use super::other; mod m { use super::super::x; }";
        assert!(check(&Source::parse("src/wheel/a.rs", text), FLOORS).is_empty());
        assert!(
            check(&Source::parse("src/lib.rs", "use crate::reactor::Io; use crate::Io as B;"), FLOORS)
                .is_empty()
        );
    }

    #[test]
    fn a_clock_below_the_reactor_is_refused() {
        let count = |path, text| check_clock_owner(&Source::parse(path, text), FLOORS, "reactor").len();
        assert_eq!(count("src/wheel.rs", "use crate::time::{Clock, Instant};"), 1);
        assert_eq!(count("src/wheel/a.rs", "fn f() { super::super::time::Clock::os(); }"), 1);
        assert_eq!(count("src/wheel.rs", "use crate::time::*;"), 1);
        assert_eq!(count("src/wheel.rs", "use crate::time::Instant; struct Clock;"), 0);
        assert_eq!(count("src/reactor/turn.rs", "use crate::time::Clock;"), 0);
    }
}
