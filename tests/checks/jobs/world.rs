//! [`World`]: the kernel that a program runs on, its files, and what is done to it.

use core::time::Duration;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use ringbolt::ops::{Fixed, On};
use ringbolt::rustix::io::{Errno, ioctl_fionbio};
use ringbolt::rustix::pipe::{PipeFlags, pipe_with};
use ringbolt::sim::{Fault, Kernel, Pace};
use ringbolt::{Builder, IoUring};

use super::super::bytes::Bytes;

/// The bytes of the file that is always ready.
pub(crate) const READY: usize = 200;

/// A kernel and its files.
#[derive(Clone, Debug)]
pub(crate) enum World {
    Simulated(Kernel),
    Running(Rc<Files>),
}

/// Files of the running kernel.
#[derive(Debug)]
pub(crate) struct Files {
    ready: File,
    slow: File,
    sink: File,
    feed: File,
}

/// A file, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It has [`READY`] bytes.
    Ready,
    /// It has data when the program gives it some.
    Slow,
}

/// What an operation acts on: part of a value.
#[derive(Clone, Debug)]
pub(crate) enum Targets {
    Simulated,
    Running(Rc<Files>),
}

/// Byte `at` of the file that is always ready.
fn byte(at: usize) -> u8 {
    u8::try_from(at % 256).unwrap_or(0).wrapping_mul(7) ^ 0x5a
}

impl Source {
    /// What a read of `len` bytes at `offset` gives.
    pub(crate) fn bytes(self, offset: usize, len: usize) -> Vec<u8> {
        match self {
            Self::Ready => (offset..READY.min(offset + len)).map(byte).collect(),
            Self::Slow => vec![b'p'; len],
        }
    }
}

impl Targets {
    pub(crate) fn source(&self, source: Source) -> On<'_> {
        match (self, source) {
            (Self::Simulated, Source::Ready) => Fixed(0).into(),
            (Self::Simulated, Source::Slow) => Fixed(1).into(),
            (Self::Running(files), Source::Ready) => (&files.ready).into(),
            (Self::Running(files), Source::Slow) => (&files.slow).into(),
        }
    }

    pub(crate) fn sink(&self) -> On<'_> {
        match self {
            Self::Simulated => Fixed(2).into(),
            Self::Running(files) => (&files.sink).into(),
        }
    }
}

impl World {
    pub(crate) fn simulated() -> Self {
        let kernel = Kernel::new();
        kernel.put_file(Fixed(0), Source::Ready.bytes(0, READY));
        kernel.put_file(Fixed(1), Source::Slow.bytes(0, READY));
        kernel.put_file(Fixed(2), Vec::new());
        Self::Simulated(kernel)
    }

    pub(crate) fn running() -> Self {
        let path = std::env::temp_dir().join(format!("ringbolt-random-{}", std::process::id()));
        std::fs::write(&path, Source::Ready.bytes(0, READY)).expect("a file");
        let ready = File::open(&path).expect("the file");
        std::fs::remove_file(&path).expect("the file");
        let file = |fd: OwnedFd| File::from(fd);
        let (slow, feed) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        ioctl_fionbio(&feed, true).expect("a pipe that does not block");
        let sink = File::options().write(true).open("/dev/null").expect("a sink");
        Self::Running(Rc::new(Files { ready, slow: file(slow), sink, feed: file(feed) }))
    }

    /// The same files, and another kernel if it is simulated: it has one ring at a time.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::Simulated(_) => Self::simulated(),
            Self::Running(_) => self.clone(),
        }
    }

    pub(crate) fn kernel(&self) -> Option<&Kernel> {
        if let Self::Simulated(kernel) = self { Some(kernel) } else { None }
    }

    pub(crate) fn targets(&self) -> Targets {
        match self {
            Self::Simulated(_) => Targets::Simulated,
            Self::Running(files) => Targets::Running(Rc::clone(files)),
        }
    }

    pub(crate) fn builder(&self) -> Builder<'static> {
        let builder = IoUring::builder();
        if let Self::Simulated(kernel) = self { builder.simulated(kernel) } else { builder }
    }

    /// Lets something happen behind the program's back.
    pub(crate) fn stir(&self, bytes: &mut Bytes<'_>) {
        let kernel = match self {
            Self::Simulated(kernel) => kernel,
            Self::Running(files) => return feed(files, usize::from(bytes.below(8)) + 1),
        };
        match bytes.below(10) {
            0 => kernel.set_pace(Pace::Inline),
            1 => kernel.set_pace(Pace::WhenWaited),
            2 | 3 => kernel.set_pace(Pace::Held),
            4 | 5 => drop(kernel.complete(usize::from(bytes.below(4)))),
            6 => kernel.shorten_next_transfer(usize::from(bytes.below(6))),
            7 => kernel.fail_next_transfer(bytes.one_of(&[Errno::IO, Errno::AGAIN, Errno::INTR])),
            8 => drop(kernel.poll()),
            _ => drop(kernel.fall_asleep()),
        }
    }

    /// Makes a system call fail. The running kernel does what it does.
    pub(crate) fn fail(&self, bytes: &mut Bytes<'_>) {
        let Self::Simulated(kernel) = self else { return };
        let errno = bytes.one_of(&[Errno::AGAIN, Errno::INTR, Errno::BUSY, Errno::NOMEM]);
        match bytes.below(5) {
            0 | 1 => kernel.fail_next(Fault::Refuse(errno)),
            // Fewer entries than there are would cut a chain in two: it has a test of its own.
            2 => kernel.fail_next(Fault::Short(0)),
            3 => kernel.fail_next(Fault::Interrupt(Errno::INTR)),
            _ => kernel.refuse_cancels(bytes.below(4).into()),
        }
    }

    /// Lets everything complete that waits.
    pub(crate) fn settle(&self) {
        match self {
            Self::Simulated(kernel) => {
                kernel.set_pace(Pace::Inline);
                while kernel.complete(0) {}
                kernel.poll();
            }
            Self::Running(files) => feed(files, 64),
        }
    }

    /// How long a wait may take.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(if self.kernel().is_some() { 1000 } else { 1 })
    }
}

/// Gives the slow file data, unless it is full.
fn feed(files: &Files, len: usize) {
    let _ = (&files.feed).write(&Source::Slow.bytes(0, len));
}
