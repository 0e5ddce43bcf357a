//! Threads that read with `pread(2)`, one block at a time each.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::fd::OwnedFd;
use rustix::io::pread;

use super::blocks::{Picks, number_at};
use crate::clock::{Spent, thread_cpu};
use crate::contest::Latencies;
use crate::groups::scratch::{Pages, Seen};

/// The threads, which wait from one slice to the next.
#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    file: OwnedFd,
    /// All threads, and whoever has them read: a slice begins and ends here.
    turn: Barrier,
    /// Reads of the slice that nobody has begun.
    left: AtomicU64,
    is_over: AtomicBool,
    sum: Mutex<Sum>,
}

/// What the threads did in a slice.
#[derive(Debug, Default)]
struct Sum {
    /// When the first began, and the last ended.
    times: Option<(Instant, Instant)>,
    cpu: Duration,
    latencies: Vec<Duration>,
    seen: Seen,
}

impl Readers {
    /// A thread for each of `picks`, which it reads of `file`.
    pub(super) fn new(file: &OwnedFd, picks: impl ExactSizeIterator<Item = Picks>) -> Self {
        let shared = Arc::new(Shared {
            file: file.try_clone().expect("a descriptor"),
            turn: Barrier::new(picks.len() + 1),
            left: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            sum: Mutex::default(),
        });
        let threads = picks.map(|picks| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || serve(&shared, picks))
        });
        let threads = threads.collect();
        Self { shared, threads }
    }

    /// Has them do `reads` reads of `len` bytes in all.
    ///
    /// What is told begins with the first thread's first read and ends with the last one's last;
    /// CPU time is that of the threads meanwhile. Neither has the waking of the threads in it.
    pub(super) fn read(&self, reads: u64, len: u32, latencies: &mut Latencies) -> Spent {
        self.shared.left.store(reads, Ordering::Relaxed);
        self.shared.turn.wait();
        self.shared.turn.wait();
        let mut sum = self.shared.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.seen.check(reads, len);
        sum.latencies.drain(..).for_each(|latency| latencies.record(latency));
        let wall = sum.times.map_or(Duration::ZERO, |(began, ended)| ended - began);
        let spent = Spent { wall, cpu: sum.cpu };
        (sum.times, sum.cpu, sum.seen) = Default::default();
        spent
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.turn.wait();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("a thread that reads has panicked");
            }
        }
    }
}

/// What each thread does. It does not panic: the others would wait for it.
fn serve(shared: &Shared, mut picks: Picks) {
    let len = picks.len() as usize;
    let mut pages = Pages::new(len);
    let mut latencies = Vec::new();
    loop {
        shared.turn.wait();
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        let (mut seen, began, cpu) = (Seen::default(), Instant::now(), thread_cpu());
        let one_less = |left: u64| left.checked_sub(1);
        while shared.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            let (offset, start) = (picks.next(), Instant::now());
            seen.want(number_at(offset));
            // An error is a read of no length, which `Seen::check` finds.
            let read = pread(&shared.file, pages.slice(0, len), offset).unwrap_or_default();
            latencies.push(start.elapsed());
            // SAFETY: nothing is in flight.
            let number = unsafe { pages.number(0) };
            seen.find(i32::try_from(read).unwrap_or(-1), number);
        }
        let (cpu, ended) = (thread_cpu().saturating_sub(cpu), Instant::now());
        let mut sum = shared.sum.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = sum.times.unwrap_or((began, ended));
        sum.times = Some((first.min(began), last.max(ended)));
        sum.cpu += cpu;
        sum.seen.join(seen);
        sum.latencies.append(&mut latencies);
        drop(sum);
        shared.turn.wait();
    }
}
