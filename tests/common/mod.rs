//! What the kernel tests share: loud skips, files that remove themselves, waits with a bound.
//!
//! A test that needs something of the kernel says so first, and the kernel is asked, never its
//! version:
//!
//! ```ignore
//! require!(op: Opcode::SOCKET);
//! require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
//! require!(feature: Features::MIN_TIMEOUT);
//! require!(enter: EnterFlags::ABS_TIMER);
//! require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
//! require!(machine: cpus() > 1, "a second CPU");
//! require!(repaired: is_right(&mut ring), "a limit that does not outlast its receive");
//! ```
//!
//! `RINGBOLT_NO_SKIP` turns skips into failures: `1` does so for all of them, `kernel` for what a
//! kernel has to have that has anything as new. How new it is, its features say: see [`newest`].
//! What was repaired in a point release is not expected, and nothing of the machine. Where no ring
//! can be made, the module `host` ends the whole program.

#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses a part of it")]

#[cfg(not(miri))]
mod host;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod timing;

use core::fmt::Display;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use ringbolt::sys::{
    self, EnterFlags, Features, KernelVersion, Opcode, RegisterOp, SetupFlags, io_uring_params,
};
use ringbolt::{CqEntry, IoUring, SqEntry, Timespec};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

/// How long a test waits for what must come: long enough for a machine that is busy, short
/// enough for somebody who looks on. Seconds in `RINGBOLT_PATIENCE`, when the tests are compiled,
/// are for machines that are emulated.
pub(crate) const PATIENCE: Duration = Duration::from_secs(match option_env!("RINGBOLT_PATIENCE") {
    None => 20,
    Some(seconds) => match u64::from_str_radix(seconds, 10) {
        Ok(seconds) => seconds,
        Err(_) => panic!("RINGBOLT_PATIENCE is a number of seconds"),
    },
});

/// Returns from the test, loudly, unless the kernel or the machine has what it needs.
macro_rules! require {
    (op: $op:expr) => {
        require!(@ $crate::common::lacks_op($op))
    };
    (setup: $flags:expr) => {
        require!(@ $crate::common::lacks_setup($flags))
    };
    (feature: $features:expr) => {
        require!(@ $crate::common::lacks_feature($features))
    };
    (enter: $flags:expr) => {
        require!(@ $crate::common::lacks_enter($flags))
    };
    (register: $op:expr) => {
        require!(@ $crate::common::lacks_register($op))
    };
    (machine: $has:expr, $what:expr) => {
        require!(@ (!$has).then(|| $crate::common::Lack::of_machine($what)))
    };
    (repaired: $is_right:expr, $what:expr) => {
        require!(@ (!$is_right).then(|| $crate::common::Lack::of_repair($what)))
    };
    (@ $lack:expr) => {
        if let Some(lack) = $lack {
            lack.skip();
            return $crate::common::Skipped::skipped();
        }
    };
}
pub(crate) use require;

/// What a test returns that was skipped.
pub(crate) trait Skipped {
    fn skipped() -> Self;
}

impl Skipped for () {
    fn skipped() -> Self {}
}

impl<E> Skipped for Result<(), E> {
    fn skipped() -> Self {
        Ok(())
    }
}

/// Something that a test needs and that is not there.
pub(crate) struct Lack {
    whose: &'static str,
    what: String,
    since: Option<KernelVersion>,
}

impl Lack {
    pub(crate) fn of_kernel(what: impl Display, since: Option<KernelVersion>) -> Self {
        Self { whose: "kernel", what: what.to_string(), since }
    }

    pub(crate) fn of_machine(what: impl Display) -> Self {
        Self { whose: "machine", what: what.to_string(), since: None }
    }

    /// What a kernel does wrong before some point release.
    pub(crate) fn of_repair(what: impl Display) -> Self {
        Self { whose: "kernel", what: what.to_string(), since: None }
    }

    /// Tells of the skip, or fails the test where skips are not wanted.
    pub(crate) fn skip(&self) {
        let Self { whose, what, since } = self;
        let since = since.map_or(String::new(), |since| format!(" (needs {since})"));
        let text = format!("skipped: {whose} lacks {what}{since}");
        let wish = std::env::var("RINGBOLT_NO_SKIP").unwrap_or_default();
        assert!(!self.is_unwanted(&wish), "{text}, and RINGBOLT_NO_SKIP is {wish}");
        println!("{text}");
    }

    /// Whether the skip is a failure, by what `RINGBOLT_NO_SKIP` says.
    pub(crate) fn is_unwanted(&self, wish: &str) -> bool {
        match wish {
            "" | "0" => false,
            "1" => true,
            "kernel" => self.whose == "kernel" && self.since.is_some_and(|since| since <= newest()),
            _ => panic!("RINGBOLT_NO_SKIP is 0, 1 or kernel, not {wish}"),
        }
    }
}

/// The version of the newest that the kernel has: an operation, or a way to register. It has to
/// have all that is older, whatever it calls itself.
pub(crate) fn newest() -> KernelVersion {
    static NEWEST: OnceLock<KernelVersion> = OnceLock::new();
    *NEWEST.get_or_init(|| {
        let ring = IoUring::new(1).expect("these tests need a kernel with io_uring");
        let probe = ring.registrar().probe().expect("the operations that the kernel has");
        let ops = Opcode::ALL.iter().map(|(_, op)| *op).filter(|op| probe.supports(*op));
        let ways = RegisterOp::ALL.iter().map(|(_, op)| *op);
        let ways = ways.filter(|op| lacks_register(*op).is_none());
        let versions = ops.filter_map(Opcode::since).chain(ways.filter_map(RegisterOp::since));
        versions.max().expect("every kernel has something")
    })
}

/// Whether the kernel says that it lacks an operation.
pub(crate) fn lacks_op(op: Opcode) -> Option<Lack> {
    let ring = IoUring::new(1).expect("these tests need a kernel with io_uring");
    let has = ring.registrar().probe().is_ok_and(|probe| probe.supports(op));
    (!has).then(|| Lack::of_kernel(format!("IORING_OP_{op:?}"), op.since()))
}

/// Whether the kernel refuses a ring with `flags`, all of which belong together.
pub(crate) fn lacks_setup(flags: SetupFlags) -> Option<Lack> {
    // With NO_MMAP there is no memory to give here: a kernel that knows it says `EFAULT`.
    let lacks = set_up(flags).err() == Some(Errno::INVAL);
    let names: Vec<_> =
        flags.iter_names().map(|(name, _)| format!("IORING_SETUP_{name}")).collect();
    let since = flags.newest().map(|(_, since)| since);
    lacks.then(|| Lack::of_kernel(names.join(" | "), since))
}

/// Whether the kernel's rings are without one of `features`.
pub(crate) fn lacks_feature(features: Features) -> Option<Lack> {
    let (_, params) = set_up(SetupFlags::empty()).expect("these tests need a kernel with io_uring");
    let missing = features.difference(params.features);
    let names: Vec<_> =
        missing.iter_names().map(|(name, _)| format!("IORING_FEAT_{name}")).collect();
    (!missing.is_empty()).then(|| Lack::of_kernel(names.join(" | "), missing.since()))
}

/// Whether the kernel refuses to be entered with `flags`.
pub(crate) fn lacks_enter(flags: EnterFlags) -> Option<Lack> {
    let (ring, _) = set_up(SetupFlags::empty()).expect("these tests need a kernel with io_uring");
    let (fd, null) = (ring.as_raw_fd(), core::ptr::null());
    // SAFETY: nothing is submitted, and there is no argument.
    let answer = unsafe { sys::io_uring_enter(fd, 0, 0, flags, null, 0) };
    let names: Vec<_> =
        flags.iter_names().map(|(name, _)| format!("IORING_ENTER_{name}")).collect();
    answer.is_err().then(|| Lack::of_kernel(names.join(" | "), flags.since()))
}

/// Whether the kernel refuses an operation of `io_uring_register(2)` for its number.
pub(crate) fn lacks_register(op: RegisterOp) -> Option<Lack> {
    let ask = |fd, op: RegisterOp, arg, count| {
        // SAFETY: no such ring, or one that is thrown away, and no memory that is mapped.
        let answer = unsafe { ringbolt::register::register(fd, op, arg, count) };
        answer.err()
    };
    let null = core::ptr::null_mut();
    let no_such_fd = |op| ask(i32::MAX, op, null, 0) == Some(Errno::BADF);
    let has = if no_such_fd(RegisterOp::from_raw(u32::MAX >> 1)) {
        // An older kernel, which looks at the descriptor first. Its answer to arguments that
        // are wrong may well be the one to a number that is wrong: a skip too many.
        let ring = IoUring::new(1).expect("these tests need a kernel with io_uring");
        let nowhere = core::ptr::without_provenance_mut(8);
        ask(ring.as_raw_fd(), op, nowhere, 1) != Some(Errno::INVAL)
    } else {
        no_such_fd(op)
    };
    (!has).then(|| Lack::of_kernel(format!("IORING_{op:?}"), op.since()))
}

/// Makes a ring of one entry, mapped by nobody, with nothing but `flags`.
pub(crate) fn set_up(flags: SetupFlags) -> Result<(OwnedFd, io_uring_params), Errno> {
    let mut params = io_uring_params { flags, ..io_uring_params::ZEROED };
    // SAFETY: `params` is valid for reads and writes, and names no memory.
    let fd = unsafe { sys::io_uring_setup(1, &mut params) }.map_err(Errno::from_raw_os_error)?;
    // SAFETY: set-up just made it; with REGISTERED_FD_ONLY it fails for want of memory.
    Ok((unsafe { OwnedFd::from_raw_fd(fd) }, params))
}

/// CPUs that this thread may run on.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Takes the next `want` completions, waiting for them. Fails the test if they do not come.
pub(crate) fn reap<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>, want: usize) -> Vec<C> {
    let end = Instant::now() + PATIENCE;
    let mut reaped = Vec::with_capacity(want);
    loop {
        let missing = want - reaped.len();
        reaped.extend(core::iter::from_fn(|| ring.completion().pop()).take(missing));
        if reaped.len() == want {
            return reaped;
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{} of {want} completions came in {PATIENCE:?}", reaped.len());
        match ring.completion().wait_timeout(1, Timespec::from(left)) {
            Ok(()) | Err(Errno::TIME | Errno::INTR) => {}
            Err(errno) => panic!("waiting for completions: {errno}"),
        }
    }
}

/// Submits one entry and takes its completion, the next that comes.
///
/// # Safety
///
/// As for [`ringbolt::SubmissionQueue::push`]: what the entry names stays until this returns,
/// and longer if it is one that posts several completions.
pub(crate) unsafe fn complete<S: SqEntry, C: CqEntry, T>(
    ring: &mut IoUring<S, C, T>,
    entry: impl Into<S>,
) -> C {
    // SAFETY: the caller's promise, passed on.
    unsafe { ring.submission().push(entry) }.expect("the queue has room");
    ring.submit().expect("the kernel takes the entry");
    reap(ring, 1).remove(0)
}

/// A directory of the test's own, removed with all that is in it.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // A process that was killed leaves its directories, and another gets its number.
        for _ in 0..1000 {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("ringbolt-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match std::fs::create_dir(&path) {
                Ok(()) => return Self(path),
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
            }
        }
        panic!("no name is left for a directory of temporary files");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in here, which need not be there yet.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A new file in here with `contents`.
    pub(crate) fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, contents).expect("room for a temporary file");
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A test that fails says why; a directory that stays is not to hide that.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
