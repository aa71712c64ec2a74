//! What each endpoint does to the proxies, and what it answers: the statuses and the JSON of Toxiproxy 2.x.

use super::exposition;
use super::request::Request;
use super::response::{Refusal, Response, Status};
use super::route::{Endpoint, route};
use crate::proxy::{Change, Plan, Proxies, Proxy, ProxyError, Toxic, address};
use crate::reactor::Io;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The version of Toxiproxy whose API this is. Its clients compare it: from 2.6 on they may update by PATCH.
const API_VERSION: &str = "2.12.0";

/// Where a proxy listens of which nothing was said.
const LISTEN_DEFAULT: &str = "127.0.0.1:0";

/// Does what is asked for.
pub fn answer(request: &Request, io: &mut Io, proxies: &mut Proxies) -> Response {
    match perform(request, io, proxies) {
        Ok(response) => response,
        Err(refusal) => Response::from(&refusal),
    }
}

fn perform(request: &Request, io: &mut Io, proxies: &mut Proxies) -> Result<Response, Refusal> {
    if request.from_browser {
        let sentence = "User agent not allowed: browsers may be used by any page they show";
        return Err(Refusal::new(Status::Forbidden, sentence));
    }
    let body = request.body.as_slice();
    Ok(match route(&request.method, &request.path)? {
        Endpoint::ListProxies => {
            let all: BTreeMap<&str, Shown<'_>> =
                proxies.iter().map(|p| (p.plan().name.as_str(), p.into())).collect();
            Response::json(Status::Ok, &all)
        }
        Endpoint::CreateProxy => {
            let plan = described(read(body)?)?.plan("")?;
            Response::json(Status::Created, &Shown::from(proxies.create(io, plan)?))
        }
        Endpoint::Populate => populate(body, io, proxies)?,
        Endpoint::Reset => {
            proxies.reset(io)?;
            Response::empty()
        }
        Endpoint::Version => {
            let server = concat!("windlass ", env!("CARGO_PKG_VERSION"));
            Response::json(Status::Ok, &BTreeMap::from([("version", API_VERSION), ("server", server)]))
        }
        Endpoint::Metrics => {
            Response::text("text/plain; version=0.0.4; charset=utf-8", exposition::text(proxies))
        }
        Endpoint::ShowProxy(name) => Response::json(Status::Ok, &Shown::from(find(proxies, &name)?)),
        Endpoint::UpdateProxy(name) => {
            find(proxies, &name)?;
            let change: Change = serde_json::from_value(folded(read(body)?).into()).map_err(bad_body)?;
            Response::json(Status::Ok, &Shown::from(proxies.update(io, &name, &change)?))
        }
        Endpoint::DeleteProxy(name) => {
            proxies.remove(io, &name)?;
            Response::empty()
        }
        Endpoint::ListToxics(name) => {
            Response::json(Status::Ok, &find(proxies, &name)?.toxics().collect::<Vec<_>>())
        }
        Endpoint::CreateToxic(name) => {
            find(proxies, &name)?;
            let toxic = Toxic::from_json(&toxic_json(body)?)?;
            Response::json(Status::Ok, proxies.add_toxic(io, &name, toxic)?)
        }
        Endpoint::ShowToxic(name, toxic) => Response::json(Status::Ok, find_toxic(proxies, &name, &toxic)?),
        Endpoint::UpdateToxic(name, toxic) => {
            let merged = find_toxic(proxies, &name, &toxic)?.merged(&toxic_json(body)?)?;
            Response::json(Status::Ok, proxies.update_toxic(io, &name, merged)?)
        }
        Endpoint::DeleteToxic(name, toxic) => {
            proxies.remove_toxic(io, &name, &toxic)?;
            Response::empty()
        }
    })
}

/// A proxy as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    toxics: Vec<&'a Toxic>,
}

impl<'a> From<&'a Proxy> for Shown<'a> {
    fn from(proxy: &'a Proxy) -> Shown<'a> {
        Shown { plan: proxy.plan(), toxics: proxy.toxics().collect() }
    }
}

/// A proxy as clients describe it. Fields that are missing or null are told apart from empty ones by nobody.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Described {
    name: Option<String>,
    listen: Option<String>,
    upstream: Option<String>,
    enabled: Option<bool>,
}

impl Described {
    /// The plan; `place` says which one of several it is, in a sentence about what is missing.
    fn plan(self, place: &str) -> Result<Plan, Refusal> {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        let needed = |field: &str, value: Option<String>| {
            let missing =
                || Refusal::new(Status::BadRequest, format!("missing required field: {field}{place}"));
            said(value).ok_or_else(missing)
        };
        Ok(Plan {
            name: needed("name", self.name)?,
            upstream: needed("upstream", self.upstream)?,
            listen: said(self.listen).unwrap_or_else(|| LISTEN_DEFAULT.to_owned()),
            enabled: self.enabled.unwrap_or(true),
        })
    }
}

/// What became of a list of proxies.
#[derive(Serialize)]
struct Populated<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    proxies: Vec<Shown<'a>>,
}

/// Makes each proxy of a list be there: one that is already, with the same addresses, stays as it is with its toxics; one
/// with others is replaced. The whole list is checked before anything is changed; what fails then is told together with
/// what was done before it.
fn populate(body: &[u8], io: &mut Io, proxies: &mut Proxies) -> Result<Response, Refusal> {
    let list: Vec<Map<String, Value>> = serde_json::from_slice(body).map_err(bad_body)?;
    let (mut plans, mut names) = (Vec::with_capacity(list.len()), BTreeSet::new());
    for (number, one) in list.into_iter().enumerate() {
        let place = format!(" at proxy {}", number + 1);
        let plan = described(one)?.plan(&place)?;
        if !names.insert(plan.name.clone()) {
            let sentence = format!("duplicate proxy name {:?}", plan.name);
            return Err(Refusal::new(Status::BadRequest, sentence));
        }
        plans.push(plan);
    }
    let (mut done, mut refusal) = (Vec::with_capacity(plans.len()), None);
    for plan in plans {
        let name = plan.name.clone();
        if let Err(error) = put(plan, io, proxies) {
            refusal = Some(Refusal::from(error));
            break;
        }
        done.push(name);
    }
    let populated = Populated {
        error: refusal.as_ref().map(|refusal| refusal.sentence.as_str()),
        status: refusal.as_ref().map(|refusal| refusal.status.code()),
        proxies: done.iter().filter_map(|name| proxies.get(name)).map(Shown::from).collect(),
    };
    let status = refusal.as_ref().map_or(Status::Created, |refusal| refusal.status);
    Ok(Response::json(status, &populated))
}

fn put(plan: Plan, io: &mut Io, proxies: &mut Proxies) -> Result<(), ProxyError> {
    let Some(known) = proxies.get(&plan.name) else { return proxies.create(io, plan).map(drop) };
    let same_listen = known.plan().listen == plan.listen
        || address::listen(&known.plan().listen)? == address::listen(&plan.listen)?;
    if same_listen && known.plan().upstream == plan.upstream {
        return Ok(());
    }
    let toxics: Vec<String> = known.toxics().map(|toxic| toxic.name.clone()).collect();
    let change =
        Change { listen: Some(plan.listen), upstream: Some(plan.upstream), enabled: Some(plan.enabled) };
    proxies.update(io, &plan.name, &change)?;
    toxics.iter().try_for_each(|toxic| proxies.remove_toxic(io, &plan.name, toxic))
}

/// The object in a body.
fn read(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_slice(body).map_err(bad_body)
}

fn described(object: Map<String, Value>) -> Result<Described, Refusal> {
    serde_json::from_value(folded(object).into()).map_err(bad_body)
}

/// A toxic in a body, in lower case where that makes no difference to Toxiproxy.
fn toxic_json(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut object = folded(read(body)?);
    if let Some(Value::Object(attributes)) = object.get_mut("attributes") {
        *attributes = folded(std::mem::take(attributes));
    }
    if let Some(Value::String(stream)) = object.get_mut("stream") {
        stream.make_ascii_lowercase();
    }
    serde_json::to_vec(&object).map_err(bad_body)
}

/// The names of the fields in lower case: Toxiproxy is written in Go, whose JSON does not tell `Name` from `name`, and
/// some of its clients write the one and some the other.
fn folded(object: Map<String, Value>) -> Map<String, Value> {
    object.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

fn bad_body(error: serde_json::Error) -> Refusal {
    Refusal::new(Status::BadRequest, format!("bad request body: {error}"))
}

fn find<'p>(proxies: &'p Proxies, name: &str) -> Result<&'p Proxy, ProxyError> {
    proxies.get(name).ok_or_else(|| ProxyError::ProxyNotFound(name.to_owned()))
}

fn find_toxic<'p>(proxies: &'p Proxies, name: &str, toxic: &str) -> Result<&'p Toxic, ProxyError> {
    find(proxies, name)?.toxic(toxic).ok_or_else(|| ProxyError::ToxicNotFound(toxic.to_owned()))
}

impl From<ProxyError> for Refusal {
    fn from(error: ProxyError) -> Refusal {
        let status = match &error {
            ProxyError::ProxyNotFound(_) | ProxyError::ToxicNotFound(_) => Status::NotFound,
            ProxyError::ProxyExists(_) | ProxyError::ToxicExists(_) => Status::Conflict,
            ProxyError::UnknownType(_) | ProxyError::Invalid(_) => Status::BadRequest,
            // The request makes sense, and the system does not let it be done.
            ProxyError::Listen(_) | ProxyError::Limit(_) | ProxyError::Ended => Status::InternalServerError,
        };
        Refusal::new(status, error.to_string())
    }
}
