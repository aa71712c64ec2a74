//! The proxies of one reactor: made, changed, taken away, and handed their events.

use super::address;
use super::error::ProxyError;
use super::metrics::{ProxyFigures, Snapshot};
use super::pair::{Pairs, options};
use super::plan::{Change, Plan, Toxic};
use crate::collections::Owner;
use crate::error::Address;
use crate::limits::{PROXIES_MAX, PROXY_NAME_BYTES_MAX, PROXY_TOXICS_MAX};
use crate::reactor::{Event, Io, Listen, Listener};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All proxies of one reactor: a component, which takes the events that are its own and hands on the others.
///
/// ```no_run
/// use windlass::proxy::{Plan, Proxies, Toxic};
/// use windlass::{Config, Event, Io, Reactor};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut reactor = Reactor::new(Config::default())?;
/// let mut proxies = Proxies::new(7);
/// proxies.create(reactor.io(), Plan::to("database", "127.0.0.1:5432"))?;
/// proxies.add_toxic(reactor.io(), "database", Toxic::latency_ms(100).jitter_ms(20))?;
/// reactor.run(&mut |io: &mut Io, event: Event<'_>| {
///     let _not_the_proxies = proxies.handle(io, event);
/// })?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxies {
    /// Whom listeners, connections and timers belong to; asked for when the first proxy is made.
    owner: Option<Owner>,
    by_name: BTreeMap<String, Proxy>,
    listeners: BTreeMap<Listener, String>,
    pairs: Pairs,
    /// What the proxies did that were taken away.
    removed: ProxyFigures,
    /// Numbers given to proxies and toxics: what the draws of a seed are made from.
    numbers: u64,
}

/// One proxy, as it is now.
#[derive(Debug)]
pub struct Proxy {
    plan: Plan,
    /// Tells it from an earlier one of the same name.
    pub(super) number: u64,
    pub(super) name: Arc<str>,
    pub(super) upstream: Arc<[Address]>,
    listener: Option<Listener>,
    toxics: Vec<Installed>,
    pub(super) figures: ProxyFigures,
}

/// A toxic of a proxy.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    /// Its place in the order of creation, over all proxies.
    pub(super) number: u64,
    pub(super) toxic: Toxic,
}

impl Proxy {
    /// What it is: its listening address as the system gave it.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its toxics, in the order in which they were made.
    pub fn toxics(&self) -> impl ExactSizeIterator<Item = &Toxic> {
        self.toxics.iter().map(|installed| &installed.toxic)
    }

    /// The toxic of this name.
    #[must_use]
    pub fn toxic(&self, name: &str) -> Option<&Toxic> {
        self.toxics().find(|toxic| toxic.name == name)
    }

    pub(super) fn installed(&self) -> &[Installed] {
        &self.toxics
    }

    /// Takes a fresh listener as its own. With port 0 the plan now names the port that the system chose.
    fn listens_on(&mut self, io: &Io, listeners: &mut BTreeMap<Listener, String>, listener: Listener) {
        if let Some(address) = io.listener_address(listener) {
            self.plan.listen = address.to_string();
        }
        self.listener = Some(listener);
        listeners.insert(listener, self.plan.name.clone());
    }

    fn place_of(&self, toxic: &str) -> Result<usize, ProxyError> {
        let place = self.toxics().position(|known| known.name == toxic);
        place.ok_or_else(|| ProxyError::ToxicNotFound(toxic.into()))
    }
}

impl Proxies {
    /// No proxies yet. Everything that chance decides follows from `seed` and the order of what happens: which
    /// connections a toxic is applied to from the seed, the number of the connection and that of the toxic alone.
    #[must_use]
    pub fn new(seed: u64) -> Proxies {
        Proxies {
            owner: None,
            by_name: BTreeMap::new(),
            listeners: BTreeMap::new(),
            pairs: Pairs::new(seed),
            removed: ProxyFigures::default(),
            numbers: 0,
        }
    }

    /// What everything that chance decides follows from.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.pairs.seed()
    }

    /// The proxy of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Proxy> {
        self.by_name.get(name)
    }

    /// All proxies, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Proxy> {
        self.by_name.values()
    }

    /// Makes a proxy. Names are resolved here and now, which may block.
    ///
    /// # Errors
    /// [`ProxyError`] says what is wrong with the plan, that one of this name exists, or why it cannot be listened on.
    pub fn create(&mut self, io: &mut Io, plan: Plan) -> Result<&Proxy, ProxyError> {
        if plan.name.is_empty() {
            return Err(ProxyError::Invalid("missing required field: name".into()));
        }
        if plan.name.len() > PROXY_NAME_BYTES_MAX {
            return Err(ProxyError::Invalid(format!("a name has at most {PROXY_NAME_BYTES_MAX} bytes")));
        }
        if self.by_name.contains_key(&plan.name) {
            return Err(ProxyError::ProxyExists(plan.name));
        }
        if self.by_name.len() == PROXIES_MAX {
            return Err(ProxyError::Invalid(format!(
                "there are {PROXIES_MAX} proxies already, the most there may be"
            )));
        }
        let upstream = address::upstream(&plan.upstream)?;
        let listen = address::listen(&plan.listen)?;
        address::check_apart(&listen, &upstream)?;
        let owner = self.owner(io)?;
        let listener = if plan.enabled { Some(open(io, owner, listen)?) } else { None };
        self.numbers += 1;
        let name = plan.name.clone();
        let proxy = self.by_name.entry(name.clone()).or_insert(Proxy {
            number: self.numbers,
            name: name.as_str().into(),
            upstream: upstream.into(),
            listener: None,
            toxics: Vec::new(),
            figures: ProxyFigures { name, ..ProxyFigures::default() },
            plan,
        });
        if let Some(listener) = listener {
            proxy.listens_on(io, &mut self.listeners, listener);
        }
        Ok(proxy)
    }

    /// Changes a proxy. Other addresses, and switching it off, close the connections that it has.
    ///
    /// # Errors
    /// [`ProxyError`] says what is wrong with the change; nothing was changed then.
    pub fn update(&mut self, io: &mut Io, name: &str, change: &Change) -> Result<&Proxy, ProxyError> {
        let owner = self.owner(io)?;
        let proxy = self.by_name.get_mut(name).ok_or_else(|| ProxyError::ProxyNotFound(name.into()))?;
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let enabled = change.enabled.unwrap_or(proxy.plan.enabled);
        let listen = address::listen(&proxy.plan.listen)?;
        let elsewhere = match said(&change.listen) {
            Some(text) => Some((address::listen(&text)?, text)).filter(|(address, _)| *address != listen),
            None => None,
        };
        let redirected = match said(&change.upstream).filter(|text| *text != proxy.plan.upstream) {
            Some(text) => Some((address::upstream(&text)?, text)),
            None => None,
        };
        // The new listener stands before the old one falls: what cannot be listened on changes nothing.
        let opens = enabled && (elsewhere.is_some() || proxy.listener.is_none());
        let place = elsewhere.as_ref().map_or(&listen, |(address, _)| address).clone();
        address::check_apart(
            &place,
            redirected.as_ref().map_or(&proxy.upstream, |(addresses, _)| addresses),
        )?;
        let opened = if opens { Some(open(io, owner, place)?) } else { None };
        if let Some(before) = proxy.listener.take_if(|_| opens || !enabled) {
            io.close_listener(before);
            self.listeners.remove(&before);
        }
        if elsewhere.is_some() || redirected.is_some() || !enabled {
            self.pairs.close_all(io, proxy.number);
        }
        proxy.plan.enabled = enabled;
        if let Some((_, text)) = elsewhere {
            proxy.plan.listen = text;
        }
        if let Some((addresses, text)) = redirected {
            proxy.plan.upstream = text;
            proxy.upstream = addresses.into();
        }
        if let Some(listener) = opened {
            proxy.listens_on(io, &mut self.listeners, listener);
        }
        Ok(proxy)
    }

    /// Takes a proxy away, and closes its connections.
    ///
    /// # Errors
    /// [`ProxyError::ProxyNotFound`].
    pub fn remove(&mut self, io: &mut Io, name: &str) -> Result<(), ProxyError> {
        let proxy = self.by_name.remove(name).ok_or_else(|| ProxyError::ProxyNotFound(name.into()))?;
        if let Some(listener) = proxy.listener {
            io.close_listener(listener);
            self.listeners.remove(&listener);
        }
        self.removed.add(&proxy.figures);
        self.pairs.close_all(io, proxy.number);
        Ok(())
    }

    /// Adds a toxic behind those that the proxy has, also to the connections there are.
    ///
    /// # Errors
    /// [`ProxyError`] says what is wrong with it.
    pub fn add_toxic(&mut self, io: &mut Io, proxy: &str, toxic: Toxic) -> Result<&Toxic, ProxyError> {
        toxic.check()?;
        let proxy = self.by_name.get_mut(proxy).ok_or_else(|| ProxyError::ProxyNotFound(proxy.into()))?;
        if proxy.toxic(&toxic.name).is_some() {
            return Err(ProxyError::ToxicExists(toxic.name));
        }
        if toxic.name.len() > PROXY_NAME_BYTES_MAX {
            return Err(ProxyError::Invalid(format!("a name has at most {PROXY_NAME_BYTES_MAX} bytes")));
        }
        if proxy.toxics.len() == PROXY_TOXICS_MAX {
            return Err(ProxyError::Invalid(format!(
                "the proxy has {PROXY_TOXICS_MAX} toxics already, the most there may be"
            )));
        }
        self.numbers += 1;
        proxy.toxics.push(Installed { number: self.numbers, toxic });
        self.pairs.toxics_changed(io, proxy);
        let place = proxy.toxics.len() - 1;
        Ok(&proxy.toxics[place].toxic)
    }

    /// Gives the toxic of this name other attributes or another toxicity, also on the connections there are: what it
    /// holds is held as the new attributes say.
    ///
    /// # Errors
    /// [`ProxyError`] says what is wrong with it; type and direction of a toxic do not change.
    pub fn update_toxic(&mut self, io: &mut Io, proxy: &str, toxic: Toxic) -> Result<&Toxic, ProxyError> {
        toxic.check()?;
        let proxy = self.by_name.get_mut(proxy).ok_or_else(|| ProxyError::ProxyNotFound(proxy.into()))?;
        let place = proxy.place_of(&toxic.name)?;
        let known = &proxy.toxics[place].toxic;
        if known.kind.number() != toxic.kind.number() || known.direction != toxic.direction {
            return Err(ProxyError::Invalid(format!(
                "toxic '{}' is a {} {}: type and stream of a toxic do not change; take it out and add another",
                known.name,
                known.kind.type_name(),
                known.direction,
            )));
        }
        proxy.toxics[place].toxic = toxic;
        self.pairs.toxics_changed(io, proxy);
        Ok(&proxy.toxics[place].toxic)
    }

    /// Takes a toxic out; what it held flows on.
    ///
    /// # Errors
    /// [`ProxyError::ProxyNotFound`] or [`ProxyError::ToxicNotFound`].
    pub fn remove_toxic(&mut self, io: &mut Io, proxy: &str, toxic: &str) -> Result<(), ProxyError> {
        let proxy = self.by_name.get_mut(proxy).ok_or_else(|| ProxyError::ProxyNotFound(proxy.into()))?;
        let place = proxy.place_of(toxic)?;
        proxy.toxics.remove(place);
        self.pairs.toxics_changed(io, proxy);
        Ok(())
    }

    /// Takes all toxics out and switches every proxy on.
    ///
    /// # Errors
    /// [`ProxyError::Listen`] for the first proxy that cannot listen; the others are as they should be all the same.
    pub fn reset(&mut self, io: &mut Io) -> Result<(), ProxyError> {
        let mut outcome = Ok(());
        let names: Vec<String> = self.by_name.keys().cloned().collect();
        for name in names {
            let on = Change { enabled: Some(true), ..Change::default() };
            let enabled = self.update(io, &name, &on).map(drop);
            outcome = outcome.and(enabled);
            if let Some(proxy) = self.by_name.get_mut(&name) {
                proxy.toxics.clear();
                self.pairs.toxics_changed(io, proxy);
            }
        }
        outcome
    }

    /// What the proxies did until now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut proxies: BTreeMap<u64, ProxyFigures> =
            self.by_name.values().map(|proxy| (proxy.number, proxy.figures.clone())).collect();
        self.pairs.add_live(&mut proxies);
        let mut proxies: Vec<ProxyFigures> = proxies.into_values().collect();
        proxies.sort_by(|a, b| a.name.cmp(&b.name));
        Snapshot { proxies, removed: self.removed.clone() }
    }

    /// Takes an event of theirs; any other comes back.
    #[inline]
    pub fn handle<'a>(&mut self, io: &mut Io, event: Event<'a>) -> Option<Event<'a>> {
        if Some(event.owner()) != self.owner {
            return Some(event);
        }
        match event {
            Event::Accepted { conn, listener, .. } => {
                let name = self.listeners.get(&listener);
                match name.and_then(|name| self.by_name.get_mut(name)) {
                    Some(proxy) => self.pairs.join(io, conn, proxy),
                    None => _ = io.abort(conn),
                }
            }
            Event::ListenerFailed { listener, .. } => {
                let name = self.listeners.remove(&listener);
                if let Some(proxy) = name.and_then(|name| self.by_name.get_mut(&name)) {
                    proxy.listener = None;
                    proxy.plan.enabled = false;
                }
            }
            _ => {
                if let Some(over) = self.pairs.handle(io, event) {
                    let proxy = self.by_name.get_mut(&*over.proxy);
                    let proxy = proxy.filter(|proxy| proxy.number == over.proxy_number);
                    over.count_into(proxy.map_or(&mut self.removed, |proxy| &mut proxy.figures));
                }
            }
        }
        None
    }

    fn owner(&mut self, io: &mut Io) -> Result<Owner, ProxyError> {
        let owner = match self.owner {
            Some(owner) => owner,
            None => io.owner().map_err(ProxyError::Limit)?,
        };
        self.owner = Some(owner);
        Ok(owner)
    }
}

fn open(io: &mut Io, owner: Owner, address: Address) -> Result<Listener, ProxyError> {
    io.listen(Listen::at(address).owner(owner).options(options())).map_err(ProxyError::Listen)
}
