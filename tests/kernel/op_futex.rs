//! Waiting for threads, on futexes, and for child processes.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use crate::common::{complete, require};
use crate::op_common::{assert_quiet, cancel, reap_sorted, reap_told, ring, start};
use ringbolt::ops::{ChildInfo, FutexWait, FutexWaitv, FutexWake, WaitId};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::process::{
    Pid, PidfdFlags, Signal, WaitId as Who, WaitIdOptions, kill_process, pidfd_open,
};
use ringbolt::sys::{Futex2Flags, Opcode, SharedPtr, futex_waitv};
use ringbolt::{IoUring, Sqe};

/// 32 bits, and of this process only.
const FLAGS: Futex2Flags = Futex2Flags::SIZE_U32.union(Futex2Flags::PRIVATE);

/// A word to wait on, which outlives every test.
fn word(value: u32) -> &'static AtomicU32 {
    Box::leak(Box::new(AtomicU32::new(value)))
}

fn wait_on(word: &'static AtomicU32, expected: u64) -> FutexWait {
    FutexWait::new(word.as_ptr(), expected, FLAGS)
}

fn wake_on(word: &'static AtomicU32, count: u64) -> FutexWake {
    FutexWake::new(word.as_ptr(), count, FLAGS)
}

/// Starts an entry whose words outlive every test.
fn start_waiting(ring: &mut IoUring, entry: Sqe) {
    // SAFETY: words and arrays are leaked, or stay until taken where that is enough.
    unsafe { start(ring, entry) };
    assert_quiet(ring);
}

/// What an entry comes to.
fn result(ring: &mut IoUring, entry: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps all that the entry names until this returns.
    unsafe { complete(ring, entry) }.result()
}

/// Cancels what waits as 1. The cancellation counts what it found, here without being asked to.
fn cancel_first(ring: &mut IoUring) {
    cancel(ring, 1, 2);
    let told = reap_sorted(ring, 2);
    assert!(matches!(told[..], [(1, Err(Errno::CANCELED)), (2, Ok(0 | 1))]), "{told:?}");
}

#[test]
fn a_wait_ends_when_another_ring_wakes() {
    require!(op: Opcode::FUTEX_WAKE);
    let word = word(5);
    let (mut one, mut two) = (ring(), ring());
    start_waiting(&mut one, wait_on(word, 5).sqe(1));
    assert_eq!(result(&mut two, wake_on(word, 9).sqe(2)), Ok(1), "so many waited");
    assert_eq!(reap_told(&mut one, 1), [(1, Ok(0))]);
    assert_eq!(result(&mut two, wake_on(word, 9).sqe(2)), Ok(0), "nobody waits any more");
}

#[test]
fn a_wait_on_another_value_is_eagain() {
    require!(op: Opcode::FUTEX_WAIT);
    let word = word(5);
    let mut ring = ring();
    for expected in [4, 0, u64::from(u32::MAX)] {
        assert_eq!(result(&mut ring, wait_on(word, expected).sqe(1)), Err(Errno::AGAIN));
    }
    word.store(6, Ordering::Relaxed);
    assert_eq!(result(&mut ring, wait_on(word, 5).sqe(1)), Err(Errno::AGAIN));
}

#[test]
fn as_many_are_woken_as_is_asked_for() {
    require!(op: Opcode::FUTEX_WAKE);
    let word = word(0);
    let (mut one, mut two) = (ring(), ring());
    (1..=4).for_each(|id| start_waiting(&mut one, wait_on(word, 0).sqe(id)));
    assert_eq!(result(&mut two, wake_on(word, 1).sqe(9)), Ok(1));
    assert_eq!(reap_told(&mut one, 1), [(1, Ok(0))], "the first in line");
    assert_quiet(&mut one);
    assert_eq!(result(&mut two, wake_on(word, u64::from(u32::MAX >> 1)).sqe(9)), Ok(3));
    assert_eq!(reap_sorted(&mut one, 3), [(2, Ok(0)), (3, Ok(0)), (4, Ok(0))]);
}

#[test]
fn a_mask_wakes_only_those_with_a_bit_in_common() {
    require!(op: Opcode::FUTEX_WAKE);
    let word = word(0);
    let (mut one, mut two) = (ring(), ring());
    start_waiting(&mut one, wait_on(word, 0).mask(0b0011).sqe(1));
    start_waiting(&mut one, wait_on(word, 0).mask(1 << 31).sqe(2));
    assert_eq!(result(&mut two, wake_on(word, 9).mask(0b1100).sqe(9)), Ok(0));
    assert_quiet(&mut one);
    assert_eq!(result(&mut two, wake_on(word, 9).mask(0b0110).sqe(9)), Ok(1));
    assert_eq!(reap_told(&mut one, 1), [(1, Ok(0))]);
    assert_eq!(result(&mut two, wake_on(word, 9).sqe(9)), Ok(1), "any bit");
    assert_eq!(reap_told(&mut one, 1), [(2, Ok(0))]);
    assert_eq!(result(&mut two, wait_on(word, 0).mask(0).sqe(9)), Err(Errno::INVAL));
    assert_eq!(result(&mut two, wake_on(word, 1).mask(0).sqe(9)), Err(Errno::INVAL));
}

#[test]
fn rings_and_system_calls_wake_each_other() {
    require!(op: Opcode::FUTEX_WAKE);
    let word = word(3);
    let mut ring = ring();
    start_waiting(&mut ring, wait_on(word, 3).sqe(1));
    let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: a word that stays, and whose waiters are this test's.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), wake, 1) };
    assert_eq!(woken, 1);
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(0))]);

    let sleeper = std::thread::spawn(move || {
        let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        let forever = core::ptr::null::<libc::timespec>();
        // SAFETY: a word that stays; null is for no timeout.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), wait, 3, forever) }
    });
    let mut woken = 0;
    for _ in 0..10_000 {
        woken = result(&mut ring, wake_on(word, 1).sqe(2)).expect("a word");
        if woken == 1 {
            break;
        }
        // It is still on its way there.
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((woken, sleeper.join().ok()), (1, Some(0)));
}

#[test]
fn a_wait_can_be_cancelled() {
    require!(op: Opcode::FUTEX_WAIT);
    let word = word(0);
    let mut ring = ring();
    start_waiting(&mut ring, wait_on(word, 0).sqe(1));
    cancel_first(&mut ring);
    assert_eq!(result(&mut ring, wake_on(word, 9).sqe(3)), Ok(0), "it no longer waits");
}

#[test]
fn futexes_that_cannot_be_say_why() {
    require!(op: Opcode::FUTEX_WAKE);
    let word = word(0);
    let mut ring = ring();
    let nowhere = core::ptr::without_provenance(8);
    let odd = word.as_ptr().cast_const().wrapping_byte_add(1);
    let unknown = FLAGS | Futex2Flags::from_bits_retain(1 << 30);
    let table = [
        (FutexWait::new(nowhere, 0, FLAGS).sqe(1), Errno::FAULT),
        (FutexWait::new(odd, 0, FLAGS).sqe(1), Errno::INVAL),
        (FutexWait::new(word.as_ptr(), 0, unknown).sqe(1), Errno::INVAL),
        (FutexWait::new(word.as_ptr(), 0, Futex2Flags::SIZE_U64).sqe(1), Errno::INVAL),
        // Of a value, a futex of 32 bits has no more than those.
        (FutexWait::new(word.as_ptr(), 1 << 32, FLAGS).sqe(1), Errno::INVAL),
        (FutexWake::new(odd, 1, FLAGS).sqe(1), Errno::INVAL),
        (FutexWake::new(word.as_ptr(), 1, unknown).sqe(1), Errno::INVAL),
    ];
    for (entry, errno) in table {
        assert_eq!(result(&mut ring, entry), Err(errno), "{entry:?}");
    }
}

/// An element of a wait on several futexes.
fn element(word: &'static AtomicU32, val: u64) -> futex_waitv {
    let uaddr = SharedPtr::from_mut(word.as_ptr());
    futex_waitv { val, uaddr, flags: FLAGS, __reserved: 0 }
}

#[test]
fn a_wait_on_several_tells_which_was_woken() {
    require!(op: Opcode::FUTEX_WAITV);
    let words = [0, 1, 2].map(word);
    let (mut one, mut two) = (ring(), ring());
    for (index, told) in [(2, 2), (0, 0), (1, 1)] {
        let mut array = [element(words[0], 0), element(words[1], 1), element(words[2], 2)];
        start_waiting(&mut one, FutexWaitv::new(array.as_ptr(), 3).sqe(1));
        // It was taken: the array may go.
        array.fill(element(words[0], 99));
        assert_eq!(array[2].val, 99);
        assert_eq!(result(&mut two, wake_on(words[index], 9).sqe(2)), Ok(1));
        assert_eq!(reap_told(&mut one, 1), [(1, Ok(told))]);
    }
    assert_quiet(&mut one);
}

#[test]
fn a_wait_on_several_can_be_cancelled_and_refused() {
    require!(op: Opcode::FUTEX_WAITV);
    let words = [0, 1].map(word);
    let mut ring = ring();
    let array = [element(words[0], 0), element(words[1], 1)];
    start_waiting(&mut ring, FutexWaitv::new(array.as_ptr(), 2).sqe(1));
    cancel_first(&mut ring);

    let other = [element(words[0], 0), element(words[1], 9)];
    let many = vec![element(words[0], 0); 129];
    let nowhere = core::ptr::without_provenance(8);
    let table = [
        (FutexWaitv::new(other.as_ptr(), 2), Errno::AGAIN),
        (FutexWaitv::new(array.as_ptr(), 0), Errno::INVAL),
        (FutexWaitv::new(many.as_ptr(), 129), Errno::INVAL),
        (FutexWaitv::new(nowhere, 1), Errno::FAULT),
    ];
    for (op, errno) in table {
        assert_eq!(result(&mut ring, op.sqe(3)), Err(errno), "{op:?}");
    }
    assert_eq!(result(&mut ring, wake_on(words[0], 9).sqe(4)), Ok(0), "nobody is left behind");
}

/// A child that ends with its test at the latest.
struct Shell(Child);

impl Shell {
    /// One that does what a shell is told to.
    fn new(script: &str) -> Self {
        let mut command = Command::new("sh");
        // What it inherits would keep whoever reads this test's output waiting.
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().expect("a shell"))
    }

    /// One that lives until it is killed.
    fn sleeping() -> Self {
        Self::new("exec sleep 1000")
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Whether somebody else has waited for it.
    fn is_gone(&mut self) -> bool {
        self.0.wait().is_err()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Of one that the ring has waited for, the number may be somebody else's by now.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Place for what a child came to, which outlives every test.
fn info() -> &'static mut ChildInfo {
    Box::leak(Box::new(ChildInfo::ZEROED))
}

/// What a child came to: its process id, what kind of end it is, and its status or signal.
fn told(info: &ChildInfo) -> (i32, i32, i32) {
    (info.pid(), info.code(), info.status())
}

#[test]
fn a_child_tells_its_exit_status() {
    require!(op: Opcode::WAITID);
    let mut child = Shell::new("exit 7");
    let (info, mut ring) = (info(), ring());
    let who = || Who::Pid(child.pid());
    let peek = WaitId::new(who(), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT, info).sqe(1);
    assert_eq!(result(&mut ring, peek), Ok(0));
    assert_eq!(told(info), (child.pid().as_raw_nonzero().get(), libc::CLD_EXITED, 7));
    // SAFETY: it takes no argument and never fails.
    assert_eq!(info.uid(), unsafe { libc::getuid() });
    // It could still be waited for, once.
    *info = ChildInfo::ZEROED;
    assert_eq!(result(&mut ring, WaitId::new(who(), WaitIdOptions::EXITED, info).sqe(2)), Ok(0));
    assert_eq!(info.status(), 7);
    let again = WaitId::new(who(), WaitIdOptions::EXITED, info).sqe(3);
    assert_eq!(result(&mut ring, again), Err(Errno::CHILD));
    assert!(child.is_gone(), "it has been waited for");
}

#[test]
fn a_child_that_is_killed_ends_the_wait_for_it() {
    require!(op: Opcode::WAITID);
    let child = Shell::sleeping();
    let (info, mut ring) = (info(), ring());
    let pidfd = pidfd_open(child.pid(), PidfdFlags::empty()).expect("a child");
    let wait = WaitId::new(Who::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED, info);
    start_waiting(&mut ring, wait.sqe(1));
    kill_process(child.pid(), Signal::KILL).expect("a child");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(0))]);
    assert_eq!(told(info), (child.pid().as_raw_nonzero().get(), libc::CLD_KILLED, libc::SIGKILL));
}

#[test]
fn a_child_tells_that_it_stops_and_goes_on() {
    require!(op: Opcode::WAITID);
    let child = Shell::sleeping();
    let (info, mut ring) = (info(), ring());
    let who = || Who::Pid(child.pid());
    let steps = [
        (WaitIdOptions::STOPPED, Signal::STOP, libc::CLD_STOPPED, libc::SIGSTOP),
        (WaitIdOptions::CONTINUED, Signal::CONT, libc::CLD_CONTINUED, libc::SIGCONT),
    ];
    for (options, signal, code, status) in steps {
        start_waiting(&mut ring, WaitId::new(who(), options, info).sqe(1));
        kill_process(child.pid(), signal).expect("a child");
        assert_eq!(reap_told(&mut ring, 1), [(1, Ok(0))]);
        assert_eq!(told(info), (child.pid().as_raw_nonzero().get(), code, status));
    }
}

#[test]
fn a_wait_that_does_not_hang_tells_nothing() {
    require!(op: Opcode::WAITID);
    let child = Shell::sleeping();
    let (info, mut ring) = (info(), ring());
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let wait = WaitId::new(Who::Pid(child.pid()), options, info).sqe(1);
    assert_eq!(result(&mut ring, wait), Ok(0));
    assert_eq!(told(info), (0, 0, 0));
}

#[test]
fn a_wait_for_a_child_can_be_cancelled() {
    require!(op: Opcode::WAITID);
    let child = Shell::sleeping();
    let (info, mut ring) = (info(), ring());
    let wait = WaitId::new(Who::Pid(child.pid()), WaitIdOptions::EXITED, info).sqe(1);
    start_waiting(&mut ring, wait);
    cancel_first(&mut ring);
    assert_eq!(told(info), (0, 0, 0));
}

#[test]
fn a_child_is_waited_for_without_being_asked_about() {
    require!(op: Opcode::WAITID);
    let mut child = Shell::new("exit 3");
    let mut ring = ring();
    let nowhere = core::ptr::null_mut();
    let wait = WaitId::new(Who::Pid(child.pid()), WaitIdOptions::EXITED, nowhere).sqe(1);
    assert_eq!(result(&mut ring, wait), Ok(0));
    assert!(child.is_gone(), "it has been waited for");
}

#[test]
fn who_is_no_child_is_echild_and_no_option_einval() {
    require!(op: Opcode::WAITID);
    let (info, mut ring) = (info(), ring());
    let this = Pid::from_raw(i32::try_from(std::process::id()).expect("small")).expect("not 0");
    let exited = WaitIdOptions::EXITED;
    let mut error = |who, options| result(&mut ring, WaitId::new(who, options, info).sqe(1));
    assert_eq!(error(Who::Pid(this), exited), Err(Errno::CHILD));
    assert_eq!(error(Who::Pgid(Pid::from_raw(i32::MAX)), exited), Err(Errno::CHILD));
    assert_eq!(error(Who::Pid(this), WaitIdOptions::empty()), Err(Errno::INVAL));
    let unknown = exited | WaitIdOptions::from_bits_retain(1 << 20);
    assert_eq!(error(Who::Pid(this), unknown), Err(Errno::INVAL));
    let file = std::fs::File::open("Cargo.toml").expect("the package's own");
    assert_eq!(error(Who::PidFd(file.as_fd()), exited), Err(Errno::BADF));
}
