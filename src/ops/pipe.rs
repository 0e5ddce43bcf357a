//! Pipes, and moving data through them.

use core::marker::PhantomData;

use rustix::fd::{FromRawFd as _, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::entry::{Cqe, Sqe};
use crate::sys::{Opcode, SharedPtr, SpliceFlags as RingSpliceFlags};

use super::{DestSlot, Fixed, IntoTarget, Lent, On, PipeEnds, Target, add_flags, on, op, sqe};

/// Moves data between a pipe and a file or another pipe, without copying it through the program.
///
/// `IORING_OP_SPLICE`, like [`splice(2)`]. Since Linux 5.7. One of the two is a pipe. It is
/// always carried out by a worker thread.
///
/// Between two [`Fixed`] slots it is pushed safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Splice;
/// use ringbolt::rustix::pipe::pipe;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::SPLICE) {
/// #     return Ok(());
/// # }
/// let file = std::fs::File::open("Cargo.toml")?;
/// let (reader, writer) = pipe()?;
/// let entry = Splice::new(&file, &writer, 64).input_offset(0).sqe(1);
/// // SAFETY: both files stay open until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(64));
/// # drop(reader);
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// Bytes moved; 0 at the end of the input.
///
/// # Errors
///
/// `EAGAIN` with [`SpliceFlags::NONBLOCK`], `EBADF`, `ECANCELED`, `EINVAL` if neither is a pipe,
/// both are the same, or a file cannot be spliced, `ESPIPE` for an offset into a pipe. If it is
/// cancelled while its worker waits, `EINTR` or the kernel's own `ERESTARTSYS` (512).
///
/// [`splice(2)`]: https://man7.org/linux/man-pages/man2/splice.2.html
#[doc(alias = "IORING_OP_SPLICE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_splice")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Splice<E = Sqe>(Sqe, PhantomData<E>);

/// Copies data from one pipe into another and leaves it in the first.
///
/// `IORING_OP_TEE`, like [`tee(2)`]. Since Linux 5.8. It is always carried out by a worker
/// thread.
///
/// Between two [`Fixed`] slots it is pushed safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Tee;
/// use ringbolt::rustix::{io::write, pipe::pipe};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::TEE) {
/// #     return Ok(());
/// # }
/// let ((from, in_), (_out, to)) = (pipe()?, pipe()?);
/// write(&in_, b"hello")?;
/// let entry = Tee::new(&from, &to, 64).sqe(1);
/// // SAFETY: both pipes stay open until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(5));
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// Bytes copied; 0 at the end of the input.
///
/// # Errors
///
/// `EAGAIN` with [`SpliceFlags::NONBLOCK`], `EBADF`, `ECANCELED`, `EINVAL` if they are not two
/// different pipes. If it is cancelled while its worker waits, as [`Splice`].
///
/// [`tee(2)`]: https://man7.org/linux/man-pages/man2/tee.2.html
#[doc(alias = "IORING_OP_TEE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_tee")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Tee<E = Sqe>(Sqe, PhantomData<E>);

/// Makes a pipe.
///
/// `IORING_OP_PIPE`, like [`pipe2(2)`]. Since Linux 6.16. The place for the two numbers must
/// stay, and not be touched, until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Pipe;
/// use ringbolt::rustix::pipe::PipeFlags;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::PIPE) {
/// #     return Ok(());
/// # }
/// let mut ends = [-1; 2];
/// let entry = Pipe::new(&raw mut ends).flags(PipeFlags::CLOEXEC).sqe(1);
/// // SAFETY: `ends` stays, and is not touched, until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// // SAFETY: the completion of the pipe, once, and what it stored.
/// let (read, write) = unsafe { Pipe::made(&cqe, ends) }?;
/// # let _ = (read, write);
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0, and where it was asked for the descriptors of the end to read and of the end to write, which
/// are the caller's to close. Programs that are executed inherit both, unless
/// [`PipeFlags::CLOEXEC`] is set. With [`fixed`](Self::fixed), the slots of both; these follow each
/// other if one was named.
///
/// # Errors
///
/// `EFAULT`, `EINVAL`, `EMFILE`; `ENFILE` if there are too many files or no two free slots; `ENXIO`
/// for a slot that is named without a file table.
///
/// [`pipe2(2)`]: https://man7.org/linux/man-pages/man2/pipe.2.html
#[doc(alias = "IORING_OP_PIPE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_pipe", "io_uring_prep_pipe_direct"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Pipe<E = Sqe>(Sqe, PhantomData<E>);

/// Where reading or writing begins that is no position in a file.
const NO_OFFSET: u64 = u64::MAX;

/// The input of a splice, which has a field and a flag of its own.
#[inline(always)]
const fn read_from(sqe: &mut Sqe, input: Target) {
    match input {
        // The field is unsigned here, a descriptor is not: the bits are the same.
        Target::Fd(fd) => sqe.set_file_index(u32::from_ne_bytes(fd.to_ne_bytes())),
        Target::Fixed(Fixed(slot)) => {
            sqe.set_file_index(slot);
            add_flags(sqe, RingSpliceFlags::FD_IN_FIXED.bits());
        }
    }
}

impl Splice {
    /// Moves up to `len` bytes from `input` to `output`, both at their current position.
    #[inline(always)]
    pub fn new<I: IntoTarget, O: IntoTarget>(
        input: I,
        output: O,
        len: u32,
    ) -> Splice<I::EntryWith<O>> {
        Splice(splice(input.into_target(), output.into_target(), len), PhantomData)
    }
}

impl<'a> Splice<Lent<'a>> {
    /// Moves up to `len` bytes from `input` to `output`, both at their current position, for a job
    /// of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(input: impl Into<On<'a>>, output: impl Into<On<'a>>, len: u32) -> Self {
        Self(splice(input.into().target(), output.into().target(), len), PhantomData)
    }
}

/// An entry that moves up to `len` bytes from `input` to `output`.
#[inline(always)]
const fn splice(input: Target, output: Target, len: u32) -> Sqe {
    let mut sqe = on(Opcode::SPLICE, output);
    sqe.set_len(len);
    sqe.set_addr_raw(NO_OFFSET);
    sqe.set_off(NO_OFFSET);
    read_from(&mut sqe, input);
    sqe
}

impl<E> Splice<E> {
    /// Reads at `offset` bytes from the start of the input, which is no pipe.
    #[inline(always)]
    pub const fn input_offset(mut self, offset: u64) -> Self {
        self.0.set_addr_raw(offset);
        self
    }

    /// Reads at the current position of the input, and moves it: the default, and what is right for
    /// a pipe. It takes [`input_offset`](Self::input_offset) back.
    #[inline(always)]
    pub const fn input_position(mut self) -> Self {
        self.0.set_addr_raw(NO_OFFSET);
        self
    }

    /// Writes at `offset` bytes from the start of the output, which is no pipe.
    #[inline(always)]
    pub const fn output_offset(mut self, offset: u64) -> Self {
        self.0.set_off(offset);
        self
    }

    /// Writes at the current position of the output, and moves it: the default, and what is right
    /// for a pipe. It takes [`output_offset`](Self::output_offset) back.
    #[inline(always)]
    pub const fn output_position(mut self) -> Self {
        self.0.set_off(NO_OFFSET);
        self
    }

    /// Adds `SPLICE_F_` flags.
    #[inline(always)]
    pub const fn flags(mut self, flags: SpliceFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl Tee {
    /// Copies up to `len` bytes from pipe `input` to pipe `output`.
    #[inline(always)]
    pub fn new<I: IntoTarget, O: IntoTarget>(
        input: I,
        output: O,
        len: u32,
    ) -> Tee<I::EntryWith<O>> {
        Tee(tee(input.into_target(), output.into_target(), len), PhantomData)
    }
}

impl<'a> Tee<Lent<'a>> {
    /// Copies up to `len` bytes from pipe `input` to pipe `output`, for a job of the
    /// [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(input: impl Into<On<'a>>, output: impl Into<On<'a>>, len: u32) -> Self {
        Self(tee(input.into().target(), output.into().target(), len), PhantomData)
    }
}

/// An entry that copies up to `len` bytes from `input` to `output`.
#[inline(always)]
const fn tee(input: Target, output: Target, len: u32) -> Sqe {
    let mut sqe = on(Opcode::TEE, output);
    sqe.set_len(len);
    read_from(&mut sqe, input);
    sqe
}

impl<E> Tee<E> {
    /// Adds `SPLICE_F_` flags.
    #[inline(always)]
    pub const fn flags(mut self, flags: SpliceFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl Pipe {
    /// Makes a pipe and stores its two descriptors, or slots, at `ends`.
    #[inline(always)]
    pub const fn new(ends: *mut [RawFd; 2]) -> Self {
        Self(pipe(ends), PhantomData)
    }

    /// Puts the pipe into the ring's file table instead of making descriptors: into the slot named
    /// and the next one, or into any two. `None` makes
    /// descriptors.
    #[inline(always)]
    pub fn fixed(mut self, slot: impl Into<Option<DestSlot>>) -> Self {
        self.0.set_file_index(DestSlot::index_of(slot.into()));
        self
    }
}

impl Pipe {
    /// The end to read from and the end to write to, from the completion and from where they were
    /// stored.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    ///
    /// # Safety
    ///
    /// `cqe` is the completion of a `Pipe` without [`fixed`](Self::fixed), `ends` is what it
    /// stored, and this is called once for it.
    #[inline]
    pub unsafe fn made(cqe: &Cqe, ends: [RawFd; 2]) -> Result<(OwnedFd, OwnedFd), Errno> {
        cqe.result()?;
        let [read, write] = ends;
        // SAFETY: the operation has succeeded and stored this descriptor, which nobody owns yet.
        let read = unsafe { OwnedFd::from_raw_fd(read) };
        // SAFETY: as above.
        let write = unsafe { OwnedFd::from_raw_fd(write) };
        Ok((read, write))
    }
}

impl<'a> Pipe<Lent<'a>> {
    /// Makes a pipe and stores its two descriptors in `ends`, for a job of the
    /// [safe front](crate::jobs). Descriptors that are in `ends` are closed.
    #[inline(always)]
    pub fn lent(ends: &'a mut PipeEnds) -> Self {
        Self(pipe(ends.lend()), PhantomData)
    }
}

impl<E> Pipe<E> {
    /// Adds `O_CLOEXEC`, `O_NONBLOCK`, `O_DIRECT`.
    #[inline(always)]
    pub const fn flags(mut self, flags: PipeFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

/// An entry that makes a pipe and stores its ends.
#[inline(always)]
const fn pipe(ends: *mut [RawFd; 2]) -> Sqe {
    let mut sqe = Sqe::new(Opcode::PIPE);
    sqe.set_addr(SharedPtr::from_mut(ends));
    sqe
}

sqe!(Pipe);
sqe!(either: Splice, Tee);
op!(Splice: Nothing, Tee: Nothing, Pipe: Nothing);
