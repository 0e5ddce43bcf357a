//! Reads of what is in the page cache: each is a copy of some hundred bytes or a few thousand, so
//! that what counts is how the kernel is asked for it.

use io_uring::{opcode, types};
use ringbolt::ops::{Fixed, Read, ReadFixed};
use ringbolt::register::FileSlot;
use ringbolt::sys::{
    Opcode, SharedPtr, SqeFlags, io_uring_cqe, io_uring_sqe, sqe_addr, sqe_buf, sqe_off,
};
use ringbolt::{IoUring, Sqe};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::pread;

use super::blocks::{Picks, file, number_at};
use crate::contest::{Case, Contest, Who};
use crate::groups::scratch::{Pages, Seen, floor, peer, register};

/// How ringbolt reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A descriptor, and memory that the kernel looks up each time.
    Plain,
    /// A fixed slot for the file.
    FixedFile,
    /// A fixed slot for the file, and a fixed buffer.
    Fixed,
}

/// A row of cases.
struct Series {
    name: &'static str,
    way: Way,
    len: u32,
    span: u64,
    batches: &'static [u32],
}

/// Fits the second level of the caches, with the buffers.
const HOT: u64 = 256 << 10;

/// Fits none of them.
const WIDE: u64 = 256 << 20;

const SERIES: [Series; 8] = [
    Series { name: "read-512", way: Way::Plain, len: 512, span: HOT, batches: &[1, 32] },
    Series { name: "read-4k", way: Way::Plain, len: 4096, span: HOT, batches: &[1, 32] },
    Series { name: "fixed-file-512", way: Way::FixedFile, len: 512, span: HOT, batches: &[1, 32] },
    Series { name: "fixed-file-4k", way: Way::FixedFile, len: 4096, span: HOT, batches: &[1, 32] },
    Series { name: "fixed-512", way: Way::Fixed, len: 512, span: HOT, batches: &[1, 8, 32, 128] },
    Series { name: "fixed-4k", way: Way::Fixed, len: 4096, span: HOT, batches: &[1, 8, 32, 128] },
    Series { name: "wide-512", way: Way::Fixed, len: 512, span: WIDE, batches: &[1, 32] },
    Series { name: "wide-4k", way: Way::Fixed, len: 4096, span: WIDE, batches: &[1, 32] },
];

/// Holds the cases.
pub(super) fn run(contest: &mut Contest) {
    for span in [HOT, WIDE] {
        let mut made: Option<OwnedFd> = None;
        for series in SERIES.iter().filter(|series| series.span == span) {
            for &batch in series.batches {
                if contest.wants(&format!("file/{}/{batch}", series.name)) {
                    let make = || file(contest.target(), span, OFlags::empty()).expect("a file");
                    let made = made.get_or_insert_with(make);
                    hold(contest, series, batch, made.as_fd());
                }
            }
        }
    }
}

fn hold(contest: &mut Contest, series: &Series, batch: u32, file: BorrowedFd<'_>) {
    let Some(mut case) = contest.case("file", series.name, batch, batch) else { return };
    let picks = Picks::new(series.span, series.len, 0);
    let len = series.len;
    match series.way {
        Way::Plain => {
            enter_ours(&mut case, file, picks, batch, |buf, offset| {
                Read::new(file, buf, len).offset(offset).sqe(0)
            });
        }
        Way::FixedFile => {
            enter_ours(&mut case, file, picks, batch, |buf, offset| {
                Read::new(Fixed(0), buf, len).offset(offset).sqe(0)
            });
        }
        Way::Fixed => {
            enter_ours(&mut case, file, picks, batch, |buf, offset| {
                ReadFixed::new(Fixed(0), buf, len, 0).offset(offset).sqe(0)
            });
            enter_floor(&mut case, file, picks, batch);
            enter_peer(&mut case, file, picks, batch);
        }
    }
    enter_calls(&mut case, file, picks, batch);
    if batch == 32 && ["fixed-512", "fixed-4k"].contains(&series.name) {
        case.headline();
    }
    contest.hold(case);
}

/// Where the `n`th read of a batch goes.
#[inline(always)]
fn place(n: u64, len: u32) -> usize {
    // What would not fit is outside of any memory, which is found out there.
    usize::try_from(n).map_or(usize::MAX, |n| n.saturating_mul(len as usize))
}

fn enter_ours<'a>(
    case: &mut Case<'a>,
    file: BorrowedFd<'_>,
    mut picks: Picks,
    batch: u32,
    entry: impl Fn(*mut u8, u64) -> Sqe + 'a,
) {
    let len = picks.len();
    let mut ring = IoUring::local(batch.max(8)).expect("a ring");
    let pages = Pages::new(place(u64::from(batch), len));
    ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a file table");
    // SAFETY: the closure below keeps the memory and the ring, and leaves nothing in flight.
    unsafe { ring.registrar().register_buffers(&[pages.whole()]) }.expect("a fixed buffer");
    case.enter(Who::Ringbolt, move |turns| {
        let mut seen = Seen::default();
        for _ in 0..turns {
            let mut submission = ring.submission();
            for n in 0..u64::from(batch) {
                let offset = picks.next();
                seen.want(number_at(offset));
                let buf = pages.at(place(n, len), len as usize);
                // SAFETY: the file is open and `pages` is ours until all have completed, below;
                // each read has a part of it to itself.
                unsafe { submission.push(entry(buf, offset).with_user_data(n)) }.expect("room");
            }
            ring.submit_and_wait(batch).expect("completions");
            for cqe in ring.completion().drain() {
                // SAFETY: the read that wrote it has completed, and is the only one there.
                let number = unsafe { pages.number(place(cqe.user_data(), len)) };
                seen.find(cqe.raw_result(), number);
            }
        }
        seen.check(turns * u64::from(batch), len);
    });
}

fn enter_floor(case: &mut Case<'_>, file: BorrowedFd<'_>, mut picks: Picks, batch: u32) {
    let len = picks.len();
    let mut floor = floor(batch.max(8));
    let pages = Pages::new(place(u64::from(batch), len));
    // SAFETY: the closure below keeps both.
    unsafe { register(floor.as_fd(), &[file.as_raw_fd()], &pages) }.expect("tables");
    case.enter(Who::Floor, move |turns| {
        let mut seen = Seen::default();
        for _ in 0..turns {
            let fixed_read = |n: u32| {
                let off = picks.next();
                seen.want(number_at(off));
                let buf = pages.at(place(u64::from(n), len), len as usize);
                io_uring_sqe {
                    opcode: Opcode::READ_FIXED,
                    flags: SqeFlags::FIXED_FILE,
                    fd: 0,
                    off: sqe_off { off },
                    addr: sqe_addr { addr: SharedPtr::from_mut(buf) },
                    len,
                    buf: sqe_buf { buf_index: 0 },
                    user_data: u64::from(n),
                    ..io_uring_sqe::ZEROED
                }
            };
            // SAFETY: the queue is empty and has room for a batch; file and memory stay until
            // all have completed.
            unsafe { floor.fill(batch, fixed_read) };
            floor.enter(batch, batch).expect("completions");
            floor.reap(|cqe: &io_uring_cqe| {
                // SAFETY: the read that wrote it has completed, and is the only one there.
                let number = unsafe { pages.number(place(cqe.user_data, len)) };
                seen.find(cqe.res, number);
            });
        }
        seen.check(turns * u64::from(batch), len);
    });
}

fn enter_peer(case: &mut Case<'_>, file: BorrowedFd<'_>, mut picks: Picks, batch: u32) {
    let len = picks.len();
    let mut peer = peer(batch.max(8));
    let pages = Pages::new(place(u64::from(batch), len));
    // SAFETY: the closure below keeps both.
    unsafe { register(peer.as_raw_fd(), &[file.as_raw_fd()], &pages) }.expect("tables");
    case.enter(Who::IoUring, move |turns| {
        let (mut submitter, mut submission, mut completion) = peer.split();
        submitter.register_ring_fd().expect("an index");
        let mut seen = Seen::default();
        for _ in 0..turns {
            for n in 0..u64::from(batch) {
                let offset = picks.next();
                seen.want(number_at(offset));
                let buf = pages.at(place(n, len), len as usize);
                let read = opcode::ReadFixed::new(types::Fixed(0), buf, len, 0).offset(offset);
                // SAFETY: as for ringbolt.
                unsafe { submission.push(&read.build().user_data(n)) }.expect("room");
            }
            submission.sync();
            submitter.submit_and_wait(batch as usize).expect("completions");
            completion.sync();
            for cqe in &mut completion {
                // SAFETY: the read that wrote it has completed, and is the only one there.
                let number = unsafe { pages.number(place(cqe.user_data(), len)) };
                seen.find(cqe.result(), number);
            }
            completion.sync();
            submission.sync();
        }
        seen.check(turns * u64::from(batch), len);
        submitter.unregister_ring_fd().expect("the index");
    });
}

fn enter_calls<'a>(case: &mut Case<'a>, file: BorrowedFd<'a>, mut picks: Picks, batch: u32) {
    let len = picks.len();
    let mut pages = Pages::new(place(u64::from(batch), len));
    case.enter(Who::Calls, move |turns| {
        let mut seen = Seen::default();
        for _ in 0..turns {
            for n in 0..u64::from(batch) {
                let offset = picks.next();
                seen.want(number_at(offset));
                let buf = pages.slice(place(n, len), len as usize);
                let read = pread(file, buf, offset).expect("a read");
                // SAFETY: nothing is in flight.
                let number = unsafe { pages.number(place(n, len)) };
                seen.find(i32::try_from(read).unwrap_or(-1), number);
            }
        }
        seen.check(turns * u64::from(batch), len);
    });
}
