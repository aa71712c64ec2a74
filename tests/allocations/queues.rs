//! Counts heap allocations: a queue that fills and drains again and again makes none once it is warm.

use crate::allocations_of;
use bytes::Bytes;
use std::hint::black_box;
use std::io::IoSlice;
use windlass::buffer::{LARGE_CHUNK_BYTES, OutQueue, Pool};
use windlass::limits::{OUT_QUEUE_BYTES_MAX, OUT_QUEUE_PARTS_KEPT_MAX};

/// Everything a connection does with its queue, from empty to `bytes_max` and back to empty, against a kernel
/// that takes up to 50,000 bytes at a time. Without a `body` to share, all of it is copied.
fn fill_and_drain(queue: &mut OutQueue, pool: &mut Pool, body: Option<&Bytes>, bytes_max: usize) {
    let message = [7; 1500];
    while queue.len() < bytes_max {
        queue.append(pool, &message);
        queue.append_parts(pool, &[&message, &message[..3]], 700);
        if let Some(body) = body {
            queue.append_shared(pool, body.clone());
        }
        queue.spare(pool, 4000)[..100].fill(1);
        queue.commit(pool, 100);
    }
    while !queue.is_empty() {
        let mut offer = [IoSlice::new(&[]); 16];
        let filled = queue.gather(&mut offer);
        let offered: usize = black_box(&offer[..filled]).iter().map(|slice| slice.len()).sum();
        queue.consume(pool, offered.min(50_000));
    }
}

#[test]
fn the_count_sees_allocations() {
    assert_eq!(allocations_of(|| drop(black_box(Box::new(1)))), 1);
    assert_eq!(allocations_of(|| drop(black_box(Vec::<u8>::with_capacity(5000)))), 1);
}

#[test]
fn an_empty_pool_and_an_empty_queue_allocate_nothing() {
    let made = allocations_of(|| {
        let (mut pool, mut queue) = (Pool::new(), OutQueue::new());
        pool.trim();
        queue.clear(&mut pool);
        assert!(black_box(pool.stats()).bytes_taken_now == 0 && black_box(&queue).is_empty());
    });
    assert_eq!(made, 0);
}

#[test]
fn a_queue_that_fills_and_drains_again_and_again_allocates_nothing() {
    let (mut pool, mut queue) = (Pool::new(), OutQueue::new());
    let body = Bytes::from(vec![3; 30_000]);
    let bounds = [10_000, 200_000, OUT_QUEUE_BYTES_MAX];
    for bytes_max in bounds {
        fill_and_drain(&mut queue, &mut pool, Some(&body), bytes_max);
        fill_and_drain(&mut queue, &mut pool, None, bytes_max);
    }
    let warm = pool.stats();

    let made = allocations_of(|| {
        for round in 0..300 {
            fill_and_drain(&mut queue, &mut pool, Some(&body), bounds[round % 3]);
            fill_and_drain(&mut queue, &mut pool, None, bounds[round % 3]);
            if round % 10 == 9 {
                pool.trim();
            }
        }
    });
    assert_eq!(made, 0, "{pool:?}");
    assert_eq!(pool.bytes_taken(), 0);
    for (now, warm) in pool.stats().classes.iter().zip(warm.classes) {
        assert_eq!(now.allocated_total, warm.allocated_total);
        assert!(warm.taken_max > 0 && now.reused_total > warm.reused_total, "a class was not put to use");
    }
}

#[test]
fn a_thousand_connections_that_take_turns_share_one_connections_memory() {
    let mut pool = Pool::new();
    let mut queues: Vec<OutQueue> = (0..1000).map(|_| OutQueue::new()).collect();
    queues.iter_mut().for_each(|queue| fill_and_drain(queue, &mut pool, None, 100_000));
    let spare_after_one = {
        let mut alone = Pool::new();
        fill_and_drain(&mut OutQueue::new(), &mut alone, None, 100_000);
        alone.stats().bytes_free_now
    };
    assert_eq!(pool.stats().bytes_free_now, spare_after_one);
    assert!(spare_after_one <= LARGE_CHUNK_BYTES);

    let again = || queues.iter_mut().for_each(|queue| fill_and_drain(queue, &mut pool, None, 100_000));
    assert_eq!(allocations_of(again), 0);
}

#[test]
fn a_queue_of_many_shared_parts_costs_only_its_list() {
    let (mut pool, mut queue) = (Pool::new(), OutQueue::new());
    let body = Bytes::from(vec![3; 5000]);
    let parts = 4 * OUT_QUEUE_PARTS_KEPT_MAX;
    let fill = || (0..parts).for_each(|_| queue.append_shared(&mut pool, body.clone()));
    assert!(allocations_of(fill) <= 10, "the list doubles, nothing else");
    assert_eq!(queue.len(), parts * body.len());
    assert_eq!(pool.bytes_taken(), 0);
}
