//! Which link is between which hosts, and what is wrong with it at the moment.

use super::link::Link;
use super::path::Path;
use crate::time::Instant;
use std::collections::BTreeMap;

/// Links and paths of a world. A path exists from the first packet on.
#[derive(Debug)]
pub(crate) struct Topology {
    seed: u64,
    /// Between hosts of which nothing else was said.
    default: Link,
    /// From a host to itself.
    own: Link,
    /// What was said of pairs; the last that fits counts.
    rules: Vec<Rule>,
    /// Packets that are not let through, by number.
    blocks: BTreeMap<u64, Block>,
    /// Clogs and bursts of losses that were not over when the last one began.
    troubles: Vec<Trouble>,
    pub(super) paths: Vec<Path>,
    ends: Vec<(u32, u32)>,
    known: BTreeMap<(u32, u32, bool), u32>,
}

#[derive(Debug)]
struct Rule {
    /// By which it is taken back; what is said for good has none.
    number: Option<u64>,
    from: Hosts,
    to: Hosts,
    link: Link,
}

#[derive(Debug)]
struct Block {
    from: Hosts,
    to: Hosts,
    /// A router answers for the other side: there is no way to it.
    told: bool,
}

/// What is wrong between two sets of hosts, and ends by itself.
#[derive(Debug)]
struct Trouble {
    from: Hosts,
    to: Hosts,
    until: Instant,
    /// How many are lost; of a clog `None`.
    loss: Option<f64>,
}

/// A set of hosts: few of them in practice, looked up only when a path is made or a fault begins or ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hosts(Vec<u32>);

impl Hosts {
    pub(crate) fn new(mut hosts: Vec<u32>) -> Hosts {
        hosts.sort_unstable();
        hosts.dedup();
        Hosts(hosts)
    }

    fn has(&self, host: u32) -> bool {
        self.0.binary_search(&host).is_ok()
    }
}

impl Topology {
    pub(super) fn new(seed: u64) -> Topology {
        Topology {
            seed,
            default: Link::rack(),
            own: Link::loopback(),
            rules: Vec::new(),
            blocks: BTreeMap::new(),
            troubles: Vec::new(),
            paths: Vec::new(),
            ends: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// The path from one host to another, made if need be. `back` tells the way back of a host's connection to itself
    /// from the way there.
    pub(super) fn path(&mut self, from: u32, to: u32, back: bool) -> u32 {
        let key = (from, to, back && from == to);
        if let Some(&path) = self.known.get(&key) {
            return path;
        }
        let number = u32::try_from(self.paths.len()).expect("fewer paths than addresses");
        // Of its own, so that what happens on one path does not move what is drawn for another.
        let seed = fastrand::Rng::with_seed(
            self.seed ^ (u64::from(from) << 32 | u64::from(to) << 1 | u64::from(key.2)),
        )
        .u64(..);
        let mut path = Path::new(self.link(from, to), seed);
        path.set_blocked(self.is_blocked(from, to));
        self.paths.push(path);
        self.ends.push((from, to));
        self.known.insert(key, number);
        self.trouble_path(number as usize);
        number
    }

    /// The propagation delay that this pair has drawn.
    pub(crate) fn latency(&mut self, from: u32, to: u32) -> std::time::Duration {
        let number = self.path(from, to, false);
        self.paths[number as usize].latency()
    }

    fn link(&self, from: u32, to: u32) -> &Link {
        if from == to {
            return &self.own;
        }
        let rule = self.rules.iter().rev().find(|rule| rule.from.has(from) && rule.to.has(to));
        rule.map_or(&self.default, |rule| &rule.link)
    }

    fn is_blocked(&self, from: u32, to: u32) -> bool {
        from != to && self.blocks.values().any(|block| block.from.has(from) && block.to.has(to))
    }

    /// Whether a router says that there is no way from one host to another.
    pub(super) fn has_no_route(&self, from: u32, to: u32) -> bool {
        let mut blocks = self.blocks.values();
        from != to && blocks.any(|block| block.told && block.from.has(from) && block.to.has(to))
    }

    /// The link between hosts of which nothing else is said.
    pub(crate) fn set_default(&mut self, link: Link) {
        self.default = link;
        self.lay_again(|_, _| true);
    }

    /// The link from each host of one set to each of another, for good or until it is taken back by its number.
    pub(crate) fn set_between(&mut self, from: Hosts, to: Hosts, link: Link, number: Option<u64>) {
        if number.is_none() {
            self.rules.retain(|rule| rule.number.is_some() || rule.from != from || rule.to != to);
        }
        self.rules.push(Rule { number, from: from.clone(), to: to.clone(), link });
        self.lay_again(|a, b| from.has(a) && to.has(b));
    }

    /// Takes back what was said under that number.
    pub(crate) fn take_back(&mut self, number: u64) {
        if let Some(at) = self.rules.iter().position(|rule| rule.number == Some(number)) {
            let Rule { from, to, .. } = self.rules.remove(at);
            self.lay_again(|a, b| from.has(a) && to.has(b));
        }
    }

    fn lay_again(&mut self, concerned: impl Fn(u32, u32) -> bool) {
        for number in 0..self.paths.len() {
            let (from, to) = self.ends[number];
            if concerned(from, to) {
                let link = self.link(from, to).clone();
                self.paths[number].set(&link);
            }
        }
    }

    /// From now on nothing passes from one set to the other; if it is `told`, who asks for a connection learns so.
    pub(crate) fn block(&mut self, number: u64, from: Hosts, to: Hosts, told: bool) {
        self.blocks.insert(number, Block { from, to, told });
        self.block_again();
    }

    /// Ends the block of that number.
    pub(crate) fn unblock(&mut self, number: u64) {
        self.blocks.remove(&number);
        self.block_again();
    }

    /// Ends all blocks.
    pub(crate) fn unblock_all(&mut self) {
        self.blocks.clear();
        self.block_again();
    }

    fn block_again(&mut self) {
        for number in 0..self.paths.len() {
            let (from, to) = self.ends[number];
            let blocked = self.is_blocked(from, to);
            self.paths[number].set_blocked(blocked);
        }
    }

    /// What passes from one set to the other is held until then.
    pub(crate) fn clog(&mut self, now: Instant, from: Hosts, to: Hosts, until: Instant) {
        self.trouble(now, Trouble { from, to, until, loss: None });
    }

    /// Until then this share of the packets from one set to the other is lost, on top of what their links lose.
    pub(crate) fn burst(&mut self, now: Instant, from: Hosts, to: Hosts, loss: f64, until: Instant) {
        self.trouble(now, Trouble { from, to, until, loss: Some(loss) });
    }

    fn trouble(&mut self, now: Instant, trouble: Trouble) {
        self.troubles.retain(|trouble| trouble.until > now);
        self.troubles.push(trouble);
        (0..self.paths.len()).for_each(|number| self.trouble_path(number));
    }

    /// Applies what is wrong at the moment to a path: the longest clog, and the last burst.
    fn trouble_path(&mut self, number: usize) {
        let ((from, to), path) = (self.ends[number], &mut self.paths[number]);
        let mut held_until = Instant::ZERO;
        for trouble in &self.troubles {
            if from == to || !trouble.from.has(from) || !trouble.to.has(to) {
                continue;
            }
            match trouble.loss {
                Some(loss) => path.burst_loss(loss, trouble.until),
                None => held_until = held_until.max(trouble.until),
            }
        }
        if held_until > Instant::ZERO {
            path.clog_until(held_until);
        }
    }

    /// Nothing is held and nothing more is lost than the links lose.
    pub(crate) fn calm(&mut self) {
        self.unblock_all();
        self.troubles.clear();
        for path in &mut self.paths {
            path.clog_until(Instant::ZERO);
            path.burst_loss(0.0, Instant::ZERO);
        }
    }
}
