//! What a message costs in heap allocations on a secured connection: nothing on Rust's heap, be it ours, snow's or that
//! of aws-lc-rs. The C heap, where aws-lc makes its keys, is not counted here.

use crate::messages::allocations_secured;
use crate::security::{ALL, Kind};
use windlass::{Event, Io};

fn echo(io: &mut Io, event: Event<'_>) {
    if let Event::Data { conn, bytes } = event {
        io.send(conn, bytes).expect("room for the echo");
    }
}

fn allocations(kind: Kind, bytes: usize, server: impl FnMut(&mut Io, Event<'_>)) -> usize {
    allocations_secured(bytes, server, |listen| kind.listen(listen), |connect| kind.connect(connect))
}

#[test]
fn sealed_messages_cost_no_allocation() {
    for kind in ALL {
        for bytes in [64, 1024, 16 * 1024] {
            assert_eq!(allocations(kind, bytes, echo), 0, "{kind:?} {bytes}");
        }
    }
}

#[test]
fn sealed_messages_that_queue_and_come_in_many_records_cost_no_allocation() {
    for kind in ALL {
        assert_eq!(allocations(kind, 300 * 1024, echo), 0, "{kind:?}");
    }
}

#[test]
fn kept_tails_of_sealed_messages_cost_no_allocation() {
    for kind in ALL {
        let frames = |io: &mut Io, event: Event<'_>| {
            if let Event::Data { conn, bytes } = event {
                let whole = bytes.len() / 1000 * 1000;
                for frame in bytes[..whole].chunks(1000) {
                    let encode = |room: &mut [u8]| {
                        room.copy_from_slice(frame);
                        1000
                    };
                    io.send_with(conn, 1000, encode).expect("room for the echo");
                }
                io.keep(conn, bytes.len() - whole).expect("a part of one frame may be kept");
            }
        };
        assert_eq!(allocations(kind, 50_000, frames), 0, "{kind:?}");
    }
}
