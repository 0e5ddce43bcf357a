//! What a safe operation borrows: [`Lent`] and its operands, and the entries [`OpIn`] and
//! [`MultiIn`] whose types say for how long.
//!
//! `X::new` of an operation takes addresses and numbers, and its entry is pushed unsafely.
//! `X::lent` takes references, and its entry is started by the safe front, [`jobs`](crate::jobs),
//! which holds the borrow until the last completion. Both have the same options: those that name no
//! memory are written for every form of an operation, the others for the first form alone.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use rustix::fd::{AsFd, BorrowedFd};

use crate::entry::Sqe;

use super::{Fixed, Target};

/// Marks an operation whose memory and descriptors are borrowed for `'a`: the parameter of a type
/// of [`ops`](crate::ops), as in `Read<Lent<'a>>`.
#[derive(Clone, Copy, Debug)]
pub struct Lent<'a>(PhantomData<&'a mut ()>);

/// Marks an operation that puts the file it opens into a free slot of the ring's file table, as in
/// `OpenAt<InSlot<Lent<'a>>>`.
#[derive(Clone, Copy, Debug)]
pub struct InSlot<E>(PhantomData<E>);

/// Marks an operation that receives into the provided buffers of a [`Group`], as in
/// `Recv<InGroup<Lent<'a>>>`.
#[derive(Clone, Copy, Debug)]
pub struct InGroup<E>(PhantomData<E>);

/// Marks an operation that could go on, and completes once because each completion would overwrite
/// what it names, as in `Accept<Once<Lent<'a>>>` with the address of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Once<E>(PhantomData<E>);

/// What an operation acts on, borrowed: a reference to anything that has a descriptor, a
/// [`BorrowedFd`], or a [`Fixed`] slot.
#[derive(Clone, Copy, Debug)]
pub struct On<'a> {
    target: Target,
    borrows: PhantomData<BorrowedFd<'a>>,
}

impl On<'_> {
    /// The target, for an entry that is not started after the borrow.
    #[inline(always)]
    pub(crate) const fn target(self) -> Target {
        self.target
    }
}

impl<'a, F: AsFd> From<&'a F> for On<'a> {
    #[inline(always)]
    fn from(file: &'a F) -> Self {
        file.as_fd().into()
    }
}

impl<'a, F: AsFd> From<&'a mut F> for On<'a> {
    #[inline(always)]
    fn from(file: &'a mut F) -> Self {
        Self::from(&*file)
    }
}

impl<'a> From<BorrowedFd<'a>> for On<'a> {
    #[inline(always)]
    fn from(fd: BorrowedFd<'a>) -> Self {
        Self { target: fd.into(), borrows: PhantomData }
    }
}

impl From<Fixed> for On<'_> {
    #[inline(always)]
    fn from(slot: Fixed) -> Self {
        Self { target: slot.into(), borrows: PhantomData }
    }
}

/// A descriptor where an operation takes no slot, borrowed: a reference to anything that has a
/// descriptor, or a [`BorrowedFd`], such as rustix's `CWD`.
#[derive(Clone, Copy, Debug)]
pub struct OnFd<'a>(BorrowedFd<'a>);

impl OnFd<'_> {
    /// The descriptor as an operation's target, for an entry that is not started after the borrow.
    #[inline(always)]
    pub(crate) fn target(self) -> Target {
        self.0.into()
    }
}

impl<'a, F: AsFd> From<&'a F> for OnFd<'a> {
    #[inline(always)]
    fn from(file: &'a F) -> Self {
        Self(file.as_fd())
    }
}

impl<'a, F: AsFd> From<&'a mut F> for OnFd<'a> {
    #[inline(always)]
    fn from(file: &'a mut F) -> Self {
        Self::from(&*file)
    }
}

impl<'a> From<BorrowedFd<'a>> for OnFd<'a> {
    #[inline(always)]
    fn from(fd: BorrowedFd<'a>) -> Self {
        Self(fd)
    }
}

/// Memory that an operation writes to, borrowed: from a `&mut` of bytes.
///
/// It is `Copy` and can be cut, so that the operations of one chain can share it: a read and the
/// write of what was read. No Rust reference to the memory exists meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    start: *mut u8,
    len: usize,
    borrows: PhantomData<&'a mut [u8]>,
}

/// Memory that an operation reads from, borrowed: from a `&` of bytes, or from a [`Span`].
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    start: *const u8,
    len: usize,
    borrows: PhantomData<&'a [u8]>,
}

/// A length for the kernel's field: more than it holds is more than one call transfers.
#[inline(always)]
const fn len_field(len: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "guarded")]
    if len > u32::MAX as usize { u32::MAX } else { len as u32 }
}

impl<'a> Span<'a> {
    /// The address of the first byte.
    #[inline(always)]
    pub(crate) const fn as_mut_ptr(self) -> *mut u8 {
        self.start
    }

    /// The length, in bytes.
    #[inline(always)]
    #[expect(clippy::len_without_is_empty, reason = "an operand, not a collection")]
    pub const fn len(self) -> usize {
        self.len
    }

    /// The length as an entry has it.
    #[inline(always)]
    pub(crate) const fn len_field(self) -> u32 {
        len_field(self.len)
    }

    /// The first `len` bytes, or all if there are fewer.
    #[must_use]
    #[inline]
    pub const fn first(self, len: usize) -> Self {
        Self { len: if len < self.len { len } else { self.len }, ..self }
    }

    /// What follows the first `len` bytes; nothing if there are fewer.
    #[must_use]
    #[inline]
    pub const fn after(self, len: usize) -> Self {
        let len = if len < self.len { len } else { self.len };
        Self { start: self.start.wrapping_add(len), len: self.len - len, ..self }
    }
}

impl Bytes<'_> {
    /// The address of the first byte.
    #[inline(always)]
    pub(crate) const fn as_ptr(self) -> *const u8 {
        self.start
    }

    /// The length, in bytes.
    #[inline(always)]
    #[expect(clippy::len_without_is_empty, reason = "an operand, not a collection")]
    pub const fn len(self) -> usize {
        self.len
    }

    /// The length as an entry has it.
    #[inline(always)]
    pub(crate) const fn len_field(self) -> u32 {
        len_field(self.len)
    }
}

impl<'a, B: AsMut<[u8]> + ?Sized> From<&'a mut B> for Span<'a> {
    #[inline(always)]
    fn from(bytes: &'a mut B) -> Self {
        let bytes = bytes.as_mut();
        Self { start: bytes.as_mut_ptr(), len: bytes.len(), borrows: PhantomData }
    }
}

impl<'a, B: AsRef<[u8]> + ?Sized> From<&'a B> for Bytes<'a> {
    #[inline(always)]
    fn from(bytes: &'a B) -> Self {
        let bytes = bytes.as_ref();
        Self { start: bytes.as_ptr(), len: bytes.len(), borrows: PhantomData }
    }
}

impl<'a> From<Span<'a>> for Bytes<'a> {
    #[inline(always)]
    fn from(span: Span<'a>) -> Self {
        Self { start: span.start, len: span.len, borrows: PhantomData }
    }
}

/// Memory in a registered buffer that an operation writes to, borrowed. From a lease of the
/// [safe front](crate::jobs)'s arenas.
#[derive(Clone, Copy, Debug)]
pub struct FixedSpan<'a> {
    span: Span<'a>,
    index: u16,
}

/// Memory in a registered buffer that an operation reads from, borrowed: from a lease of the
/// [safe front](crate::jobs)'s arenas, or from a [`FixedSpan`].
#[derive(Clone, Copy, Debug)]
pub struct FixedBytes<'a> {
    bytes: Bytes<'a>,
    index: u16,
}

impl<'a> FixedSpan<'a> {
    /// The `len` bytes from `start` on, which lie in registered buffer `index`. The caller knows
    /// that nobody else uses them for `'a`.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) const fn new(index: u16, start: *mut u8, len: usize) -> Self {
        Self { span: Span { start, len, borrows: PhantomData }, index }
    }

    /// The memory.
    #[inline(always)]
    pub(crate) const fn span(self) -> Span<'a> {
        self.span
    }

    /// The registered buffer.
    #[inline(always)]
    pub(crate) const fn index(self) -> u16 {
        self.index
    }

    /// The length, in bytes.
    #[inline(always)]
    #[expect(clippy::len_without_is_empty, reason = "an operand, not a collection")]
    pub const fn len(self) -> usize {
        self.span.len()
    }

    /// The first `len` bytes, or all if there are fewer.
    #[must_use]
    #[inline]
    pub const fn first(self, len: usize) -> Self {
        Self { span: self.span.first(len), ..self }
    }

    /// What follows the first `len` bytes; nothing if there are fewer.
    #[must_use]
    #[inline]
    pub const fn after(self, len: usize) -> Self {
        Self { span: self.span.after(len), ..self }
    }
}

impl<'a> FixedBytes<'a> {
    /// The `len` bytes from `start` on, which lie in registered buffer `index`. The caller knows
    /// that nobody changes them for `'a`.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) const fn new(index: u16, start: *const u8, len: usize) -> Self {
        Self { bytes: Bytes { start, len, borrows: PhantomData }, index }
    }

    /// The memory.
    #[inline(always)]
    pub(crate) const fn bytes(self) -> Bytes<'a> {
        self.bytes
    }

    /// The registered buffer.
    #[inline(always)]
    pub(crate) const fn index(self) -> u16 {
        self.index
    }

    /// The length, in bytes.
    #[inline(always)]
    #[expect(clippy::len_without_is_empty, reason = "an operand, not a collection")]
    pub const fn len(self) -> usize {
        self.bytes.len()
    }
}

impl<'a> From<FixedSpan<'a>> for FixedBytes<'a> {
    #[inline(always)]
    fn from(fixed: FixedSpan<'a>) -> Self {
        Self { bytes: fixed.span.into(), index: fixed.index }
    }
}

/// A group of provided buffers that the safe front owns, by its number.
///
/// From [`Jobs::provide`](crate::jobs::Jobs::provide).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group(u16);

impl Group {
    /// The number.
    #[inline(always)]
    pub(crate) const fn number(self) -> u16 {
        self.0
    }

    /// The group `number`, of which the caller knows that the safe front owns it.
    #[cfg(feature = "alloc")]
    pub(crate) const fn new(number: u16) -> Self {
        Self(number)
    }
}

/// What the result of a completion is, besides a number.
///
/// The safe front closes a descriptor, and frees a slot, that nobody takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Makes {
    /// Nothing.
    Nothing,
    /// A new descriptor.
    Descriptor,
    /// The number of a slot that the kernel chose in the ring's file table.
    Slot,
}

/// An entry that completes once, and for how long it borrows what it names: `'a`. Whatever outlives
/// `'s`, the scope in which it is started, may be lent, too.
///
/// Made by the `op` method of an operation. The safe front is the only one who can use it.
#[must_use = "an operation does nothing before it is started"]
#[derive(Debug)]
pub struct OpIn<'a, 's: 'a> {
    sqe: Sqe,
    makes: Makes,
    hard: bool,
    lends: PhantomData<(&'a mut (), &'a &'s ())>,
}

/// An entry for owned jobs: it borrows from its value and from statics alone.
pub type Op<'a> = OpIn<'a, 'static>;

/// An entry that may complete more than once, and writes to no memory but provided buffers.
///
/// Made by the `multi` method of an operation. Otherwise as [`OpIn`].
#[must_use = "an operation does nothing before it is started"]
#[derive(Debug)]
pub struct MultiIn<'a, 's: 'a> {
    sqe: Sqe,
    makes: Makes,
    lends: PhantomData<(&'a (), &'a &'s ())>,
}

/// A multishot entry for owned jobs: it borrows from its value and from statics alone.
pub type Multi<'a> = MultiIn<'a, 'static>;

impl<'a, 's: 'a> OpIn<'a, 's> {
    /// An entry that completes exactly once, and of which the caller knows that everything it names
    /// is borrowed for `'a`, and that it posts nothing but its own completion.
    #[inline(always)]
    pub(crate) const fn new(sqe: Sqe, makes: Makes) -> Self {
        Self { sqe, makes, hard: false, lends: PhantomData }
    }

    /// The next entry of the chain starts whatever becomes of this one. Has a meaning in a chain
    /// alone, and not for its last entry. `IOSQE_IO_HARDLINK`, since Linux 5.5.
    #[inline(always)]
    pub const fn hard_link(mut self) -> Self {
        self.hard = true;
        self
    }

    /// See [`Sqe::force_async`].
    #[inline(always)]
    pub const fn force_async(self) -> Self {
        Self { sqe: self.sqe.force_async(), ..self }
    }

    /// See [`Sqe::with_personality`].
    #[inline(always)]
    pub const fn with_personality(self, id: u16) -> Self {
        Self { sqe: self.sqe.with_personality(id), ..self }
    }

    /// The plain entry, what it makes, and whether it is hard-linked to the next one.
    #[inline(always)]
    pub(crate) const fn into_parts(self) -> (Sqe, Makes, bool) {
        (self.sqe, self.makes, self.hard)
    }
}

impl<'a, 's: 'a> MultiIn<'a, 's> {
    /// An entry that completes until a completion has no MORE, and of which the caller knows what
    /// [`OpIn::new`] asks for, and that it writes to no memory but provided buffers.
    #[inline(always)]
    pub(crate) const fn new(sqe: Sqe, makes: Makes) -> Self {
        Self { sqe, makes, lends: PhantomData }
    }

    /// See [`Sqe::force_async`].
    #[inline(always)]
    pub const fn force_async(self) -> Self {
        Self { sqe: self.sqe.force_async(), ..self }
    }

    /// See [`Sqe::with_personality`].
    #[inline(always)]
    pub const fn with_personality(self, id: u16) -> Self {
        Self { sqe: self.sqe.with_personality(id), ..self }
    }

    /// The plain entry, and what it makes.
    #[inline(always)]
    pub(crate) const fn into_parts(self) -> (Sqe, Makes) {
        (self.sqe, self.makes)
    }
}

/// The entry of a zero-copy send: two completions come, and the second one says that the kernel has
/// let go of what it borrows. Otherwise as [`OpIn`].
///
/// Made by the `zero_copy` method of an operation. Only owned jobs start it: the second completion
/// comes when the peer has the data, and a scope could not end before that.
#[must_use = "an operation does nothing before it is started"]
#[derive(Debug)]
pub struct ZeroCopyIn<'a, 's: 'a> {
    sqe: Sqe,
    lends: PhantomData<(&'a mut (), &'a &'s ())>,
}

/// A zero-copy entry for owned jobs: it borrows from its value and from statics alone.
pub type ZeroCopy<'a> = ZeroCopyIn<'a, 'static>;

impl<'a, 's: 'a> ZeroCopyIn<'a, 's> {
    /// An entry whose last completion is its notification, or the first one without MORE, and of
    /// which the caller knows what [`OpIn::new`] asks for.
    #[inline(always)]
    pub(crate) const fn new(sqe: Sqe) -> Self {
        Self { sqe, lends: PhantomData }
    }

    /// The plain entry.
    #[inline(always)]
    pub(crate) const fn into_parts(self) -> Sqe {
        self.sqe
    }
}
