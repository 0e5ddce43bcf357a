//! Tests in a thread that is given up on, and in a process of their own; copies of a process.

use core::panic::{AssertUnwindSafe, Location};
use core::time::Duration;
use std::panic::catch_unwind;
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

use rustix::io::Errno;

use super::PATIENCE;

/// Runs `body` on a thread of its own and returns what it returns. Fails the test if that takes
/// too long: a call that never returns then fails one test, and does not hold up the others.
pub(crate) fn bounded<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = body();
        let _ = done.send(());
        result
    });
    // Some of these tests take seconds when they succeed, and more on a busy machine.
    let patience = 3 * PATIENCE;
    if is_done.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("still running after {patience:?}");
    }
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Set to the name of the test that a process was started for.
const CHILD: &str = "RINGBOLT_TEST_CHILD";

/// Runs `body` in a process of its own, by running the test `name` of the same file again. For
/// tests that change what a process has only once: limits, capabilities, filters, signals.
///
/// `name` is the name of the test that calls this, without its module, which is that of the file.
#[track_caller]
pub(crate) fn in_child(name: &str, body: impl FnOnce()) {
    let name = &path_of_test(Location::caller().file(), name);
    if std::env::var_os(CHILD).is_some_and(|child| child == name.as_str()) {
        close_what_is_inherited();
        return body();
    }
    let binary = std::env::current_exe().expect("the path of the test binary");
    let mut command = Command::new(binary);
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, name);
    let output = command.output().expect("the test binary runs again");
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(
        output.status.success() && text.contains("1 passed"),
        "in the child process: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
}

/// The path by which the harness knows the test `name` in `file`: `tests/kernel/op_rw.rs` is the
/// module `op_rw` of the program `kernel`, and `tests/jobs.rs` is a program.
fn path_of_test(file: &str, name: &str) -> String {
    let parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    let tests = parts.iter().rposition(|part| *part == "tests").expect("a file in tests/");
    let modules = parts.iter().skip(tests + 2).filter(|part| !["main", "mod"].contains(part));
    modules.chain([&name]).copied().collect::<Vec<_>>().join("::")
}

/// Closes all descriptors except the standard ones: other tests of the process that started this
/// one wait for the end of pipes and connections, of which this process has copies.
fn close_what_is_inherited() {
    let (first, last, flags) = (3_u32, u32::MAX, 0_u32);
    // SAFETY: the test has just begun, so that nothing in this process uses a descriptor.
    // Before Linux 5.9 there is no such call, and they stay open.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
}

/// Has the kernel answer `errno` to each system call `number` of this thread from now on, and
/// of the threads that it starts. There is no way back: for tests in a child process, or in a
/// thread of their own.
pub(crate) fn refuse_call(number: libc::c_long, errno: Errno) {
    let number = u32::try_from(number).expect("the number of a system call");
    let errno = errno.raw_os_error().unsigned_abs();
    let load = u16::try_from(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS).expect("16 bits");
    let equal = u16::try_from(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K).expect("16 bits");
    let give = u16::try_from(libc::BPF_RET | libc::BPF_K).expect("16 bits");
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    let mut program = [
        // The number is the first field of `struct seccomp_data`.
        step(load, 0, 0),
        step(equal, 1, number),
        step(give, 0, libc::SECCOMP_RET_ERRNO | errno),
        step(give, 0, libc::SECCOMP_RET_ALLOW),
    ];
    install(&mut program);
}

/// Has the kernel answer `errno` to the operation `op` of `io_uring_register(2)`, as
/// [`refuse_call`] does to a whole call.
pub(crate) fn refuse_register(op: ringbolt::sys::RegisterOp, errno: Errno) {
    let number = u32::try_from(libc::SYS_io_uring_register).expect("the number of a system call");
    let errno = errno.raw_os_error().unsigned_abs();
    let load = u16::try_from(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS).expect("16 bits");
    let equal = u16::try_from(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K).expect("16 bits");
    let give = u16::try_from(libc::BPF_RET | libc::BPF_K).expect("16 bits");
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    // The second argument, of 64 bits: its low half.
    let second = if cfg!(target_endian = "big") { 28 } else { 24 };
    let mut program = [
        step(load, 0, 0),
        step(equal, 3, number),
        step(load, 0, second),
        step(equal, 1, op.as_raw()),
        step(give, 0, libc::SECCOMP_RET_ERRNO | errno),
        step(give, 0, libc::SECCOMP_RET_ALLOW),
    ];
    install(&mut program);
}

/// Installs a filter on this thread.
fn install(program: &mut [libc::sock_filter]) {
    let len = u16::try_from(program.len()).expect("a short filter");
    let filter = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: numbers only; the kernel wants this of those without privileges.
    let alone = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: a filter of as many steps as said, which the kernel copies during the call.
    let filtered = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) };
    assert_eq!((alone, filtered), (0, 0), "{}", std::io::Error::last_os_error());
}

/// Bytes of address space that this process has in use.
pub(crate) fn address_space() -> libc::rlim_t {
    let text = std::fs::read_to_string("/proc/self/statm").expect("the kernel tells");
    let pages = text.split(' ').next().and_then(|pages| pages.parse::<libc::rlim_t>().ok());
    pages.expect("a number")
        * libc::rlim_t::try_from(rustix::param::page_size()).expect("a small number")
}

/// Whether this process may lock as much memory as it likes, as rings of the largest sizes want it
/// on some kernels. For `require!(machine: may_lock_any_amount(), UNLIMITED)`.
pub(crate) fn may_lock_any_amount() -> bool {
    // SAFETY: the call has no precondition.
    let is_root = unsafe { libc::geteuid() } == 0;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a limit that the kernel writes during the call.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    is_root || (asked == 0 && limit.rlim_cur == libc::RLIM_INFINITY)
}

/// What a machine lacks where [`may_lock_any_amount`] says no.
pub(crate) const UNLIMITED: &str = "unlimited locked memory (ulimit -l)";

/// The type by which the C library names a limit.
#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Sets both limits of `resource` to `limit` for this process.
pub(crate) fn limit(resource: Resource, limit: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: a limit that the kernel reads during the call.
    let result = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Lets this process have as many descriptors as it may allow itself: users have 1024 at first.
pub(crate) fn raise_limit_of_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a limit that the kernel writes during the call.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: a limit that the kernel reads during the call.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!((asked, set), (0, 0), "{}", std::io::Error::last_os_error());
}

/// A copy of this process.
#[derive(Debug)]
pub(crate) struct Copy(libc::pid_t);

impl Copy {
    /// Runs `body` in a copy of this process, which ends with the code that it returns, at once:
    /// nothing is dropped. If it panics the code is 1.
    pub(crate) fn run(body: impl FnOnce() -> i32) -> Self {
        // SAFETY: the callers are in processes of their own, where no other thread does anything,
        // so that the copy is whole.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(1);
            // SAFETY: nothing of the copy's is left to be done.
            unsafe { libc::_exit(code) };
        }
        Self(pid)
    }

    /// Copies this process: both return from here. The copy has to [`exit`](Self::exit).
    pub(crate) fn fork() -> Self {
        // SAFETY: as in `run`.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        Self(pid)
    }

    /// Ends this process at once: nothing is dropped.
    pub(crate) fn exit(code: i32) -> ! {
        // SAFETY: the call has no precondition.
        unsafe { libc::_exit(code) }
    }

    /// Its number.
    pub(crate) fn id(&self) -> libc::pid_t {
        self.0
    }

    /// Waits for its end, and tells its status, as `waitpid(2)` does.
    pub(crate) fn status(self) -> i32 {
        let end = Instant::now() + PATIENCE;
        let mut status = 0;
        loop {
            // SAFETY: a child of ours, and a number to be written.
            let ended = unsafe { libc::waitpid(self.0, &raw mut status, libc::WNOHANG) };
            if ended == self.0 {
                return status;
            }
            assert!(Instant::now() < end, "the child is still there");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for its end, and tells its exit code.
    pub(crate) fn exit_code(self) -> i32 {
        let status = self.status();
        assert!(libc::WIFEXITED(status), "ended by status {status:#x}");
        libc::WEXITSTATUS(status)
    }
}
