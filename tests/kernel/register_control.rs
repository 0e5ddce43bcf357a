//! How a ring's requests run: credentials, worker threads, clocks, busy polling.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::time::Duration;
use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use crate::common::process::bounded;
use crate::common::{PATIENCE, TempDir, complete, reap, require};
use crate::op_common::{assert_quiet, pipe, reap_sorted, reap_told, ring, start};
use ringbolt::ops::{Nop, OpenAt, PollAdd, Splice};
use ringbolt::register::{Clock, Napi};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::fs::{CWD, Mode, OFlags};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{EnterFlags, NapiTracking, RegisterOp, SetupFlags};
use ringbolt::{EnterArg, IoUring, Sqe, Timespec, WaitArg};

/// The path of a file that only root may open.
fn secret(dir: &TempDir) -> CString {
    let path = dir.file("secret", b"s");
    rustix::fs::chmod(&path, Mode::RUSR).expect("a file of our own");
    CString::new(path.into_os_string().into_encoded_bytes()).expect("a path without NUL")
}

fn open(path: &CString) -> Sqe {
    OpenAt::new(CWD, path.as_ptr(), OFlags::RDONLY).sqe(1)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Drops root's privileges, only for this thread.
fn become_nobody() {
    // SAFETY: numbers only. The call of the C library would change every thread.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Opens the file and returns the result; the descriptor is closed.
fn try_open(ring: &mut IoUring, sqe: Sqe) -> Result<(), Errno> {
    // SAFETY: each caller in this file keeps the path.
    let fd = unsafe { complete(ring, sqe) }.result()?;
    close(fd);
    Ok(())
}

fn close(fd: u32) {
    let fd = i32::try_from(fd).expect("a descriptor");
    // SAFETY: the descriptor comes from a completion, and nothing else uses it.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

/// liburing: personality.
#[test]
fn an_entry_runs_with_the_credentials_that_it_names() {
    require!(machine: is_root(), "root's privileges");
    bounded(|| {
        let dir = TempDir::new();
        let path = secret(&dir);
        let mut ring = ring();
        let root = ring.registrar().register_personality().expect("credentials");
        become_nobody();
        let nobody = ring.registrar().register_personality().expect("credentials");
        assert_eq!(try_open(&mut ring, open(&path)), Err(Errno::ACCESS));
        let as_nobody = open(&path).with_personality(nobody);
        assert_eq!(try_open(&mut ring, as_nobody), Err(Errno::ACCESS));
        let as_root = open(&path).with_personality(root);
        assert_eq!(try_open(&mut ring, as_root), Ok(()));
        assert_eq!(try_open(&mut ring, as_root.force_async()), Ok(()), "in a worker, too");
        assert_eq!(try_open(&mut ring, open(&path)), Err(Errno::ACCESS), "only those that name it");
    });
}

/// liburing: personality.
#[test]
fn an_unregistered_personality_is_einval() {
    let mut ring = ring();
    let id = ring.registrar().register_personality().expect("credentials");
    assert_ne!(id, 0);
    let mut with = |id| {
        ring.submission().push_safe(Nop::new().sqe(1).with_personality(id)).expect("room");
        ring.submit().expect("the kernel takes the entry");
        reap(&mut ring, 1)[0].result()
    };
    assert_eq!(with(id), Ok(0));
    assert_eq!(with(id + 1), Err(Errno::INVAL));
    assert_eq!(
        ring.registrar().unregister_personality(id + 1).map_err(Errno::from),
        Err(Errno::INVAL)
    );
    assert_eq!(ring.registrar().unregister_personality(0).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(ring.registrar().unregister_personality(id), Ok(()));
    assert_eq!(ring.registrar().unregister_personality(id).map_err(Errno::from), Err(Errno::INVAL));
    ring.submission().push_safe(Nop::new().sqe(1).with_personality(id)).expect("room");
    ring.submit().expect("the kernel takes the entry");
    assert_eq!(reap(&mut ring, 1)[0].result(), Err(Errno::INVAL), "they are gone");
}

#[test]
fn an_entry_in_flight_keeps_its_credentials() {
    // Goal: unregistering does not affect entries that were submitted. Method: the entry is linked
    // after a poll, so that it runs after the credentials were unregistered.
    require!(machine: is_root(), "root's privileges");
    bounded(|| {
        let dir = TempDir::new();
        let path = secret(&dir);
        let (reader, mut writer) = pipe();
        let mut ring = ring();
        let root = ring.registrar().register_personality().expect("credentials");
        become_nobody();
        let poll = PollAdd::new(&reader, EventFlags::IN).sqe(1).link();
        let chain = [poll, open(&path).with_personality(root).with_user_data(2)];
        // SAFETY: path and pipe stay until both completions are there.
        unsafe { ring.submission().push_all(&chain) }.expect("room");
        assert_eq!(ring.submit(), Ok(2));
        assert_quiet(&mut ring);
        assert_eq!(ring.registrar().unregister_personality(root), Ok(()));
        writer.write_all(b"x").expect("room in the pipe");
        let told = reap_sorted(&mut ring, 2);
        close(told[1].1.expect("root's credentials"));
    });
}

#[test]
fn at_most_65_535_credentials_can_be_registered() {
    let ring = ring();
    let registrar = ring.registrar();
    let mut ids: Vec<_> = (0..65_535)
        .map(|number| registrar.register_personality().unwrap_or_else(|e| panic!("{number}: {e}")))
        .collect();
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(1..=65_535));
    assert_eq!(registrar.register_personality().map_err(Errno::from), Err(Errno::BUSY));
    assert_eq!(registrar.unregister_personality(7), Ok(()));
    assert_eq!(registrar.register_personality(), Ok(7));
}

/// The CPUs on which each worker of this thread may run, as the kernel prints them.
fn worker_cpus() -> Vec<String> {
    // SAFETY: the call takes no argument.
    let name = format!("iou-wrk-{}", unsafe { libc::gettid() });
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process");
    let statuses = tasks.filter_map(|task| {
        // A thread may end between the two.
        std::fs::read_to_string(task.ok()?.path().join("status")).ok()
    });
    let field = |status: &str, key: &str| {
        let mut lines = status.lines();
        lines.find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
    };
    let ours = statuses.filter(|status| field(status, "Name:").as_ref() == Some(&name));
    ours.filter_map(|status| field(&status, "Cpus_allowed_list:")).collect()
}

/// The first two CPUs on which this thread may run, and a mask for each.
fn two_cpus() -> Option<[(String, Vec<u8>); 2]> {
    let mut set = core::mem::MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: valid for writes of its size.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), set.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: all of it was zeroed, and the kernel filled in what it has.
    let set = unsafe { set.assume_init() };
    // SAFETY: the macro of C is a function here, and reads a bit in range.
    let is_set = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    let mut all = (0..1024).filter(is_set).map(|cpu| {
        let mut mask = vec![0; 128];
        mask[cpu / 8] = 1 << (cpu % 8);
        (cpu.to_string(), mask)
    });
    Some([all.next()?, all.next()?])
}

/// Waits until this thread has `want` workers. Returns their CPUs.
fn await_workers(want: usize) -> Vec<String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let cpus = worker_cpus();
        if cpus.len() >= want {
            return cpus;
        }
        assert!(Instant::now() < end, "{} of {want} workers", cpus.len());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An operation that blocks a worker until something is written to its pipe.
struct Blocked {
    input: (File, File),
    _output: (File, File),
}

impl Blocked {
    /// Starts a splice, which cannot be polled: the worker itself blocks.
    fn start(ring: &mut IoUring, id: u64) -> Self {
        let (input, output) = (pipe(), pipe());
        let splice = Splice::new(&input.0, &output.1, 8).sqe(id);
        // SAFETY: no memory is used; each caller in this file keeps the pipes until then.
        unsafe { start(ring, splice) };
        Self { input, _output: output }
    }

    fn release(&mut self) {
        self.input.1.write_all(b"x").expect("room in the pipe");
    }
}

/// liburing: wq-aff.
#[test]
fn workers_run_only_on_the_given_cpus() {
    require!(register: RegisterOp::REGISTER_IOWQ_AFF);
    require!(machine: two_cpus().is_some(), "a second CPU");
    // Each on its own thread, because workers belong to a thread and not to a ring.
    let run = |mask: Option<Vec<u8>>, reset: bool| {
        bounded(move || {
            let mut ring = ring();
            if let Some(mask) = mask {
                assert_eq!(ring.registrar().set_worker_cpus(&mask), Ok(()));
            }
            if reset {
                assert_eq!(ring.registrar().reset_worker_cpus(), Ok(()));
            }
            let mut work = [Blocked::start(&mut ring, 1), Blocked::start(&mut ring, 2)];
            let seen = await_workers(2);
            work.iter_mut().for_each(Blocked::release);
            assert_eq!(reap_sorted(&mut ring, 2), [(1, Ok(1)), (2, Ok(1))]);
            seen
        })
    };
    let everywhere = run(None, false);
    for (cpu, mask) in two_cpus().expect("asked above") {
        assert_ne!(everywhere[0], cpu);
        assert_eq!(run(Some(mask.clone()), false), [&*cpu, &*cpu]);
        assert_eq!(run(Some(mask), true), everywhere);
    }
}

#[test]
fn worker_cpus_apply_to_a_thread_and_not_to_a_ring() {
    require!(register: RegisterOp::REGISTER_IOWQ_AFF);
    require!(machine: two_cpus().is_some(), "a second CPU");
    let [_, (cpu, mask)] = two_cpus().expect("asked above");
    bounded(move || {
        let (asked, mut other) = (ring(), ring());
        assert_eq!(asked.registrar().set_worker_cpus(&mask), Ok(()));
        let mut work = Blocked::start(&mut other, 1);
        assert_eq!(await_workers(1), [cpu]);
        work.release();
        assert_eq!(reap_told(&mut other, 1), [(1, Ok(1))]);
        // A thread that has never used a ring has no workers.
        bounded(move || {
            assert_eq!(
                asked.registrar().set_worker_cpus(&mask).map_err(Errno::from),
                Err(Errno::INVAL)
            );
        });
    });
}

#[test]
fn cpus_that_do_not_exist_are_ignored() {
    require!(register: RegisterOp::REGISTER_IOWQ_AFF);
    require!(machine: two_cpus().is_some(), "a second CPU");
    let [(cpu, mut far), _] = two_cpus().expect("asked above");
    far.resize(4096, 0xff);
    // A mask with more CPUs than any machine has, and one without existing CPUs.
    for (mask, seen) in [(far, Some(cpu)), (vec![0; 8], None)] {
        bounded(move || {
            let mut ring = ring();
            assert_eq!(
                ring.registrar().set_worker_cpus(&[]).map_err(Errno::from),
                Err(Errno::INVAL)
            );
            assert_eq!(ring.registrar().set_worker_cpus(&mask), Ok(()));
            let mut work = Blocked::start(&mut ring, 1);
            let cpus = await_workers(1).remove(0);
            // A list of several CPUs contains a hyphen or a comma.
            assert_eq!(cpus.parse::<u32>().ok().map(|_| cpus), seen);
            work.release();
            assert_eq!(reap_told(&mut ring, 1), [(1, Ok(1))]);
        });
    }
}

#[test]
fn workers_that_run_already_keep_their_cpus() {
    require!(register: RegisterOp::REGISTER_IOWQ_AFF);
    require!(machine: two_cpus().is_some(), "a second CPU");
    let [(cpu, first), (_, second)] = two_cpus().expect("asked above");
    bounded(move || {
        let mut ring = ring();
        assert_eq!(ring.registrar().set_worker_cpus(&first), Ok(()));
        let mut work = Blocked::start(&mut ring, 1);
        assert_eq!(await_workers(1), [&*cpu]);
        assert_eq!(ring.registrar().set_worker_cpus(&second), Ok(()));
        assert_eq!(worker_cpus(), [&*cpu]);
        work.release();
        assert_eq!(reap_told(&mut ring, 1), [(1, Ok(1))]);
    });
}

#[test]
fn changing_worker_limits_returns_the_previous_ones() {
    require!(register: RegisterOp::REGISTER_IOWQ_MAX_WORKERS);
    bounded(|| {
        let ring = ring();
        let limit = |bounded, unbounded| ring.registrar().set_max_workers(bounded, unbounded);
        let first = limit(0, 0).expect("limits");
        assert!(first.iter().all(|limit| *limit > 0), "{first:?}");
        assert_eq!(limit(3, 0), Ok(first));
        assert_eq!(limit(0, 5), Ok([3, first[1]]));
        assert_eq!(limit(0, 0), Ok([3, 5]));
        assert_eq!(limit(1 << 31, 0), Err(Errno::INVAL));
        assert_eq!(limit(0, u32::MAX), Err(Errno::INVAL));
        assert_eq!(limit(0, 0), Ok([3, 5]));
    });
}

#[test]
fn no_more_workers_run_than_the_limit() {
    // Goal: the limit is enforced. Method: as many operations as there may be workers, and one
    // more, whose data is ready first. It can complete only after one of the others has.
    require!(register: RegisterOp::REGISTER_IOWQ_MAX_WORKERS);
    bounded(|| {
        let mut ring = ring();
        ring.registrar().set_max_workers(0, 2).expect("limits");
        let mut work: Vec<_> = (1..=2).map(|id| Blocked::start(&mut ring, id)).collect();
        await_workers(2);
        let mut one_more = Blocked::start(&mut ring, 3);
        one_more.release();
        std::thread::sleep(Duration::from_millis(50));
        assert_quiet(&mut ring);
        assert_eq!(worker_cpus().len(), 2);
        work[0].release();
        assert_eq!(reap_sorted(&mut ring, 2), [(1, Ok(1)), (3, Ok(1))]);
        work[1].release();
        assert_eq!(reap_told(&mut ring, 1), [(2, Ok(1))]);
        // The same with a larger limit shows that it was the limit which delayed the operation.
        ring.registrar().set_max_workers(0, 3).expect("limits");
        let mut work: Vec<_> = (1..=3).map(|id| Blocked::start(&mut ring, id)).collect();
        work[2].release();
        assert_eq!(reap_told(&mut ring, 1), [(3, Ok(1))]);
        work[..2].iter_mut().for_each(Blocked::release);
        assert_eq!(reap_sorted(&mut ring, 2), [(1, Ok(1)), (2, Ok(1))]);
    });
}

/// liburing: wait-timeout.
#[test]
fn timed_waits_end_with_either_clock() {
    require!(register: RegisterOp::REGISTER_CLOCK);
    require!(enter: EnterFlags::ABS_TIMER);
    let mut ring = ring();
    for clock in [Clock::Boottime, Clock::Monotonic, Clock::Boottime] {
        assert_eq!(ring.registrar().set_clock(clock), Ok(()));
        let (start, span) = (Instant::now(), Duration::from_millis(20));
        assert_eq!(ring.completion().wait_timeout(1, Timespec::from(span)), Err(Errno::TIME));
        assert!((span..PATIENCE).contains(&start.elapsed()), "{clock:?}: {:?}", start.elapsed());
        // A point in time in the past, half a minute after the clock started.
        let (start, then) = (Instant::now(), Timespec::new(30, 0));
        let wait = WaitArg { timeout: Some(&then), ..WaitArg::default() };
        let wait = ring.completion().wait_with(1, EnterFlags::ABS_TIMER, EnterArg::Wait(wait));
        assert_eq!(wait, Err(Errno::TIME));
        assert!(start.elapsed() < PATIENCE, "{clock:?}: {:?}", start.elapsed());
    }
}

/// The clock of a ring's wait of this duration, if there is one: 0 is the kernel's number for
/// `CLOCK_MONOTONIC`, 2 for `CLOCK_BOOTTIME`.
fn clock_in_use(wait: Duration) -> Option<u32> {
    let list = std::fs::read_to_string("/proc/timer_list").expect("root may read it");
    let mut clock = 0;
    let mut is_ours = false;
    for line in list.lines() {
        if let Some(number) = line.trim().strip_prefix("clock ") {
            clock = number.trim_end_matches(':').parse().expect("a number");
        } else if let Some((_, left)) = line.split_once(" nsecs [in ") {
            let left = left.split(' ').next().and_then(|left| left.parse().ok());
            let left = Duration::from_nanos(left.unwrap_or(0));
            if is_ours && (wait.saturating_sub(PATIENCE)..=wait).contains(&left) {
                // From 4 on the numbers are the same clocks again, for soft timers.
                return Some(clock % 4);
            }
        } else {
            is_ours = line.contains("io_cqring_timer_wakeup");
        }
    }
    None
}

/// liburing: wait-timeout.
#[test]
fn a_wait_uses_the_clock_that_was_set() {
    // Goal: the kernel uses the clock, and does not only store it. Method: read the kernel's list
    // of timers while a thread waits. Other timers have a different duration.
    require!(register: RegisterOp::REGISTER_CLOCK);
    let readable = std::fs::read("/proc/timer_list").is_ok();
    require!(machine: readable, "/proc/timer_list, or root to read it");
    let odd = 1000 * u64::from(std::process::id());
    for (clock, number) in [(Clock::Boottime, 2), (Clock::Monotonic, 0)] {
        let (reader, mut writer) = pipe();
        let wait = Duration::from_secs(1_000_000_000 + odd + 100 * number);
        let waiter = std::thread::spawn(move || {
            let mut ring = ring();
            ring.registrar().set_clock(clock).expect("a clock");
            // SAFETY: no memory is used, and the pipe stays until the completion is there.
            unsafe { start(&mut ring, PollAdd::new(&reader, EventFlags::IN).sqe(1)) };
            ring.completion().wait_timeout(1, Timespec::from(wait)).expect("a completion");
        });
        let end = Instant::now() + PATIENCE;
        while clock_in_use(wait).map(u64::from) != Some(number) {
            assert!(Instant::now() < end, "{clock:?}: {:?}", clock_in_use(wait));
            std::thread::sleep(Duration::from_millis(1));
        }
        writer.write_all(b"x").expect("room in the pipe");
        waiter.join().expect("no wait that failed");
    }
}

/// The tracking is reported since Linux 6.13, which cannot be probed for directly.
const AS_OLD_AS_TRACKING: RegisterOp = RegisterOp::REGISTER_SEND_MSG_RING;

const INACTIVE: Napi =
    Napi { busy_poll_usec: 0, prefer_busy_poll: false, tracking: NapiTracking::INACTIVE };

#[test]
fn changing_busy_polling_returns_the_previous_settings() {
    require!(register: AS_OLD_AS_TRACKING);
    let ring = ring();
    let registrar = ring.registrar();
    let dynamic =
        Napi { busy_poll_usec: 50, prefer_busy_poll: true, tracking: NapiTracking::DYNAMIC };
    let fixed =
        Napi { busy_poll_usec: 70, prefer_busy_poll: false, tracking: NapiTracking::STATIC };
    // Ending it does not report the tracking, which is always the first value.
    let untold = |napi| Napi { tracking: NapiTracking::DYNAMIC, ..napi };
    assert_eq!(registrar.set_napi(dynamic), Ok(INACTIVE));
    assert_eq!(registrar.set_napi(fixed), Ok(dynamic));
    assert_eq!(registrar.set_napi(fixed), Ok(fixed));
    assert_eq!(registrar.unset_napi(), Ok(untold(fixed)));
    assert_eq!(registrar.set_napi(dynamic), Ok(INACTIVE));
    assert_eq!(registrar.unset_napi(), Ok(untold(dynamic)));
    assert_eq!(registrar.unset_napi(), Ok(untold(INACTIVE)));
    let unknown = Napi { tracking: NapiTracking::from_raw(7), ..dynamic };
    assert_eq!(registrar.set_napi(unknown).map_err(Errno::from), Err(Errno::INVAL));
    for (asked, kept) in [(10_000, 10_000), (10_001, 10_000), (u32::MAX, 10_000)] {
        let long = |usec| Napi { busy_poll_usec: usec, ..dynamic };
        assert_eq!(registrar.set_napi(long(asked)), Ok(INACTIVE));
        assert_eq!(registrar.unset_napi(), Ok(long(kept)));
    }
}

#[test]
fn queues_to_poll_are_added_and_removed_by_id() {
    // A device with that id need not exist: the kernel looks for it only when it polls.
    // The numbers below that of processors, 8192 in many kernels, are no queues.
    const ID: u32 = 1 << 20;
    require!(register: AS_OLD_AS_TRACKING);
    let ring = ring();
    let registrar = ring.registrar();
    assert_eq!(
        registrar.add_napi_id(ID).map_err(Errno::from),
        Err(Errno::INVAL),
        "before there is a list"
    );
    let mut napi =
        Napi { busy_poll_usec: 1, prefer_busy_poll: false, tracking: NapiTracking::DYNAMIC };
    registrar.set_napi(napi).expect("busy polling");
    assert_eq!(
        registrar.add_napi_id(ID).map_err(Errno::from),
        Err(Errno::INVAL),
        "the kernel keeps the list"
    );
    assert_eq!(registrar.remove_napi_id(ID).map_err(Errno::from), Err(Errno::INVAL));
    napi.tracking = NapiTracking::STATIC;
    registrar.set_napi(napi).expect("busy polling");
    assert_eq!(registrar.add_napi_id(ID), Ok(()));
    assert_eq!(registrar.add_napi_id(ID).map_err(Errno::from), Err(Errno::EXIST));
    assert_eq!(registrar.add_napi_id(ID + 1), Ok(()));
    assert_eq!(registrar.add_napi_id(0).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(registrar.remove_napi_id(ID), Ok(()));
    assert_eq!(registrar.remove_napi_id(ID).map_err(Errno::from), Err(Errno::NOENT));
    assert_eq!(registrar.add_napi_id(ID), Ok(()), "and again");
    assert_eq!(registrar.remove_napi_id(0).map_err(Errno::from), Err(Errno::INVAL));
    assert!(registrar.unset_napi().is_ok());
    assert_eq!(registrar.add_napi_id(ID).map_err(Errno::from), Err(Errno::INVAL));
}

#[test]
fn busy_polling_is_refused_on_a_ring_with_iopoll() {
    require!(register: RegisterOp::REGISTER_NAPI);
    let ring = IoUring::builder().flags(SetupFlags::IOPOLL).build(8).expect("a ring");
    let napi = Napi { busy_poll_usec: 1, prefer_busy_poll: false, tracking: NapiTracking::DYNAMIC };
    assert_eq!(ring.registrar().set_napi(napi).map_err(Errno::from), Err(Errno::INVAL));
}
