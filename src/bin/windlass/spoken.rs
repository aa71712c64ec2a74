//! The protocol of a run, made from what the command line says about it.

use crate::args::{HttpArgs, LoadArgs, ModeName, ProtocolName, RedisArgs};
use crate::exit::Failure;
use crate::words;
use windlass::Error;
use windlass::load::{self, Echo, Http, HttpRequest, Plan, Protocol, Redis, RedisCommands, Running, Sizes};

/// The size of messages that none was given for.
const SIZE_DEFAULT: Sizes = Sizes::Fixed(64);

/// The same for handshakes: the least that shows that the target has done its part.
const HANDSHAKE_SIZE_DEFAULT: Sizes = Sizes::Fixed(1);

/// The share of GETs that none was given for.
const GET_SHARE_DEFAULT: f64 = 0.5;

/// One of the protocols, ready to be spoken.
#[derive(Clone, Debug)]
pub struct Spoken {
    words: Words,
    /// What the record says about the sizes of messages.
    pub sizes: String,
}

#[derive(Clone, Debug)]
enum Words {
    Echo(Echo),
    Redis(Redis),
    Http(Http),
}

impl Spoken {
    /// What `args` ask of `protocol`; `request` is what the target's name says already, where that is HTTP.
    pub fn new(
        protocol: ProtocolName,
        request: Option<HttpRequest>,
        args: &LoadArgs,
    ) -> Result<Spoken, Failure> {
        refuse_strays(protocol, args)?;
        let sizes = args.work.size.clone().unwrap_or(match args.work.mode {
            ModeName::Messages => SIZE_DEFAULT,
            ModeName::Handshake => HANDSHAKE_SIZE_DEFAULT,
        });
        match protocol {
            ProtocolName::Echo => {
                Ok(Spoken { sizes: sizes.to_string(), words: Words::Echo(Echo::new(sizes)) })
            }
            ProtocolName::Redis => Ok(Spoken {
                sizes: sizes.to_string(),
                words: Words::Redis(Redis::new(&redis_commands(&args.redis, sizes)?)?),
            }),
            ProtocolName::Http => {
                let request = request.unwrap_or_else(|| HttpRequest::get("localhost", "/"));
                let request = http_request(request, &args.http)?;
                let sizes = request.body.len().to_string();
                Ok(Spoken { sizes, words: Words::Http(Http::new(&request)?) })
            }
        }
    }

    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match &self.words {
            Words::Echo(echo) => echo.name(),
            Words::Redis(redis) => redis.name(),
            Words::Http(http) => http.name(),
        }
    }

    /// Starts a run of `plan` in this protocol.
    pub fn start(&self, plan: &Plan) -> Result<Running, Error> {
        match &self.words {
            Words::Echo(echo) => load::start(plan, echo.clone()),
            Words::Redis(redis) => load::start(plan, redis.clone()),
            Words::Http(http) => load::start(plan, http.clone()),
        }
    }
}

/// A flag of one protocol does nothing in another, and whoever gave it should know.
fn refuse_strays(protocol: ProtocolName, args: &LoadArgs) -> Result<(), Failure> {
    let (redis, http) = (&args.redis, &args.http);
    let of_redis = redis.get_share.is_some() || redis.keys.is_some() || redis.command.is_some();
    let of_http = http.method.is_some() || !http.header.is_empty() || http.body.is_some();
    let name = protocol.name();
    if of_redis && protocol != ProtocolName::Redis {
        return Err(Failure::usage(format!(
            "--get-share, --keys and --command are for Redis, and this target speaks {name}: add --protocol redis, or \
             leave them out"
        )));
    }
    if of_http && protocol != ProtocolName::Http {
        return Err(Failure::usage(format!(
            "--method, --header and --body are for HTTP, and this target speaks {name}: name it as http://HOST:PORT/PATH, \
             or leave them out"
        )));
    }
    if protocol == ProtocolName::Http && args.work.size.is_some() {
        return Err(Failure::usage("--size is for echo and Redis: what HTTP sends is its --body"));
    }
    Ok(())
}

fn redis_commands(args: &RedisArgs, values: Sizes) -> Result<RedisCommands, Failure> {
    let mut commands = RedisCommands::default();
    commands.values = values;
    commands.get_fraction = args.get_share.unwrap_or(GET_SHARE_DEFAULT);
    if let Some(keys) = args.keys {
        commands.key_count = keys as u64;
    }
    if let Some(text) = &args.command {
        let words = words::split(text).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| {
            Failure::usage(format!(
                "--command '{text}': write words such as 'LPUSH __key__ x', quotes in pairs"
            ))
        })?;
        commands.command = Some(words.into_iter().map(String::into_bytes).collect());
    }
    Ok(commands)
}

fn http_request(mut request: HttpRequest, args: &HttpArgs) -> Result<HttpRequest, Failure> {
    if let Some(body) = &args.body {
        request.body = match body.strip_prefix('@') {
            Some(path) => std::fs::read(path).map_err(|error| {
                Failure::failed(format!("--body @{path}: the file could not be read: {error}"))
            })?,
            None => body.clone().into_bytes(),
        };
        request.method = "POST".into();
    }
    if let Some(method) = &args.method {
        request.method.clone_from(method);
    }
    for field in &args.header {
        let Some((name, value)) = field.split_once(':') else {
            return Err(Failure::usage(format!(
                "--header '{field}': write a name, a colon and a value, as in 'Accept: */*'"
            )));
        };
        request.headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(request)
}
