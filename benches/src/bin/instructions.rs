//! Counts the user-space instructions of the hot paths by callgrind, prints them beside those
//! of the floor, and fails where ringbolt takes more than it may.
//!
//! The program runs itself under valgrind, which counts, and writes a file at each call of
//! [`boundary`]. Each path is followed for a number of turns and for twice as many: the
//! difference is what so many turns cost, without what is done once. Unlike time, these figures
//! are the same in each run.

use core::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use ringbolt_benches::contest::{Case, Who};
use ringbolt_benches::groups::queue::parts::{PARTS, Part};
use ringbolt_benches::groups::queue::{self, loops::Batch};
use ringbolt_benches::groups::{jobs, nop, timed};

/// How many times the instructions of the floor ringbolt is to take at the most.
const TARGET: f64 = 1.10;

/// Where it takes more: how many times it may, and what for. The floor knows that there is room,
/// that completions are there and how many entries it has filled in.
const DEARER: [(&str, f64, &str); 18] = [
    ("queue/push-all/256", 1.68, "the list is put together before it is pushed"),
    ("queue/pop/256", 1.52, "the head is stored with each entry, here and for the kernel"),
    (
        "queue/decide/256",
        1.42,
        "the process that made the ring; the tail from an address; what kind",
    ),
    ("queue/decide-sqpoll/256", 1.76, "as above, what is new, and whether to wake for it"),
    ("queue/add-buffer/256", 1.82, "buffers are counted, and reported when they come back"),
    ("queue/read/256", 1.11, "the process that made the ring, twice"),
    ("nop/local/1", 1.36, "8 a batch for the process; 13: room, tail, SQ head, kind, bounds"),
    ("nop/local/8", 1.14, "as above"),
    // Here the floor is the loop in unsafe code with typed operations.
    ("jobs/restart/1", 1.34, "what the places cost: as jobs/restart/32"),
    (
        "jobs/restart/32",
        1.73,
        "8: the process, twice; 4: the queue; 5: the place; 3: idle; 4: shown; 3: cut, cancelled",
    ),
    ("jobs/value/1", 1.59, "as jobs/value/32"),
    ("jobs/value/32", 2.40, "as above; 10: the list of free places; 6: the value moves; 5: place"),
    ("jobs/more/1", 1.37, "as jobs/more/32"),
    ("jobs/more/32", 1.81, "as above; the buffer's owner is made, counted, asked for, and dropped"),
    ("timed/timeout/1", 1.45, "as nop/local/1; 8: the feature, the limit laid out at each wait"),
    ("timed/timeout/8", 1.18, "as above"),
    ("timed/with/1", 1.47, "as above; 2: whether there is nothing to enter for"),
    ("timed/with/8", 1.19, "as above"),
];

/// Said to the program when it is to be counted.
const COUNTED: &str = "--counted";

fn main() -> ExitCode {
    if env::args().any(|arg| arg == COUNTED) {
        each_path(be_counted);
        return ExitCode::SUCCESS;
    }
    let counts = match count() {
        Ok(counts) => counts,
        Err(error) => {
            eprintln!("instructions cannot be counted: {error}");
            return ExitCode::FAILURE;
        }
    };
    if report(&counts) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Calls `visit` with each path: always the same ones, in the same order.
fn each_path(mut visit: impl FnMut(Case<'_>)) {
    for part in PARTS {
        let mut case = Case::new("queue", part.name, Part::OPERATIONS, Part::OPERATIONS);
        part.enter(&mut case);
        visit(case);
    }
    let mut case = Case::new("queue", "read", 256_u32, 256_u32);
    queue::enter_read(&mut case, Batch { size: 256, entries: 256 });
    visit(case);
    for batch in nop::BATCHES {
        let mut case = Case::new("nop", nop::LOCAL.name, batch, batch);
        nop::enter(&mut case, nop::LOCAL, batch);
        visit(case);
    }
    for series in jobs::SERIES.into_iter().filter(|series| series.is_counted()) {
        for batch in jobs::BATCHES {
            let mut case = Case::new("jobs", series.name, batch, batch);
            jobs::enter(&mut case, series, batch);
            visit(case);
        }
    }
    for call in timed::Call::ALL {
        for batch in [1_u32, 8] {
            let mut case = Case::new("timed", call.name(), batch, batch);
            timed::enter(&mut case, call, batch);
            visit(case);
        }
    }
}

/// Turns that are counted: some thousand operations.
fn turns(case: &Case<'_>) -> u64 {
    (8192 / case.operations()).max(1)
}

fn be_counted(mut case: Case<'_>) {
    let turns = turns(&case);
    for contender in case.contenders() {
        // What is done at the first turn only is done now.
        contender.work(1);
        boundary();
        contender.work(black_box(turns));
        boundary();
        contender.work(black_box(2 * turns));
        boundary();
    }
}

/// Where valgrind writes down what it has counted since the last time. It knows this by name.
#[inline(never)]
fn boundary() {
    black_box(());
}

/// A path, with the instructions for an operation that each contender takes.
struct Counts {
    path: String,
    by: Vec<(Who, f64)>,
}

impl Counts {
    fn of(&self, who: Who) -> Option<f64> {
        self.by.iter().find(|(one, _)| *one == who).map(|(_, count)| *count)
    }

    /// What ringbolt may take.
    fn limit(&self) -> Option<f64> {
        Some(self.of(Who::Floor)? * self.dearer().map_or(TARGET, |(ratio, _)| ratio))
    }

    /// How many times the floor's instructions it may take if more than it is to, and what for.
    fn dearer(&self) -> Option<(f64, &'static str)> {
        let found = DEARER.iter().find(|(path, ..)| *path == self.path);
        found.map(|(_, ratio, cause)| (*ratio, *cause))
    }

    fn is_within(&self) -> bool {
        match (self.of(Who::Ringbolt), self.limit()) {
            // To the last digit that is printed.
            (Some(count), Some(limit)) => count <= limit + 0.05,
            _ => false,
        }
    }
}

/// Runs this program under valgrind.
fn count() -> io::Result<Vec<Counts>> {
    let folder = env::temp_dir().join(format!("ringbolt-instructions-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let counts = count_in(&folder);
    fs::remove_dir_all(&folder)?;
    counts
}

fn count_in(folder: &Path) -> io::Result<Vec<Counts>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-before=*instructions::boundary*"])
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(env::current_exe()?)
        .arg(COUNTED)
        .output()
        .map_err(|error| io::Error::other(format!("valgrind: {error}")))?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let mut number = 0;
    let mut next = || {
        number += 1;
        instructions(&folder.join(format!("out.{number}")))
    };
    let mut counts = Ok(Vec::new());
    each_path(|mut case| {
        let Ok(all) = &mut counts else { return };
        let operations = (turns(&case) * case.operations()) as f64;
        let path = case.name();
        let by: io::Result<Vec<_>> = case
            .contenders()
            .iter()
            .map(|contender| {
                let (_before, once, twice) = (next()?, next()?, next()?);
                Ok((contender.who, (twice - once) as f64 / operations))
            })
            .collect();
        match by {
            Ok(by) => all.push(Counts { path, by }),
            Err(error) => counts = Err(error),
        }
    });
    counts
}

/// The instructions that a file of callgrind's tells of in all.
fn instructions(path: &Path) -> io::Result<i64> {
    let text = fs::read_to_string(path)?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| io::Error::other(format!("no summary in {}", path.display())))
}

/// Prints the table. Returns whether ringbolt keeps within all limits.
fn report(counts: &[Counts]) -> bool {
    println!("user-space instructions for an operation");
    let head = ["path", "ringbolt", "floor", "io-uring", "ratio", "limit"];
    let line = |cells: [&str; 6], end: &str| {
        let [path, numbers @ ..] = cells;
        let numbers: String = numbers.map(|number| format!(" {number:>9}")).concat();
        println!("{path:<24}{numbers}  {end}");
    };
    line(head, "");
    let shown = |count: Option<f64>| count.map_or(String::new(), |count| format!("{count:.1}"));
    for path in counts {
        let ratio = match (path.of(Who::Ringbolt), path.of(Who::Floor)) {
            (Some(ours), Some(floor)) => format!("{:.2}", ours / floor),
            _ => String::new(),
        };
        let [ours, floor, peer] =
            [Who::Ringbolt, Who::Floor, Who::IoUring].map(|who| shown(path.of(who)));
        let limit = shown(path.limit());
        let cause = path.dearer().map_or("", |(_, cause)| cause);
        let verdict = if path.is_within() { cause } else { "TOO MANY" };
        line([&path.path, &ours, &floor, &peer, &ratio, &limit], verdict);
    }
    let over = counts.iter().filter(|path| !path.is_within()).count();
    if over > 0 {
        println!("{over} of {} paths take more instructions than they may", counts.len());
    }
    over == 0 && !counts.is_empty()
}
