//! Everything at once: rings of each kind on threads of their own, while signals interrupt them.
//! Each byte is compared, each completion is accounted for, and nothing grows.
//!
//! It takes a second, or as many as `RINGBOLT_SOAK` says: `ci/soak.sh` runs it for minutes.
#![cfg(feature = "std")]
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod raw;
mod safe;

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::fs::{read_dir, read_to_string};
use std::thread;
use std::time::Instant;

use common::{process, require, signal};
use ringbolt::sys::RegisterOp;

/// When to end, and pseudo-random numbers.
pub(crate) struct Load {
    until: Instant,
    state: u64,
}

impl Load {
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.state = mix(self.state);
        u32::try_from(self.state % u64::from(end)).expect("less than a number of 32 bits")
    }
}

/// Mixes the bits of a number: what stands at a place of a file or stream is made of its position.
pub(crate) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = number.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^ (number >> 27)
}

/// The byte at a position of a stream.
pub(crate) fn byte_at(position: u64) -> u8 {
    mix(position).to_ne_bytes()[0]
}

/// A part of the load: returns how many operations have completed.
type Part = fn(Load) -> u64;

const PARTS: [(&str, Part); 11] = [
    ("nops", raw::nops),
    ("nops of a polling thread", raw::polled),
    ("overflow", raw::overflow),
    ("resizes", raw::resizes),
    ("timeouts and cancels", raw::timeouts),
    ("messages", raw::messages),
    ("set-ups", raw::set_ups),
    ("files", safe::files),
    ("pipes", safe::pipes),
    ("connections", safe::connections),
    ("datagrams", safe::datagrams),
];

/// What the process has: descriptors, mappings, and KiB of memory.
fn belongings() -> [usize; 3] {
    let descriptors = read_dir("/proc/self/fd").expect("descriptors").count();
    let mappings = read_to_string("/proc/self/maps").expect("mappings").lines().count();
    let status = read_to_string("/proc/self/status").expect("the kernel tells");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    [descriptors, mappings, kib.expect("a number")]
}

/// Sends the signal to all threads of this process but this one, until `over`.
fn pester(number: libc::c_int, over: &AtomicBool) {
    // SAFETY: the call has no precondition.
    let (process, own) = (unsafe { libc::getpid() }, this_thread());
    while !over.load(Ordering::Relaxed) {
        for thread in read_dir("/proc/self/task").expect("threads").flatten() {
            let id: libc::pid_t = thread.file_name().to_string_lossy().parse().expect("a number");
            if id != own && id != process {
                // SAFETY: numbers only; the signal has a handler. The thread may be gone.
                unsafe { libc::syscall(libc::SYS_tgkill, process, id, number) };
            }
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// The number of this thread.
fn this_thread() -> libc::pid_t {
    // SAFETY: the call has no precondition.
    unsafe { libc::gettid() }
}

/// Runs all parts until the time is over, and returns the operations of each.
fn round(seconds: f64, seed: u64) -> Vec<u64> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let over = AtomicBool::new(false);
    let (_, number) = signal::signal();
    thread::scope(|scope| {
        scope.spawn(|| pester(number, &over));
        let start = |(part, state): (Part, u64)| scope.spawn(move || part(Load { until, state }));
        let parts = PARTS.iter().map(|(_, part)| *part).zip(mix(seed)..);
        let running: Vec<_> = parts.map(start).collect();
        let counts = running.into_iter().map(|thread| thread.join());
        let counts: Vec<_> = counts.collect();
        over.store(true, Ordering::Relaxed);
        counts.into_iter().map(|count| count.expect("no part fails")).collect()
    })
}

#[test]
fn everything_at_once() {
    // The last that came of what the parts use.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    process::raise_limit_of_descriptors();
    let wish = std::env::var("RINGBOLT_SOAK").ok();
    let seconds = wish.map_or(1.0, |wish| wish.parse::<f64>().expect("seconds"));
    let seed = u64::from(std::process::id());
    println!("from seed {seed}");
    // What is made once is made in the first round; the rounds after it leave nothing.
    let rounds: u8 = if seconds < 10.0 { 2 } else { 10 };
    let mut totals = vec![0; PARTS.len()];
    let mut before = None;
    for nth in 0..u64::from(rounds) {
        let counts = round(seconds / f64::from(rounds), seed + 100 * nth);
        totals.iter_mut().zip(&counts).for_each(|(total, count)| *total += count);
        let now = belongings();
        println!("round {nth}: {counts:?}, descriptors, mappings and KiB {now:?}");
        let first = *before.get_or_insert(now);
        assert_eq!(now[0], first[0], "descriptors");
        assert!(now[1] <= first[1] + 32, "{now:?} mappings after {first:?}");
        assert!(now[2] <= first[2] + 4096, "{now:?} KiB after {first:?}");
    }
    for ((name, _), total) in PARTS.iter().zip(&totals) {
        println!("{total:>14} {name}");
        // In a second, a slow machine does not come to everything.
        assert!(*total > 0 || seconds < 10.0, "{name}");
    }
    println!("{:>14} operations in all", totals.iter().sum::<u64>());
}
