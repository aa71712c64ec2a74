//! The commands: their table, and those that are about the connection or the server rather than a key.

use crate::failure::Failure;
use crate::resp::{Replies, Request, integer};
use crate::store::Store;
use crate::{collections, texts};

/// Does what a command says, on the keys of this core.
pub type OnKeys = fn(&mut Store, Request<'_>, &mut Replies) -> Result<(), Failure>;
/// Does what a command says about the connection that it came on, or the server.
pub type OnSession = fn(&mut Session<'_>, Request<'_>, &mut Replies) -> Result<(), Failure>;

/// What a command does.
#[derive(Clone, Copy)]
pub enum Run {
    Keys(OnKeys),
    Session(OnSession),
}

/// Which keys a command touches, and so which cores serve it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    None,
    /// The first argument.
    First,
    /// Every argument; the answers add up.
    EachAndSum,
    /// Every argument; the answers stand one behind the other.
    EachInOrder,
    /// Every other argument.
    Pairs,
    /// All there are, on every core; the answers add up.
    AllAndSum,
    /// All there are, on every core.
    All,
}

/// A command as the table has it.
pub struct Command {
    /// In small letters.
    pub name: &'static str,
    /// The name as a number, by which it is found.
    key: u128,
    /// How many arguments it takes, its name included; at least so many if negative.
    pub arity: i32,
    pub keys: Keys,
    /// Whether it changes anything.
    pub writes: bool,
    pub run: Run,
}

impl Command {
    fn takes(&self, arguments: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { arguments >= wanted } else { arguments == wanted }
    }
}

const fn read(name: &'static str, arity: i32, keys: Keys, run: OnKeys) -> Command {
    Command { name, key: key(name.as_bytes()), arity, keys, writes: false, run: Run::Keys(run) }
}

const fn write(name: &'static str, arity: i32, keys: Keys, run: OnKeys) -> Command {
    Command { name, key: key(name.as_bytes()), arity, keys, writes: true, run: Run::Keys(run) }
}

const fn session(name: &'static str, arity: i32, run: OnSession) -> Command {
    Command {
        name,
        key: key(name.as_bytes()),
        arity,
        keys: Keys::None,
        writes: false,
        run: Run::Session(run),
    }
}

/// Sorted by name.
static TABLE: [Command; 47] = [
    write("append", 3, Keys::First, texts::append),
    session("client", -2, client),
    session("command", -1, command),
    session("config", -2, config),
    read("dbsize", 1, Keys::AllAndSum, texts::dbsize),
    write("decr", 2, Keys::First, texts::decr),
    write("decrby", 3, Keys::First, texts::decrby),
    write("del", -2, Keys::EachAndSum, texts::del),
    session("echo", 2, echo),
    read("exists", -2, Keys::EachAndSum, texts::exists),
    write("expire", -3, Keys::First, texts::expire),
    write("flushall", -1, Keys::All, texts::flushall),
    read("get", 2, Keys::First, texts::get),
    write("hdel", -3, Keys::First, collections::hdel),
    session("hello", -1, hello),
    read("hget", 3, Keys::First, collections::hget),
    read("hgetall", 2, Keys::First, collections::hgetall),
    write("hset", -4, Keys::First, collections::hset),
    write("incr", 2, Keys::First, texts::incr),
    write("incrby", 3, Keys::First, texts::incrby),
    session("info", -1, info),
    read("llen", 2, Keys::First, collections::llen),
    write("lpop", -2, Keys::First, collections::lpop),
    write("lpush", -3, Keys::First, collections::lpush),
    read("lrange", 4, Keys::First, collections::lrange),
    read("mget", -2, Keys::EachInOrder, texts::mget),
    write("mset", -3, Keys::Pairs, texts::mset),
    write("persist", 2, Keys::First, texts::persist),
    write("pexpire", -3, Keys::First, texts::pexpire),
    session("ping", -1, ping),
    read("pttl", 2, Keys::First, texts::pttl),
    session("quit", -1, quit),
    write("rpop", -2, Keys::First, collections::rpop),
    write("rpush", -3, Keys::First, collections::rpush),
    write("sadd", -3, Keys::First, collections::sadd),
    read("scard", 2, Keys::First, collections::scard),
    session("select", 2, select),
    write("set", -3, Keys::First, texts::set),
    read("sismember", 3, Keys::First, collections::sismember),
    read("smembers", 2, Keys::First, collections::smembers),
    write("spop", -2, Keys::First, collections::spop),
    write("srem", -3, Keys::First, collections::srem),
    read("strlen", 2, Keys::First, texts::strlen),
    read("touch", -2, Keys::EachAndSum, texts::exists),
    read("ttl", 2, Keys::First, texts::ttl),
    read("type", 2, Keys::First, texts::kind),
    write("unlink", -2, Keys::EachAndSum, texts::del),
];

/// As many bytes as a name may have.
const NAME_BYTES_MAX: usize = size_of::<u128>();

const _: () = {
    let mut place = 1;
    while place < TABLE.len() {
        assert!(TABLE[place - 1].key < TABLE[place].key, "the table is not sorted by name");
        place += 1;
    }
};

/// A name in small letters as a number: these sort as the names do, and compare at once.
const fn key(name: &[u8]) -> u128 {
    assert!(name.len() <= NAME_BYTES_MAX);
    let mut bytes = [0; NAME_BYTES_MAX];
    let mut place = 0;
    while place < name.len() {
        bytes[place] = name[place].to_ascii_lowercase();
        place += 1;
    }
    u128::from_be_bytes(bytes)
}

fn named(name: &[u8]) -> Option<&'static Command> {
    if name.len() > NAME_BYTES_MAX || name.contains(&0) {
        return None;
    }
    let key = key(name);
    TABLE.binary_search_by(|command| command.key.cmp(&key)).ok().map(|place| &TABLE[place])
}

/// The command that a request names, if it has as many arguments as that takes.
pub fn find(request: Request<'_>) -> Result<&'static Command, Failure> {
    let Some(command) = named(request.arg(0)) else { return Err(unknown(request)) };
    if command.takes(request.len()) { Ok(command) } else { Err(Failure::WrongArguments(command.name)) }
}

#[cold]
fn unknown(request: Request<'_>) -> Failure {
    /// How much of a nonsensical request is said back.
    const BYTES_MAX: usize = 128;
    let shown =
        |bytes: &[u8], max: usize| String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into_owned();
    let mut arguments = String::new();
    for argument in request.args(1) {
        if arguments.len() >= BYTES_MAX {
            break;
        }
        arguments += &format!("'{}' ", shown(argument, BYTES_MAX - arguments.len()));
    }
    let name = shown(request.arg(0), BYTES_MAX);
    Failure::UnknownCommand(format!("'{name}', with args beginning with: {arguments}"))
}

/// What is known of a client.
#[derive(Default)]
pub struct Client {
    pub id: u64,
    pub name: Vec<u8>,
    /// It is to be closed as soon as it has its answers; nothing more is read from it.
    pub leaving: bool,
}

/// What session commands work on.
pub struct Session<'a> {
    pub client: &'a mut Client,
    pub store: &'a Store,
    pub connections: usize,
    pub commands: u64,
    pub core: usize,
    pub cores: usize,
}

fn ping(_: &mut Session<'_>, request: Request<'_>, out: &mut Replies) -> Result<(), Failure> {
    match request.len() {
        1 => out.simple("PONG"),
        2 => out.bulk(request.arg(1)),
        _ => return Err(Failure::WrongArguments("ping")),
    }
    Ok(())
}

fn echo(_: &mut Session<'_>, request: Request<'_>, out: &mut Replies) -> Result<(), Failure> {
    out.bulk(request.arg(1));
    Ok(())
}

fn quit(session: &mut Session<'_>, _: Request<'_>, out: &mut Replies) -> Result<(), Failure> {
    session.client.leaving = true;
    out.ok();
    Ok(())
}

/// There is one database.
fn select(_: &mut Session<'_>, request: Request<'_>, out: &mut Replies) -> Result<(), Failure> {
    match integer(request.arg(1)) {
        Some(0) => out.ok(),
        Some(_) => return Err(Failure::NoSuchDatabase),
        None => return Err(Failure::NotAnInteger),
    }
    Ok(())
}

fn hello(session: &mut Session<'_>, request: Request<'_>, out: &mut Replies) -> Result<(), Failure> {
    if request.len() > 1 {
        match integer(request.arg(1)) {
            Some(2) => {}
            Some(_) => return Err(Failure::ProtocolVersion),
            None => return Err(Failure::ProtocolNotANumber),
        }
    }
    let mut options = request.args(2);
    while let Some(option) = options.next() {
        match options.next() {
            Some(name) if option.eq_ignore_ascii_case(b"setname") => set_name(session.client, name)?,
            _ => return Err(Failure::HelloOption(String::from_utf8_lossy(option).into_owned())),
        }
    }
    out.array(14);
    for (field, value) in [("server", "redis"), ("version", VERSION)] {
        out.bulk(field.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"proto");
    out.integer(2);
    out.bulk(b"id");
    out.integer(session.client.id as i64);
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        out.bulk(field.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"modules");
    out.array(0);
    Ok(())
}

/// The version of Redis whose answers these are; clients choose by it what to ask.
const VERSION: &str = "7.0.15";

fn set_name(client: &mut Client, name: &[u8]) -> Result<(), Failure> {
    if !name.iter().all(u8::is_ascii_graphic) {
        return Err(Failure::ClientName);
    }
    client.name = name.to_vec();
    Ok(())
}

/// The word behind the command's name in small letters, and how many arguments there are.
fn subcommand(request: Request<'_>) -> (Vec<u8>, usize) {
    (request.arg(1).to_ascii_lowercase(), request.len())
}

fn no_such_subcommand(request: Request<'_>, command: &'static str) -> Failure {
    Failure::UnknownSubcommand(String::from_utf8_lossy(request.arg(1)).into_owned(), command)
}

fn client(session: &mut Session<'_>, request: Request<'_>, out: &mut Replies) -> Result<(), Failure> {
    let (word, len) = subcommand(request);
    match (&word[..], len) {
        (b"id", 2) => out.integer(session.client.id as i64),
        (b"getname", 2) if session.client.name.is_empty() => out.nil(),
        (b"getname", 2) => out.bulk(&session.client.name),
        (b"setname", 3) => {
            set_name(session.client, request.arg(2))?;
            out.ok();
        }
        (b"setinfo", 4) => out.ok(),
        (b"id", _) => return Err(Failure::WrongArguments("client|id")),
        (b"getname", _) => return Err(Failure::WrongArguments("client|getname")),
        (b"setname", _) => return Err(Failure::WrongArguments("client|setname")),
        (b"setinfo", _) => return Err(Failure::WrongArguments("client|setinfo")),
        _ => return Err(no_such_subcommand(request, "CLIENT")),
    }
    Ok(())
}

/// What CONFIG GET knows: what `redis-benchmark` asks for, and what clients tend to look at.
const SETTINGS: [(&str, &str); 4] =
    [("appendonly", "no"), ("databases", "1"), ("maxmemory", "0"), ("save", "")];

fn config(_: &mut Session<'_>, request: Request<'_>, out: &mut Replies) -> Result<(), Failure> {
    let (word, len) = subcommand(request);
    match (&word[..], len) {
        (b"get", 3..) => {}
        (b"get", _) => return Err(Failure::WrongArguments("config|get")),
        _ => return Err(no_such_subcommand(request, "CONFIG")),
    }
    // What is asked for by its name is answered by that name, in whatever letters.
    let named = |word: &[u8]| SETTINGS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    let mut found = Vec::new();
    for word in request.args(2) {
        match named(word) {
            Some((_, value)) => found.push((word, *value)),
            None if word == b"*" => {
                found.extend(SETTINGS.iter().map(|(name, value)| (name.as_bytes(), *value)))
            }
            None => {}
        }
    }
    out.array(2 * found.len());
    for (name, value) in found {
        out.bulk(name);
        out.bulk(value.as_bytes());
    }
    Ok(())
}

fn command(_: &mut Session<'_>, request: Request<'_>, out: &mut Replies) -> Result<(), Failure> {
    if request.len() == 1 {
        out.array(TABLE.len());
        TABLE.iter().for_each(|command| describe(command, out));
        return Ok(());
    }
    let (word, len) = subcommand(request);
    match (&word[..], len) {
        (b"count", 2) => out.integer(TABLE.len() as i64),
        // No documentation, which `redis-cli` takes for having no hints to show.
        (b"docs", _) => out.array(0),
        (b"info", _) => {
            out.array(len - 2);
            for name in request.args(2) {
                match named(name) {
                    Some(command) => describe(command, out),
                    None => out.nil(),
                }
            }
        }
        (b"count", _) => return Err(Failure::WrongArguments("command|count")),
        _ => return Err(no_such_subcommand(request, "COMMAND")),
    }
    Ok(())
}

/// Name, arity, flags and where the keys stand; what Redis says besides is left empty.
fn describe(command: &Command, out: &mut Replies) {
    let (first, last, step) = match command.keys {
        Keys::None | Keys::All | Keys::AllAndSum => (0, 0, 0),
        Keys::First => (1, 1, 1),
        Keys::EachAndSum | Keys::EachInOrder => (1, -1, 1),
        Keys::Pairs => (1, -1, 2),
    };
    out.array(10);
    out.bulk(command.name.as_bytes());
    out.integer(i64::from(command.arity));
    out.array(1);
    out.simple(if command.writes { "write" } else { "readonly" });
    for place in [first, last, step] {
        out.integer(place);
    }
    for _ in 0..4 {
        out.array(0);
    }
}

fn info(session: &mut Session<'_>, _: Request<'_>, out: &mut Replies) -> Result<(), Failure> {
    let uptime = session.store.now().as_nanos() / 1_000_000_000;
    let text = format!(
        "# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\nuptime_in_seconds:{uptime}\r\n\
         core:{core}\r\ncores:{cores}\r\n\r\n# Clients\r\nconnected_clients:{connections}\r\n\r\n\
         # Stats\r\ntotal_commands_processed:{commands}\r\n\r\n# Keyspace\r\n\
         db0:keys={keys},expires={expires},avg_ttl=0\r\n",
        core = session.core,
        cores = session.cores,
        connections = session.connections,
        commands = session.commands,
        keys = session.store.len(),
        expires = session.store.expiring(),
    );
    out.bulk(text.as_bytes());
    Ok(())
}
