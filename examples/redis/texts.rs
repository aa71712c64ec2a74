//! Commands on keys of any kind, and on those that hold a text or a number.

use crate::failure::Failure;
use crate::resp::{BULK_BYTES_MAX, DECIMAL_BYTES_MAX, Replies, Request, decimal, integer};
use crate::store::{Store, Text};
use windlass::time::Instant;

type Outcome = Result<(), Failure>;

pub fn get(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    match store.get::<Text>(request.arg(1))? {
        Some(text) => out.bulk(text),
        None => out.nil(),
    }
    Ok(())
}

/// What stands behind SET's key and value.
#[derive(Default)]
struct SetOptions<'a> {
    only_new: bool,
    only_old: bool,
    get: bool,
    keep_expiry: bool,
    expiry: Option<(&'a [u8], u64)>,
}

impl<'a> SetOptions<'a> {
    fn of(request: Request<'a>) -> Result<SetOptions<'a>, Failure> {
        let mut options = SetOptions::default();
        let mut words = request.args(3);
        while let Some(word) = words.next() {
            let mut word = word.to_ascii_lowercase();
            word.truncate(8);
            match &word[..] {
                b"nx" if !options.only_old => options.only_new = true,
                b"xx" if !options.only_new => options.only_old = true,
                b"get" => options.get = true,
                b"keepttl" if options.expiry.is_none() => options.keep_expiry = true,
                unit @ (b"ex" | b"px") if !options.keep_expiry => {
                    let unit = if unit == b"ex" { SECOND } else { MILLISECOND };
                    let count = words.next().ok_or(Failure::Syntax)?;
                    if options.expiry.replace((count, unit)).is_some_and(|(_, other)| other != unit) {
                        return Err(Failure::Syntax);
                    }
                }
                _ => return Err(Failure::Syntax),
            }
        }
        Ok(options)
    }
}

pub fn set(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let (key, text) = (request.arg(1), request.arg(2));
    if request.len() == 3 {
        store.set(key, text, false);
        out.ok();
        return Ok(());
    }
    let options = SetOptions::of(request)?;
    let expires_at = match options.expiry {
        None => None,
        Some((count, unit)) => match integer(count).ok_or(Failure::NotAnInteger)? {
            count @ 1.. => Some(after(store.now(), count, unit).ok_or(Failure::ExpireTime("set"))?),
            _ => return Err(Failure::ExpireTime("set")),
        },
    };
    if options.get {
        get(store, request, out)?;
    }
    let exists = store.entry(key).is_some();
    if options.only_new && exists || options.only_old && !exists {
        if !options.get {
            out.nil();
        }
        return Ok(());
    }
    store.set(key, text, options.keep_expiry);
    if let Some(at) = expires_at {
        store.expire_at(key, at);
    }
    if !options.get {
        out.ok();
    }
    Ok(())
}

pub fn mget(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    out.array(request.len() - 1);
    for key in request.args(1) {
        match store.get::<Text>(key) {
            Ok(Some(text)) => out.bulk(text),
            Ok(None) | Err(_) => out.nil(),
        }
    }
    Ok(())
}

pub fn mset(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    if request.len().is_multiple_of(2) {
        return Err(Failure::WrongArguments("mset"));
    }
    for pair in (1..request.len()).step_by(2) {
        store.set(request.arg(pair), request.arg(pair + 1), false);
    }
    out.ok();
    Ok(())
}

pub fn append(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let text = store.get_or_create::<Text>(request.arg(1))?;
    if text.len() + request.arg(2).len() > BULK_BYTES_MAX {
        return Err(Failure::ValueTooLong);
    }
    text.extend_from_slice(request.arg(2));
    out.integer(text.len() as i64);
    Ok(())
}

pub fn strlen(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    out.integer(store.get::<Text>(request.arg(1))?.map_or(0, Vec::len) as i64);
    Ok(())
}

pub fn incr(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    add(store, request.arg(1), 1, out)
}

pub fn decr(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    add(store, request.arg(1), -1, out)
}

pub fn incrby(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    add(store, request.arg(1), integer(request.arg(2)).ok_or(Failure::NotAnInteger)?, out)
}

pub fn decrby(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let by = integer(request.arg(2)).ok_or(Failure::NotAnInteger)?;
    add(store, request.arg(1), by.checked_neg().ok_or(Failure::OverflowDecrementing)?, out)
}

fn add(store: &mut Store, key: &[u8], by: i64, out: &mut Replies) -> Outcome {
    let mut digits = [0; DECIMAL_BYTES_MAX];
    let sum = match store.get_mut::<Text>(key)? {
        Some(text) => {
            let sum = integer(text).ok_or(Failure::NotAnInteger)?.checked_add(by).ok_or(Failure::Overflow)?;
            text.clear();
            text.extend_from_slice(decimal(sum, &mut digits));
            sum
        }
        None => {
            store.set(key, decimal(by, &mut digits), false);
            by
        }
    };
    out.integer(sum);
    Ok(())
}

pub fn del(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    out.integer(request.args(1).filter(|key| store.remove(key)).count() as i64);
    Ok(())
}

pub fn exists(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    out.integer(request.args(1).filter(|key| store.entry(key).is_some()).count() as i64);
    Ok(())
}

pub fn kind(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    out.simple(store.entry(request.arg(1)).map_or("none", |entry| entry.value.kind()));
    Ok(())
}

pub fn dbsize(store: &mut Store, _: Request<'_>, out: &mut Replies) -> Outcome {
    out.integer(store.len() as i64);
    Ok(())
}

pub fn flushall(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let understood = |word: &[u8]| word.eq_ignore_ascii_case(b"async") || word.eq_ignore_ascii_case(b"sync");
    if request.len() > 2 || request.args(1).any(|word| !understood(word)) {
        return Err(Failure::Syntax);
    }
    store.clear();
    out.ok();
    Ok(())
}

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;

/// The instant so many units from now; now itself if it were in the past, `None` beyond what the clock holds.
fn after(now: Instant, count: i64, unit: u64) -> Option<Instant> {
    // Redis counts in milliseconds of 64 bits, and refuses what does not fit, be it long past.
    count.checked_mul((unit / MILLISECOND) as i64)?;
    let Ok(count) = u64::try_from(count) else { return Some(now) };
    let at = now.as_nanos().checked_add(count.checked_mul(unit)?)?;
    (at < Instant::FAR_FUTURE.as_nanos()).then_some(Instant::from_nanos(at))
}

pub fn expire(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    expire_in(store, request, out, SECOND, "expire")
}

pub fn pexpire(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    expire_in(store, request, out, MILLISECOND, "pexpire")
}

fn expire_in(
    store: &mut Store,
    request: Request<'_>,
    out: &mut Replies,
    unit: u64,
    name: &'static str,
) -> Outcome {
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for word in request.args(3) {
        match &word.to_ascii_lowercase()[..] {
            b"nx" => nx = true,
            b"xx" => xx = true,
            b"gt" => gt = true,
            b"lt" => lt = true,
            _ => return Err(Failure::UnsupportedOption(String::from_utf8_lossy(word).into_owned())),
        }
    }
    if nx && (xx || gt || lt) {
        return Err(Failure::ExpireOptionsWithNx);
    }
    if gt && lt {
        return Err(Failure::ExpireOptionsGtAndLt);
    }
    let count = integer(request.arg(2)).ok_or(Failure::NotAnInteger)?;
    let at = after(store.now(), count, unit).ok_or(Failure::ExpireTime(name))?;
    let key = request.arg(1);
    let wanted = store.entry(key).is_some_and(|entry| {
        let forever = entry.expires_at == Instant::FAR_FUTURE;
        !(nx && !forever || xx && forever || gt && at <= entry.expires_at || lt && at >= entry.expires_at)
    });
    out.integer(i64::from(wanted && store.expire_at(key, at)));
    Ok(())
}

pub fn persist(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let key = request.arg(1);
    let mortal = store.entry(key).is_some_and(|entry| entry.expires_at != Instant::FAR_FUTURE);
    out.integer(i64::from(mortal && store.expire_at(key, Instant::FAR_FUTURE)));
    Ok(())
}

pub fn pttl(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    out.integer(left_ms(store, request.arg(1)));
    Ok(())
}

pub fn ttl(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let ms = left_ms(store, request.arg(1));
    out.integer(if ms < 0 { ms } else { (ms + 500) / 1000 });
    Ok(())
}

/// How long the key has to live, in milliseconds: -1 for ever, -2 if there is no such key.
fn left_ms(store: &Store, key: &[u8]) -> i64 {
    match store.entry(key) {
        None => -2,
        Some(entry) if entry.expires_at == Instant::FAR_FUTURE => -1,
        Some(entry) => (entry.expires_at.as_nanos() - store.now().as_nanos()).div_ceil(MILLISECOND) as i64,
    }
}
