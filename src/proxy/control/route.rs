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
    let mut names = names.ok_or_else(|| {
        let sentence = format!("the path {path:?} has a % that two digits do not follow, or is not UTF-8");
        Refusal::new(Status::BadRequest, sentence)
    })?;
    let toxic = if names.len() == 4 { names.pop().unwrap_or_default() } else { String::new() };
    let place: Vec<&str> = names.iter().map(String::as_str).collect();
    let allowed = match (place.as_slice(), toxic.is_empty()) {
        (["proxies"], true) => match method {
            "GET" => return Ok(Endpoint::ListProxies),
            "POST" => return Ok(Endpoint::CreateProxy),
            _ => "GET, POST",
        },
        (["populate"], true) => match method {
            "POST" => return Ok(Endpoint::Populate),
            _ => "POST",
        },
        (["reset"], true) => match method {
            "POST" => return Ok(Endpoint::Reset),
            _ => "POST",
        },
        (["version"], true) => match method {
            "GET" => return Ok(Endpoint::Version),
            _ => "GET",
        },
        (["metrics"], true) => match method {
            "GET" => return Ok(Endpoint::Metrics),
            _ => "GET",
        },
        (["proxies", name], true) if !name.is_empty() => match method {
            "GET" => return Ok(Endpoint::ShowProxy((*name).to_owned())),
            "POST" | "PATCH" => return Ok(Endpoint::UpdateProxy((*name).to_owned())),
            "DELETE" => return Ok(Endpoint::DeleteProxy((*name).to_owned())),
            _ => "GET, POST, PATCH, DELETE",
        },
        (["proxies", name, "toxics"], true) if !name.is_empty() => match method {
            "GET" => return Ok(Endpoint::ListToxics((*name).to_owned())),
            "POST" => return Ok(Endpoint::CreateToxic((*name).to_owned())),
            _ => "GET, POST",
        },
        (["proxies", name, "toxics"], false) if !name.is_empty() => match method {
            "GET" => return Ok(Endpoint::ShowToxic((*name).to_owned(), toxic)),
            "POST" | "PATCH" => return Ok(Endpoint::UpdateToxic((*name).to_owned(), toxic)),
            "DELETE" => return Ok(Endpoint::DeleteToxic((*name).to_owned(), toxic)),
            _ => "GET, POST, PATCH, DELETE",
        },
        _ => {
            let sentence = format!(
                "there is nothing at {path:?}: try /proxies, /proxies/NAME, /proxies/NAME/toxics, \
                 /proxies/NAME/toxics/TOXIC, /populate, /reset, /version or /metrics"
            );
            return Err(Refusal::new(Status::NotFound, sentence));
        }
    };
    let sentence = format!("{method} is not for {path:?}, which takes {allowed}");
    Err(Refusal { allowed, ..Refusal::new(Status::MethodNotAllowed, sentence) })
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
                        assert_eq!((refusal.status, refusal.allowed), (Status::MethodNotAllowed, allowed));
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
