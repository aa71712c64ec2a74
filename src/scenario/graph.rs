//! Who talks to whom: a graph in which all nodes have the same number of neighbours and any is near any other.

use fastrand::Rng;
use std::collections::BTreeSet;

/// Pairs of neighbours among `nodes` nodes, each with `peers` neighbours, or with all others if there are not so many.
/// The first of a pair is the one that connects.
///
/// It is a circulant graph over a shuffled ring: neighbours stand at the same few distances from everybody, one of
/// which is 1, so that the graph hangs together whatever is drawn. An odd number of peers is made even.
pub(super) fn neighbours(nodes: usize, peers: usize, random: &mut Rng) -> Vec<(u32, u32)> {
    let mut ring: Vec<u32> = (0..nodes as u32).collect();
    random.shuffle(&mut ring);
    // At half of the ring both ways lead to the same node, which is worth a neighbour only where all are neighbours.
    let mut distances: Vec<usize> = (2..=nodes.saturating_sub(1) / 2).collect();
    random.shuffle(&mut distances);
    distances.truncate(peers.div_ceil(2).saturating_sub(1));
    if nodes > 2 {
        distances.push(1);
    }
    if nodes.is_multiple_of(2) && nodes > 0 && peers >= nodes - 1 {
        distances.push(nodes / 2);
    }
    let mut pairs = BTreeSet::new();
    for (at, &from) in ring.iter().enumerate() {
        for distance in &distances {
            let to = ring[(at + distance) % nodes];
            if !pairs.contains(&(to, from)) {
                pairs.insert((from, to));
            }
        }
    }
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn degrees(nodes: usize, pairs: &[(u32, u32)]) -> Vec<usize> {
        let mut degrees = vec![0; nodes];
        for (a, b) in pairs {
            assert_ne!(a, b);
            degrees[*a as usize] += 1;
            degrees[*b as usize] += 1;
        }
        degrees
    }

    #[test]
    fn everybody_has_as_many_neighbours_as_asked_for() {
        for nodes in [10, 17, 20, 100, 1_000] {
            let pairs = neighbours(nodes, 8, &mut Rng::with_seed(7));
            assert!(degrees(nodes, &pairs).iter().all(|degree| *degree == 8), "{nodes} nodes");
        }
    }

    #[test]
    fn few_nodes_are_all_neighbours_and_a_lone_one_has_none() {
        for nodes in [2, 3, 5, 8, 9] {
            let pairs = neighbours(nodes, 8, &mut Rng::with_seed(7));
            assert_eq!(pairs.len(), nodes * (nodes - 1) / 2, "{nodes} nodes");
        }
        assert!(neighbours(1, 8, &mut Rng::with_seed(7)).is_empty());
        assert!(neighbours(0, 8, &mut Rng::with_seed(7)).is_empty());
    }

    #[test]
    fn the_graph_hangs_together() {
        for seed in 0..20 {
            let pairs = neighbours(100, 4, &mut Rng::with_seed(seed));
            let mut reached = BTreeSet::from([0]);
            loop {
                let before = reached.len();
                for (a, b) in &pairs {
                    if reached.contains(a) || reached.contains(b) {
                        reached.extend([*a, *b]);
                    }
                }
                if reached.len() == before {
                    break;
                }
            }
            assert_eq!(reached.len(), 100, "seed {seed}");
        }
    }
}
