//! Reads of the disk, past the page cache: so many in flight from one thread, against as many
//! threads with one each. The disk sets the pace; what counts is the CPU time.
#![allow(clippy::indexing_slicing, reason = "parts of the memory are counted from 0")]

use core::time::Duration;
use std::time::Instant;

use ringbolt::ops::{Fixed, ReadFixed};
use ringbolt::register::FileSlot;
use ringbolt::{IoUring, LocalIoUring};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;

use super::blocks::{Picks, file, number_at};
use super::readers::Readers;
use crate::clock::Spent;
use crate::contest::{Case, Contest, Latencies, Who};
use crate::groups::scratch::{Pages, Seen};

/// Bytes to a read.
const LEN: u32 = 4096;

/// Reads in flight.
const DEPTHS: [u32; 3] = [1, 32, 128];

/// Holds the cases.
pub(super) fn run(contest: &mut Contest) {
    let names = DEPTHS.map(|depth| format!("file/direct/{depth}"));
    if !names.iter().any(|name| contest.wants(name)) {
        return;
    }
    let span: u64 = if contest.is_quick() { 128 << 20 } else { 1 << 30 };
    let places = [contest.target().to_owned(), std::env::temp_dir()];
    let made = places.iter().find_map(|place| match file(place, span, OFlags::DIRECT) {
        Ok(file) => Some(file),
        Err(error) => {
            contest.note(format!("no O_DIRECT file in {}: {error}", place.display()));
            None
        }
    });
    let Some(made) = made else {
        contest.note("SKIPPED: file/direct: no file system here has O_DIRECT");
        return;
    };
    for depth in DEPTHS {
        if let Some(mut case) = contest.case("file", "direct", depth, depth) {
            case.slice(Duration::from_millis(150));
            enter_ours(&mut case, made.as_fd(), span, depth);
            enter_readers(&mut case, &made, span, depth);
            if depth == 32 {
                case.headline();
            }
            contest.hold(case);
        }
    }
}

/// One thread with a ring.
struct Ours {
    ring: LocalIoUring,
    pages: Pages,
    picks: Picks,
    /// When the read of each part of the memory began.
    began: Vec<Instant>,
    /// Completions to wait for at a time. Half of the depth: the other half keeps the disk busy
    /// meanwhile, and the disk is told of so many new reads at once, and not of each.
    gather: u32,
}

impl Ours {
    fn new(file: BorrowedFd<'_>, picks: Picks, depth: u32) -> Self {
        let ring = IoUring::local(depth).expect("a ring");
        let pages = Pages::new(depth as usize * LEN as usize);
        ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a file table");
        // SAFETY: `self` keeps the memory as long as the ring, and `turns` leaves nothing in
        // flight.
        unsafe { ring.registrar().register_buffers(&[pages.whole()]) }.expect("a fixed buffer");
        let began = vec![Instant::now(); depth as usize];
        Self { ring, pages, picks, began, gather: depth.div_ceil(2) }
    }

    /// Does `reads` reads, which are at least as many as may be in flight.
    fn turns(&mut self, reads: u64, latencies: &mut Latencies) {
        let Self { ring, pages, picks, began, gather } = self;
        let (mut submission, mut completion) = ring.split();
        let mut seen = Seen::default();
        let mut entry = |part: usize, seen: &mut Seen| {
            let offset = picks.next();
            seen.want(number_at(offset));
            let buf = pages.at(part * LEN as usize, LEN as usize);
            ReadFixed::new(Fixed(0), buf, LEN, 0).offset(offset).sqe(part as u64)
        };
        began.fill(Instant::now());
        for part in 0..began.len() {
            // SAFETY: the file is open, and `pages` is ours, until all have completed, below; this
            // part of it has no other read in flight.
            unsafe { submission.push(entry(part, &mut seen)) }.expect("room");
        }
        let (mut pushed, mut done) = (began.len() as u64, 0_u64);
        while done < reads {
            let in_flight = u32::try_from(pushed - done).unwrap_or(u32::MAX);
            submission.submit_and_wait(in_flight.min(*gather)).expect("completions");
            let now = Instant::now();
            for cqe in completion.drain() {
                let part = usize::try_from(cqe.user_data()).unwrap_or(usize::MAX);
                // SAFETY: the read of this part has completed, and is the only one of it.
                let number = unsafe { pages.number(part * LEN as usize) };
                seen.find(cqe.raw_result(), number);
                latencies.record(now - began[part]);
                done += 1;
                if pushed < reads {
                    began[part] = now;
                    // SAFETY: as above; the read before has just completed.
                    unsafe { submission.push(entry(part, &mut seen)) }.expect("room");
                    pushed += 1;
                }
            }
        }
        seen.check(reads, LEN);
    }
}

fn enter_ours(case: &mut Case<'_>, file: BorrowedFd<'_>, span: u64, depth: u32) {
    let mut ours = Ours::new(file, Picks::new(span, LEN, 0), depth);
    case.enter_timed(Who::Ringbolt, move |turns, latencies| {
        Spent::by_process(|| ours.turns(turns * u64::from(depth), latencies))
    });
}

fn enter_readers(case: &mut Case<'_>, file: &OwnedFd, span: u64, depth: u32) {
    let picks = (0..depth).map(|seed| Picks::new(span, LEN, u64::from(seed)));
    let readers = Readers::new(file, picks);
    case.enter_timed(Who::Calls, move |turns, latencies| {
        readers.read(turns * u64::from(depth), LEN, latencies)
    });
}
