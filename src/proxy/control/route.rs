//! Which of the control's endpoints a method and a path name.

use super::response::{Refusal, Status};

/// What is asked for; names are decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    ListProxies,
    CreateProxy,
    Populate,
    Reset,
    Version,
    Metrics,
    ShowProxy(String),
    UpdateProxy(String),
    DeleteProxy(String),
    ListToxics(String),
    CreateToxic(String),
    ShowToxic(String, String),
    UpdateToxic(String, String),
    DeleteToxic(String, String),
}

/// The endpoint of a request, or why there is none. Updates come by PATCH, and by POST from clients older than
/// Toxiproxy 2.6.
pub fn route(method: &str, path: &str) -> Result<Endpoint, Refusal> {
    let names = path.strip_prefix('/').unwrap_or(path).split('/').map(decode);
    let names = names.collect::<Option<Vec<String>>>();
    let names = names.ok_or_else(|| {
        let sentence = format!("the path {path:?} has a % that two digits do not follow, or is not UTF-8");
        Refusal::new(Status::BadRequest, sentence)
    })?;
    let place: Vec<&str> = names.iter().map(String::as_str).collect();
    let one = |name: &str| name.to_owned();
    let choices = match *place {
        ["proxies"] => vec![("GET", Endpoint::ListProxies), ("POST", Endpoint::CreateProxy)],
        ["populate"] => vec![("POST", Endpoint::Populate)],
        ["reset"] => vec![("POST", Endpoint::Reset)],
        ["version"] => vec![("GET", Endpoint::Version)],
        ["metrics"] => vec![("GET", Endpoint::Metrics)],
        ["proxies", name] if !name.is_empty() => vec![
            ("GET", Endpoint::ShowProxy(one(name))),
            ("POST", Endpoint::UpdateProxy(one(name))),
            ("PATCH", Endpoint::UpdateProxy(one(name))),
            ("DELETE", Endpoint::DeleteProxy(one(name))),
        ],
        ["proxies", name, "toxics"] if !name.is_empty() => {
            vec![("GET", Endpoint::ListToxics(one(name))), ("POST", Endpoint::CreateToxic(one(name)))]
        }
        ["proxies", name, "toxics", toxic] if !name.is_empty() && !toxic.is_empty() => vec![
            ("GET", Endpoint::ShowToxic(one(name), one(toxic))),
            ("POST", Endpoint::UpdateToxic(one(name), one(toxic))),
            ("PATCH", Endpoint::UpdateToxic(one(name), one(toxic))),
            ("DELETE", Endpoint::DeleteToxic(one(name), one(toxic))),
        ],
        _ => {
            let sentence = format!(
                "there is nothing at {path:?}: try /proxies, /proxies/NAME, /proxies/NAME/toxics, \
                 /proxies/NAME/toxics/TOXIC, /populate, /reset, /version or /metrics"
            );
            return Err(Refusal::new(Status::NotFound, sentence));
        }
    };
    let allowed: Vec<&str> = choices.iter().map(|(allowed, _)| *allowed).collect();
    let allowed = allowed.join(", ");
    let chosen = choices.into_iter().find(|(allowed, _)| *allowed == method);
    chosen.map(|(_, endpoint)| endpoint).ok_or_else(|| {
        let sentence = format!("{method} is not for {path:?}, which takes {allowed}");
        Refusal { allowed, ..Refusal::new(Status::MethodNotAllowed, sentence) }
    })
}

/// One part of a path without its percent-encoding; `None` if that is broken or what it encodes is not UTF-8.
fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.get(..2)?;
        let digit = |b: u8| char::from(b).to_digit(16);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_after_the_path_was_cut() {
        assert_eq!(route("GET", "/proxies/a%20b%2Fc"), Ok(Endpoint::ShowProxy("a b/c".into())));
        assert_eq!(
            route("PATCH", "/proxies/%C3%A9/toxics/100%25"),
            Ok(Endpoint::UpdateToxic("é".into(), "100%".into()))
        );
        for broken in ["/proxies/%", "/proxies/%2", "/proxies/%zz", "/proxies/%ff", "/proxies/%+1"] {
            let refusal = route("GET", broken).unwrap_err();
            assert_eq!(refusal.status, Status::BadRequest, "{broken}");
        }
    }

    #[test]
    fn every_endpoint_has_its_methods_and_no_others() {
        let places = [
            ("/proxies", "GET, POST"),
            ("/populate", "POST"),
            ("/reset", "POST"),
            ("/version", "GET"),
            ("/metrics", "GET"),
            ("/proxies/a", "GET, POST, PATCH, DELETE"),
            ("/proxies/a/toxics", "GET, POST"),
            ("/proxies/a/toxics/b", "GET, POST, PATCH, DELETE"),
        ];
        for (path, allowed) in places {
            for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"] {
                let is_allowed = allowed.split(", ").any(|one| one == method);
                match route(method, path) {
                    Ok(_) => assert!(is_allowed, "{method} {path}"),
                    Err(refusal) => {
                        assert!(!is_allowed, "{method} {path}");
                        assert_eq!(
                            (refusal.status, refusal.allowed.as_str()),
                            (Status::MethodNotAllowed, allowed)
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for path in [
            "",
            "/",
            "*",
            "/proxy",
            "/proxies/",
            "/proxies//toxics",
            "/proxies/a/toxics/",
            "/proxies/a/b",
            "/proxies/a/toxics/b/c",
            "/populate/x/y/z",
            "/version/",
        ] {
            assert_eq!(route("GET", path).unwrap_err().status, Status::NotFound, "{path}");
        }
    }
}
