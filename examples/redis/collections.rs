//! Commands on lists, sets and hashes.

use crate::failure::Failure;
use crate::resp::{Replies, Request, integer};
use crate::store::{Hash, List, Set, Store};

type Outcome = Result<(), Failure>;

/// Which end of a list.
#[derive(Clone, Copy)]
enum End {
    Left,
    Right,
}

pub fn lpush(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    push(store, request, out, End::Left)
}

pub fn rpush(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    push(store, request, out, End::Right)
}

fn push(store: &mut Store, request: Request<'_>, out: &mut Replies, end: End) -> Outcome {
    let list = store.get_or_create::<List>(request.arg(1))?;
    for item in request.args(2) {
        match end {
            End::Left => list.push_front(item.into()),
            End::Right => list.push_back(item.into()),
        }
    }
    out.integer(list.len() as i64);
    Ok(())
}

pub fn lpop(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    pop(store, request, out, End::Left, "lpop")
}

pub fn rpop(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    pop(store, request, out, End::Right, "rpop")
}

/// The optional count behind the key.
fn count(request: Request<'_>) -> Result<Option<usize>, Failure> {
    if request.len() < 3 {
        return Ok(None);
    }
    let count = integer(request.arg(2)).and_then(|count| usize::try_from(count).ok());
    count.map(Some).ok_or(Failure::NotPositive)
}

fn pop(store: &mut Store, request: Request<'_>, out: &mut Replies, end: End, name: &'static str) -> Outcome {
    if request.len() > 3 {
        return Err(Failure::WrongArguments(name));
    }
    let (key, count) = (request.arg(1), count(request)?);
    let list = store.get_mut::<List>(key)?;
    let take = |list: &mut List| match end {
        End::Left => list.pop_front(),
        End::Right => list.pop_back(),
    };
    match (list, count) {
        (None, None) => out.nil(),
        (None, Some(_)) => out.nil_array(),
        (Some(list), None) => {
            if let Some(item) = take(list) {
                out.bulk(&item);
            }
        }
        (Some(list), Some(count)) => {
            let count = count.min(list.len());
            out.array(count);
            (0..count).filter_map(|_| take(list)).for_each(|item| out.bulk(&item));
        }
    }
    store.remove_if_empty::<List>(key);
    Ok(())
}

pub fn llen(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    out.integer(store.get::<List>(request.arg(1))?.map_or(0, List::len) as i64);
    Ok(())
}

pub fn lrange(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let first = integer(request.arg(2)).ok_or(Failure::NotAnInteger)?;
    let last = integer(request.arg(3)).ok_or(Failure::NotAnInteger)?;
    let Some(list) = store.get::<List>(request.arg(1))? else {
        out.array(0);
        return Ok(());
    };
    let len = list.len() as i64;
    let from_front = |place: i64| if place < 0 { place.saturating_add(len) } else { place };
    let (first, end) = (from_front(first).max(0), from_front(last).min(len - 1) + 1);
    if first >= end {
        out.array(0);
        return Ok(());
    }
    out.array((end - first) as usize);
    list.range(first as usize..end as usize).for_each(|item| out.bulk(item));
    Ok(())
}

pub fn sadd(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let set = store.get_or_create::<Set>(request.arg(1))?;
    out.integer(request.args(2).filter(|member| set.insert(member)).count() as i64);
    Ok(())
}

pub fn srem(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let key = request.arg(1);
    let removed = match store.get_mut::<Set>(key)? {
        Some(set) => request.args(2).filter(|member| set.remove(member)).count(),
        None => 0,
    };
    store.remove_if_empty::<Set>(key);
    out.integer(removed as i64);
    Ok(())
}

pub fn scard(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    out.integer(store.get::<Set>(request.arg(1))?.map_or(0, Set::len) as i64);
    Ok(())
}

pub fn sismember(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let found = store.get::<Set>(request.arg(1))?.is_some_and(|set| set.contains(request.arg(2)));
    out.integer(i64::from(found));
    Ok(())
}

pub fn smembers(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    match store.get::<Set>(request.arg(1))? {
        None => out.array(0),
        Some(set) => {
            out.array(set.len());
            set.iter().for_each(|member| out.bulk(member));
        }
    }
    Ok(())
}

pub fn spop(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    if request.len() > 3 {
        return Err(Failure::Syntax);
    }
    let (key, count) = (request.arg(1), count(request)?);
    let members = store.get::<Set>(key)?.map_or(0, Set::len);
    let taken = count.unwrap_or(1).min(members);
    match count {
        Some(_) => out.array(taken),
        None if members == 0 => out.nil(),
        None => {}
    }
    for left in (members - taken + 1..=members).rev() {
        let place = store.random_below(left);
        let Some(set) = store.get_mut::<Set>(key)? else { break };
        let Some(member) = set.at(place).cloned() else { break };
        set.remove(&member);
        out.bulk(&member);
    }
    store.remove_if_empty::<Set>(key);
    Ok(())
}

pub fn hset(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    if !request.len().is_multiple_of(2) {
        return Err(Failure::WrongArguments("hset"));
    }
    let hash = store.get_or_create::<Hash>(request.arg(1))?;
    let mut new = 0;
    for pair in (2..request.len()).step_by(2) {
        let (field, value) = (request.arg(pair), request.arg(pair + 1));
        match hash.get_mut(field) {
            Some(old) => {
                old.clear();
                old.extend_from_slice(value);
            }
            None => {
                hash.insert(field.into(), value.to_vec());
                new += 1;
            }
        }
    }
    out.integer(new);
    Ok(())
}

pub fn hget(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    match store.get::<Hash>(request.arg(1))?.and_then(|hash| hash.get(request.arg(2))) {
        Some(value) => out.bulk(value),
        None => out.nil(),
    }
    Ok(())
}

pub fn hgetall(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let Some(hash) = store.get::<Hash>(request.arg(1))? else {
        out.array(0);
        return Ok(());
    };
    out.array(hash.len() * 2);
    for (field, value) in hash {
        out.bulk(field);
        out.bulk(value);
    }
    Ok(())
}

pub fn hdel(store: &mut Store, request: Request<'_>, out: &mut Replies) -> Outcome {
    let key = request.arg(1);
    let removed = match store.get_mut::<Hash>(key)? {
        Some(hash) => request.args(2).filter(|field| hash.remove(*field).is_some()).count(),
        None => 0,
    };
    store.remove_if_empty::<Hash>(key);
    out.integer(removed as i64);
    Ok(())
}
