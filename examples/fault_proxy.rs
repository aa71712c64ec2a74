//! cargo run --release --example fault_proxy --features proxy
//!
//! What a test with the fault proxy looks like: a client that should survive a bad network, a server that knows nothing
//! of it, and between them a proxy that makes the network bad. Each trouble is one line.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use windlass::proxy::{self, Toxic, ToxicKind};

const PATIENCE: Duration = Duration::from_millis(250);

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let upstream = server.local_addr()?;
    std::thread::spawn(move || serve(&server));

    let proxy = proxy::spawn(upstream)?;
    println!("undisturbed: {}", ask(proxy.address())?);

    proxy.add(Toxic::latency_ms(20).jitter_ms(10))?;
    println!("late, and still right: {}", ask(proxy.address())?);

    proxy.add(Toxic::new(ToxicKind::Slicer { average_size: 1, size_variation: 0, delay_us: 100 }))?;
    println!("byte by byte: {}", ask(proxy.address())?);

    proxy.add(Toxic::black_hole().upstream().named("hole"))?;
    println!("in a black hole: {}", refusal(ask(proxy.address())));
    proxy.remove("hole")?;

    proxy.add(Toxic::new(ToxicKind::ResetPeer { timeout_ms: 0 }).upstream())?;
    println!("reset: {}", refusal(ask(proxy.address())));

    proxy.enable(false)?;
    println!("switched off: {}", refusal(ask(proxy.address())));

    proxy.reset()?;
    println!("healed: {}", ask(proxy.address())?);
    println!("{} connections accepted", proxy.figures()?.accepted);
    Ok(())
}

/// The client under test: asks once, and waits no longer than its patience lasts.
fn ask(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"what is the answer?\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() {
        return Err(Error::from(ErrorKind::UnexpectedEof));
    }
    Ok(answer)
}

/// What a user of the client would be told.
fn refusal(outcome: Result<String>) -> &'static str {
    match outcome.map_err(|error| error.kind()) {
        Ok(_) => "an answer came, which is wrong",
        Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => "no answer in time",
        Err(ErrorKind::ConnectionReset) => "the connection was reset",
        Err(ErrorKind::ConnectionRefused) => "nobody there",
        Err(_) => "something else",
    }
}

/// Answers one question on each connection. Those that go away without asking are none of its business.
fn serve(server: &TcpListener) {
    for stream in server.incoming().flatten() {
        let mut question = String::new();
        if let Ok(1..) = BufReader::new(&stream).read_line(&mut question) {
            let _ = (&stream).write_all(b"42");
        }
    }
}
