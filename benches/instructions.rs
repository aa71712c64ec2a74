//! Counts the user-mode instructions of hot operations and compares them with the committed counts.
//!
//! ```text
//! cargo bench --bench instructions               # over 1 % more than benches/instructions.txt says: exit code 1
//! cargo bench --bench instructions -- --update   # writes the counts of today into that file
//! ```
//!
//! Wall time on a shared machine says little about a change of a few per cent; an instruction count is exact and
//! the same in every run. Each case runs twice under callgrind, with fewer and with more operations, and what the
//! difference costs per operation is the count: start-up, setup and teardown cancel out. The cases that turn a
//! whole reactor (`turns.rs` beside this file) count only inside their `counted_` functions, so that the client,
//! which lives on the same thread, is not in the figure.
//!
//! Counts hold for one compiler on one architecture, both named in the file's header. There the comparison decides;
//! elsewhere it only reports. (What the C library copies and allocates with counts too; that hardly differs.) A case
//! with a limit fails beyond it on any compiler. A refresh is a commit of its own that says why the counts moved.
//! Without valgrind there is nothing to compare; where `CI` is set that is a failure.

mod handles;
mod turns;

use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, ExitCode, Stdio};
use windlass::PerConn;
use windlass::buffer::{OutQueue, Pool, SMALL_CHUNK_BYTES};
use windlass::collections::{DeadlineWheel, Handle, Slots, TimerHeap};
use windlass::metrics::histogram;
use windlass::time::Instant;

/// Something to count.
struct Case {
    name: &'static str,
    /// Performs that many operations.
    run: fn(usize),
    /// Counts only what happens inside functions whose names hold this.
    inside: Option<&'static str>,
    /// More than this beyond the committed count fails, in per cent.
    tolerance_percent: f64,
    /// More than this fails on any compiler.
    limit: Option<f64>,
}

impl Case {
    /// An operation by itself: the same in every run.
    const fn of(name: &'static str, run: fn(usize)) -> Case {
        Case { name, run, inside: None, tolerance_percent: TOLERANCE_PERCENT, limit: None }
    }

    /// Turns of a reactor.
    const fn turns(name: &'static str, run: fn(usize), limit: Option<f64>) -> Case {
        let tolerance_percent = TURNS_TOLERANCE_PERCENT;
        Case { name, run, inside: Some(turns::COUNTED), tolerance_percent, limit }
    }
}

const CASES: &[Case] = &[
    Case::of("slots_insert", slots_insert),
    Case::of("slots_get", slots_get),
    Case::of("slots_get_stale", slots_get_stale),
    Case::of("slots_remove", slots_remove),
    Case::of("per_conn_get", per_conn_get),
    Case::of("wheel_schedule", wheel_schedule),
    Case::of("wheel_extend", wheel_extend),
    Case::of("wheel_cancel", wheel_cancel),
    Case::of("wheel_expire", wheel_expire),
    Case::of("timers_insert", timers_insert),
    Case::of("timers_cancel", timers_cancel),
    Case::of("timers_pop_due", timers_pop_due),
    Case::of("histogram_record", histogram_record),
    Case::of("pool_take_put", pool_take_put),
    Case::of("queue_append_consume_64", queue_append_consume_64),
    Case::of("queue_shared_4k_consume", queue_shared_4k_consume),
    Case::turns("turn_echo_64", turns::echo, Some(ECHO_LIMIT)),
    Case::turns("turn_accept_echo_64", turns::accept_and_echo, None),
    Case::turns("turn_mail", turns::mail, None),
    Case::turns("turn_keep_half_of_64", turns::keep_half, None),
    Case::turns("turn_send_queued_64", turns::send_queued, None),
];

/// The two points of each measurement: multiples of the connections in `turns`, and with equally many digits so
/// that the command lines are equally long.
const OPS: (usize, usize) = (16 * turns::CONNECTIONS, 144 * turns::CONNECTIONS);

/// How many entries the cases set up: at least as many as there are operations.
const ENTRIES: usize = 10_000;

/// More than this beyond the committed count fails, in per cent.
const TOLERANCE_PERCENT: f64 = 1.0;

/// The same for turns of a reactor. They read the clock, so what they record falls into other buckets from run to
/// run, and a deadline may come or not.
const TURNS_TOLERANCE_PERCENT: f64 = 3.0;

/// What an echo of 64 bytes may take at most: a promise to users, whichever compiler they have.
const ECHO_LIMIT: f64 = 350.0;

const COUNTS_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// The first argument of a child that runs one case: `case NAME OPS`.
const CHILD: &str = "case";

fn full_slots() -> (Slots<u64>, Vec<Handle>) {
    let mut slots = Slots::new();
    let handles = (0..ENTRIES as u64).map(|value| slots.insert(value)).collect();
    (slots, handles)
}

/// Into places that were used before, as in a reactor that has been up for a while.
fn slots_insert(ops: usize) {
    let (mut slots, handles) = full_slots();
    for handle in handles {
        slots.remove(handle);
    }
    for value in 0..ops as u64 {
        black_box(slots.insert(value));
    }
}

fn slots_get(ops: usize) {
    let (slots, handles) = full_slots();
    for handle in &handles[..ops] {
        black_box(slots.get(*handle));
    }
}

fn slots_get_stale(ops: usize) {
    let (mut slots, handles) = full_slots();
    for handle in &handles {
        slots.remove(*handle);
        slots.insert(0);
    }
    for handle in &handles[..ops] {
        black_box(slots.get(*handle));
    }
}

fn slots_remove(ops: usize) {
    let (mut slots, handles) = full_slots();
    for handle in &handles[..ops] {
        black_box(slots.remove(*handle));
    }
}

fn per_conn_get(ops: usize) {
    let conns = handles::conns_without_sockets(ENTRIES);
    let mut states = PerConn::new();
    for (conn, state) in conns.iter().zip(0_u64..) {
        states.insert(*conn, state);
    }
    for conn in &conns[..ops] {
        black_box(states.get(*conn));
    }
}

/// Deadlines of the entries: spread over a minute, in no order.
fn deadline(entry: usize) -> Instant {
    Instant::from_millis((entry * 7_919 % 60_000) as u64)
}

fn full_wheel() -> DeadlineWheel {
    let mut wheel = DeadlineWheel::new();
    for entry in 0..ENTRIES {
        wheel.schedule(entry as u32, deadline(entry));
    }
    wheel
}

/// Of entries that were scheduled before.
fn wheel_schedule(ops: usize) {
    let mut wheel = full_wheel();
    for entry in 0..ENTRIES {
        wheel.cancel(entry as u32);
    }
    for entry in 0..ops {
        wheel.schedule(entry as u32, black_box(deadline(entry)));
    }
    black_box(&wheel);
}

fn wheel_extend(ops: usize) {
    let mut wheel = full_wheel();
    for entry in 0..ops {
        wheel.extend(entry as u32, black_box(Instant::from_millis(90_000)));
    }
    black_box(&wheel);
}

fn wheel_cancel(ops: usize) {
    let mut wheel = full_wheel();
    for entry in 0..ops {
        black_box(wheel.cancel(entry as u32));
    }
}

fn wheel_expire(ops: usize) {
    let mut wheel = full_wheel();
    let done = wheel.advance(Instant::from_millis(90_000), ops, |index| {
        black_box(index);
        None
    });
    assert_eq!(done.expired, ops);
}

fn full_timers() -> (TimerHeap<u64>, Vec<Handle>) {
    let mut timers = TimerHeap::new();
    let handles = (0..ENTRIES).map(|entry| timers.insert(deadline(entry), entry as u64)).collect();
    (timers, handles)
}

/// Into a heap that already holds as many as the other cases.
fn timers_insert(ops: usize) {
    let (mut timers, _) = full_timers();
    for entry in 0..ENTRIES {
        timers.insert(deadline(entry), 0);
    }
    while timers.len() > ENTRIES {
        black_box(timers.pop_due(Instant::FAR_FUTURE));
    }
    for entry in 0..ops {
        black_box(timers.insert(deadline(entry), 0));
    }
}

fn timers_cancel(ops: usize) {
    let (mut timers, handles) = full_timers();
    for handle in &handles[..ops] {
        black_box(timers.cancel(*handle));
    }
}

fn timers_pop_due(ops: usize) {
    let (mut timers, _) = full_timers();
    for _ in 0..ops {
        black_box(timers.pop_due(Instant::from_millis(90_000)));
    }
}

/// Latencies between a microsecond and ten milliseconds.
fn histogram_record(ops: usize) {
    let (recorder, reader) = histogram();
    for entry in 0..ops as u64 {
        recorder.record(black_box(1_000 + entry * 7_919 % 10_000_000));
    }
    black_box(&reader);
}

/// The smallest class, warm.
fn pool_take_put(ops: usize) {
    let mut pool = Pool::new();
    for _ in 0..ops {
        let chunk = pool.take(black_box(SMALL_CHUNK_BYTES));
        pool.put(black_box(chunk));
    }
}

/// What the kernel refused of one small answer, and took later.
fn queue_append_consume_64(ops: usize) {
    let (mut pool, mut queue) = (Pool::new(), OutQueue::new());
    for _ in 0..ops {
        queue.append(&mut pool, black_box(&[b'x'; 64]));
        queue.consume(&mut pool, black_box(64));
    }
}

/// One buffer that many connections send.
fn queue_shared_4k_consume(ops: usize) {
    let (mut pool, mut queue) = (Pool::new(), OutQueue::new());
    let shared = Bytes::from(vec![b'x'; 4096]);
    for _ in 0..ops {
        queue.append_shared(&mut pool, black_box(shared.clone()));
        queue.consume(&mut pool, black_box(4096));
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, name, ops] = &args[..]
        && mode == CHILD
    {
        return run_case(name, ops);
    }
    if !args.iter().any(|arg| arg == "--bench") {
        println!("instructions are counted in optimised code: cargo bench --bench instructions");
        return ExitCode::SUCCESS;
    }
    if !has_valgrind() {
        println!("no instruction was counted: valgrind is not installed (Debian: apt-get install valgrind)");
        return if std::env::var_os("CI").is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let update = args.iter().any(|arg| arg == "--update");
    let outcome = measure_all().and_then(|counts| if update { write(&counts) } else { compare(&counts) });
    outcome.unwrap_or_else(|problem| {
        println!("{problem}");
        ExitCode::FAILURE
    })
}

fn run_case(name: &str, ops: &str) -> ExitCode {
    let case = CASES.iter().find(|case| case.name == name);
    match (case, ops.parse()) {
        (Some(case), Ok(ops)) => {
            (case.run)(ops);
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

fn has_valgrind() -> bool {
    let probe =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

/// Instructions per operation by case.
type Counts = BTreeMap<String, f64>;

fn measure_all() -> Result<Counts, String> {
    let measure = |case: &Case| {
        let (fewer, more) = (instructions(case, OPS.0)?, instructions(case, OPS.1)?);
        // Both fit a double exactly: a run takes millions of instructions.
        Ok((String::from(case.name), (more as f64 - fewer as f64) / (OPS.1 - OPS.0) as f64))
    };
    CASES.iter().map(measure).collect()
}

/// Instructions of a whole process that runs `case` with `ops` operations, or of what it counts there.
fn instructions(case: &Case, ops: usize) -> Result<u64, String> {
    let exe = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    if let Some(inside) = case.inside {
        command.args(["--collect-atstart=no", &format!("--toggle-collect=*{inside}*")]);
    }
    command.arg(exe).args([CHILD, case.name, &ops.to_string()]);
    let output = command.output().map_err(|error| format!("cannot run valgrind: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("{} did not run to its end under callgrind:\n{report}", case.name)),
    }
}

/// What the counts hold for: the compiler in its own words, and the architecture.
fn compiler() -> Result<String, String> {
    let output = Command::new("rustc").arg("-V").current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.map_err(|error| format!("cannot ask rustc for its version: {error}"))?;
    Ok(format!("{}, {}", String::from_utf8_lossy(&output.stdout).trim(), std::env::consts::ARCH))
}

fn write(counts: &Counts) -> Result<ExitCode, String> {
    let mut text = format!("# {}\n", compiler()?);
    for (name, count) in counts {
        writeln!(text, "{name} {count:.2}").expect("a string takes everything");
    }
    std::fs::write(COUNTS_PATH, &text).map_err(|error| format!("cannot write {COUNTS_PATH}: {error}"))?;
    println!("{text}wrote {COUNTS_PATH}: commit it by itself and say why the counts moved");
    Ok(ExitCode::SUCCESS)
}

/// The compiler and the counts of the committed file.
fn committed() -> Result<(String, Counts), String> {
    let text = std::fs::read_to_string(COUNTS_PATH)
        .map_err(|error| format!("cannot read {COUNTS_PATH}: {error}"))?;
    let mut lines = text.lines();
    let compiler = lines.next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
    let count =
        |line: &str| Some((line.split_once(' ')?.0.to_owned(), line.split_once(' ')?.1.parse().ok()?));
    let counts = lines.map(|line| count(line).ok_or_else(|| format!("{COUNTS_PATH}: what is `{line}`?")));
    Ok((compiler.to_owned(), counts.collect::<Result<_, _>>()?))
}

fn compare(counts: &Counts) -> Result<ExitCode, String> {
    let (compiler_then, counts_then) = committed()?;
    let compiler_now = compiler()?;
    println!("instructions per operation, {compiler_now}");
    // What fails on the committed counts' compiler only, and what fails on any.
    let (mut moved, mut broken) = (Vec::new(), Vec::new());
    for case in CASES {
        let (name, now) = (case.name, counts[case.name]);
        if let Some(limit) = case.limit.filter(|limit| now > *limit) {
            broken.push(format!("{name}: {now:.2} now, and {limit} is the limit on any compiler"));
        }
        let Some(then) = counts_then.get(name) else {
            println!("{name:24} {now:10.2}   no committed count");
            moved.push(format!("{name}: {now:.2} now, no committed count"));
            continue;
        };
        let change = (now / then - 1.0) * 100.0;
        println!("{name:24} {now:10.2}   {then:10.2} committed   {change:+.2} %");
        if change > case.tolerance_percent {
            moved.push(format!("{name}: {then:.2} committed, {now:.2} now, {change:+.2} %"));
        }
    }
    let gone = counts_then.keys().filter(|name| !counts.contains_key(*name));
    moved.extend(gone.map(|name| format!("{name}: committed, but no such case")));
    if compiler_then != compiler_now && !moved.is_empty() {
        println!("only reported, because the committed counts are of another compiler: {compiler_then}");
        moved.iter().for_each(|problem| println!("{problem}"));
        moved.clear();
    }
    if moved.is_empty() && broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let problems = [broken, moved].concat().join("\n");
    let remedy = "make it cheap again, or run with `-- --update` and commit the new counts with the reason";
    Err(format!("FAILED\n{problems}\n{remedy}"))
}
