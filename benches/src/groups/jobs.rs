//! `jobs`: the safe front, beside the same loop in unsafe code with the typed operations.
//!
//! Here the floor is that loop, and not one on the raw rings: a table of tasks, which the user data
//! index; push, submit and wait, pop. The entries are the same, and so are the system calls.

use std::fs::File;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use ringbolt::IoUring;
use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::{Op, Read, ReadMultishot};
use ringbolt::register::BufferRingOptions;
use ringbolt::sys::CqeFlags;

use crate::contest::{Case, Contest, Who};
use crate::groups::Digest;

/// Slots of a ring.
const ENTRIES: u32 = 256;

/// Provided buffers.
const BUFFERS: u16 = 64;

/// How many bytes a read asks for.
const LEN: usize = 64;

/// The same, as entries have it.
const LEN_FIELD: u32 = 64;

/// Reads in flight at once.
pub const BATCHES: [u32; 2] = [1, 32];

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A file in the page cache.
    File,
    /// A pipe that has what is asked for.
    Pipe,
    /// A connection that has what is asked for.
    Tcp,
}

/// How a value gets from one operation to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It stays in its place, which is started again.
    Restart,
    /// It is taken, and goes into another place.
    Move,
    /// It stays, and the operation goes on: with provided buffers, which are given back.
    More,
}

/// A row of cases.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// The variant of the case.
    pub name: &'static str,
    from: From,
    way: Way,
}

/// All of them.
pub const SERIES: [Series; 5] = [
    Series { name: "restart", from: From::File, way: Way::Restart },
    Series { name: "value", from: From::File, way: Way::Move },
    Series { name: "more", from: From::Pipe, way: Way::More },
    Series { name: "restart-pipe", from: From::Pipe, way: Way::Restart },
    Series { name: "restart-tcp", from: From::Tcp, way: Way::Restart },
];

impl Series {
    /// Whether instructions are counted: of one source, since they all cost the same.
    pub fn is_counted(self) -> bool {
        self.from == From::File || self.way == Way::More
    }
}

/// Holds the group.
pub fn run(contest: &mut Contest) {
    for series in SERIES {
        for batch in BATCHES {
            if let Some(mut case) = contest.case("jobs", series.name, batch, batch) {
                enter(&mut case, series, batch);
                contest.hold(case);
            }
        }
    }
}

/// Enters the contenders that keep `batch` reads in flight.
pub fn enter(case: &mut Case<'_>, series: Series, batch: u32) {
    match series.way {
        Way::Restart => enter_restarts(case, series.from, batch),
        Way::Move => enter_moves(case, series.from, batch),
        Way::More => {
            enter_more(case, series.from, batch);
            return enter_unsafe_more(case, series.from, batch);
        }
    }
    enter_unsafe(case, series.from, batch);
}

/// A read that is done again and again.
struct Task {
    from: OwnedFd,
    into: Box<[u8; LEN]>,
    number: u32,
}

impl Task {
    fn new(from: &OwnedFd, number: u32) -> Self {
        Self { from: from.try_clone().expect("a descriptor"), into: Box::new([0; LEN]), number }
    }

    #[inline(always)]
    fn read(&mut self) -> Op<'_> {
        Read::lent(&self.from, &mut *self.into).offset(0).op()
    }

    /// Takes in what the read came to.
    #[inline(always)]
    fn seen(&self, digest: &mut Digest, result: Result<u32, rustix::io::Errno>) {
        digest.add(u64::from(self.number), if result == Ok(64) { 0 } else { -1 });
    }
}

/// Where the data come from.
struct Source {
    end: OwnedFd,
    writer: Option<File>,
    turn: Vec<u8>,
}

impl Source {
    fn new(from: From, batch: u32) -> Self {
        // Each part begins with its number.
        let parts = u8::try_from(batch).expect("few reads at once");
        let turn = (0..parts).flat_map(|number| [number; LEN]).collect();
        match from {
            From::File => {
                let path = std::env::temp_dir().join(format!("ringbolt-{}", std::process::id()));
                std::fs::write(&path, [7; LEN]).expect("a file");
                let file = File::open(&path).expect("the file");
                std::fs::remove_file(&path).expect("the file");
                Self { end: file.into(), writer: None, turn }
            }
            From::Pipe => {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                Self { end: reader.into(), writer: Some(OwnedFd::from(writer).into()), turn }
            }
            From::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                let address = listener.local_addr().expect("its number");
                let writer = TcpStream::connect(address).expect("a connection");
                writer.set_nodelay(true).expect("the option");
                let (reader, _) = listener.accept().expect("its other end");
                Self { end: reader.into(), writer: Some(OwnedFd::from(writer).into()), turn }
            }
        }
    }

    /// Provides what one turn reads.
    #[inline(always)]
    fn fill(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.write_all(&self.turn).expect("room for it");
        }
    }
}

fn jobs(source: &Source, batch: u32) -> OwnedJobs<Task> {
    let mut jobs = SafeRing::new(ENTRIES).expect("a ring").into_jobs(batch);
    for number in 0..batch {
        let started = jobs.start(Task::new(&source.end, number), Task::read);
        assert!(started.is_ok(), "there is a place for each");
    }
    jobs
}

fn enter_restarts(case: &mut Case<'_>, from: From, batch: u32) {
    let mut source = Source::new(from, batch);
    let mut jobs = jobs(&source, batch);
    case.enter(Who::Ringbolt, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            source.fill();
            jobs.submit_and_wait(batch).expect("completions");
            while let Some(event) = jobs.next() {
                event.seen(&mut digest, event.result());
                assert!(event.expect_done().restart(Task::read).is_ok(), "room");
            }
        }
        digest.check(turns, batch);
    });
}

fn enter_moves(case: &mut Case<'_>, from: From, batch: u32) {
    let mut source = Source::new(from, batch);
    let mut jobs = jobs(&source, batch);
    case.enter(Who::Ringbolt, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            source.fill();
            jobs.submit_and_wait(batch).expect("completions");
            while let Some(event) = jobs.next() {
                let result = event.result();
                let task = event.expect_done().finish();
                task.seen(&mut digest, result);
                assert!(jobs.start(task, Task::read).is_ok(), "room, and a place");
            }
        }
        digest.check(turns, batch);
    });
}

fn enter_more(case: &mut Case<'_>, from: From, batch: u32) {
    let mut source = Source::new(from, batch);
    let mut jobs: OwnedJobs<Task> = SafeRing::new(ENTRIES).expect("a ring").into_jobs(1);
    let group = jobs.provide(BUFFERS, LEN_FIELD).expect("buffers");
    let task = Task::new(&source.end, 0);
    let started = jobs.start_multi(task, |task| ReadMultishot::lent(&task.from, group).multi());
    assert!(started.is_ok(), "there is a place");
    case.enter(Who::Ringbolt, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            source.fill();
            jobs.submit_and_wait(batch).expect("completions");
            while let Some(mut event) = jobs.next() {
                match event.received().as_deref() {
                    Some([first, ..]) if event.has_more() => digest.add(u64::from(*first), 0),
                    _ => digest.add(0, -1),
                }
            }
        }
        digest.check(turns, batch);
    });
}

fn enter_unsafe_more(case: &mut Case<'_>, from: From, batch: u32) {
    let mut source = Source::new(from, batch);
    let first = Task::new(&source.end, 0);
    let mut ring = IoUring::local(ENTRIES).expect("a ring");
    let options = BufferRingOptions::default();
    let mut buffers =
        ring.registrar().register_buffer_ring(0, BUFFERS, options).expect("a buffer ring");
    let memory = Box::leak(vec![0_u8; LEN * usize::from(BUFFERS)].into_boxed_slice()).as_mut_ptr();
    let start = move |id: u16| memory.wrapping_add(LEN * usize::from(id));
    for id in 0..BUFFERS {
        // SAFETY: the memory is leaked, and nobody else refers to it.
        unsafe { buffers.add(start(id), LEN_FIELD, id) }.expect("room");
    }
    buffers.publish();
    let read = ReadMultishot::new(&first.from, 0).sqe(0);
    let tasks: Box<[Task]> = [first].into();
    // SAFETY: the task is moved without its descriptor being closed, and lives as long as the ring.
    unsafe { ring.submission().push(read) }.expect("room");
    case.enter(Who::Floor, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            source.fill();
            ring.submit_and_wait(batch).expect("completions");
            let mut completion = ring.completion();
            while let Some(cqe) = completion.pop() {
                let task = usize::try_from(cqe.user_data()).ok().and_then(|n| tasks.get(n));
                let id = buffers.reclaim(&cqe);
                let (Some(task), Some(id), Ok(1..)) = (task, id, cqe.result()) else {
                    digest.add(0, -1);
                    continue;
                };
                let more = cqe.flags().contains(CqeFlags::MORE);
                // SAFETY: the kernel has filled the buffer, and the program has it.
                let first = unsafe { *start(id) };
                digest.add(u64::from(first) + u64::from(task.number), if more { 0 } else { -1 });
                // SAFETY: nobody refers to the buffer any more.
                unsafe { buffers.add(start(id), LEN_FIELD, id) }.expect("room");
                buffers.publish();
            }
        }
        digest.check(turns, batch);
    });
}

fn enter_unsafe(case: &mut Case<'_>, from: From, batch: u32) {
    let mut source = Source::new(from, batch);
    let mut tasks: Box<[Task]> = (0..batch).map(|n| Task::new(&source.end, n)).collect();
    let mut ring = IoUring::local(ENTRIES).expect("a ring");
    for (n, task) in (0..batch).zip(&mut tasks) {
        // SAFETY: as below.
        unsafe { ring.submission().push(read(task, n)) }.expect("room");
    }
    case.enter(Who::Floor, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            source.fill();
            ring.submit_and_wait(batch).expect("completions");
            let (mut submission, mut completion) = ring.split();
            while let Some(cqe) = completion.pop() {
                let user_data = cqe.user_data();
                let Some(task) = usize::try_from(user_data).ok().and_then(|n| tasks.get_mut(n))
                else {
                    continue;
                };
                task.seen(&mut digest, cqe.result());
                let n = task.number;
                // SAFETY: the file and the buffer are the task's, which is read from again when
                // the read has completed; the ring is dropped first, with nothing submitted.
                unsafe { submission.push(read(task, n)) }.expect("room");
            }
        }
        digest.check(turns, batch);
    });
}

#[inline(always)]
fn read(task: &mut Task, n: u32) -> ringbolt::Sqe {
    Read::new(&task.from, task.into.as_mut_ptr(), LEN_FIELD).offset(0).sqe(u64::from(n))
}
