//! [`Sqe`], the entry of 64 bytes, and [`SafeSqe`], one that anybody may push.

use core::fmt;

use crate::sys::{
    Opcode, SharedPtr, SqeFlags, io_uring_sqe, sqe_addr, sqe_addr3, sqe_buf, sqe_file, sqe_off,
    sqe_op_flags, sqe_tail,
};

/// A submission queue entry of 64 bytes, `struct io_uring_sqe`.
///
/// The types of [`ops`](crate::ops) make these; [`ops::RawOp`](crate::ops::RawOp) makes one
/// from an opcode alone. What the fields mean depends on the opcode; the flags, the buffer
/// group and the personality mean the same for each, and are set here.
///
/// ```
/// use ringbolt::ops::Nop;
/// use ringbolt::sys::SqeFlags;
///
/// let sqe = Nop::new().sqe(7).link().skip_success();
/// assert_eq!(sqe.as_sqe().user_data(), 7);
/// assert_eq!(sqe.as_sqe().flags(), SqeFlags::IO_LINK | SqeFlags::CQE_SKIP_SUCCESS);
/// ```
#[doc(alias = "io_uring_sqe")]
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Sqe(io_uring_sqe);

/// An entry that anybody may push: it names no memory, and acts on no descriptor of the program's.
///
/// Made by operations such as [`ops::Nop`](crate::ops::Nop) and
/// [`ops::AsyncCancel`](crate::ops::AsyncCancel), and by those that act on a
/// [`Fixed`](crate::ops::Fixed) slot and name no memory, such as
/// [`ops::PollAdd`](crate::ops::PollAdd): see
/// [the list](crate::ops#what-is-pushed-safely). Pushed with
/// [`SubmissionQueue::push_safe`](crate::SubmissionQueue::push_safe). `into()` makes an [`Sqe`] of
/// it, for a chain with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeSqe(Sqe);

/// Flags that tie an entry to the next one.
pub(crate) const LINKS: SqeFlags = SqeFlags::IO_LINK.union(SqeFlags::IO_HARDLINK);

impl Sqe {
    /// An entry for `opcode` with every other byte zero.
    #[inline(always)]
    pub const fn new(opcode: Opcode) -> Self {
        Self(io_uring_sqe { opcode, ..io_uring_sqe::ZEROED })
    }

    /// Wraps an entry as the kernel lays it out.
    #[inline(always)]
    pub const fn from_raw(raw: io_uring_sqe) -> Self {
        Self(raw)
    }

    /// The entry as the kernel lays it out.
    #[inline(always)]
    pub const fn as_raw(&self) -> &io_uring_sqe {
        &self.0
    }

    /// The entry as the kernel lays it out, to be changed in place.
    #[inline(always)]
    pub const fn as_raw_mut(&mut self) -> &mut io_uring_sqe {
        &mut self.0
    }

    /// The 64 bytes that the kernel will read.
    ///
    /// Pointers become numbers here, so that bytes cannot be turned back into an entry that
    /// strict provenance accepts.
    pub const fn to_bytes(&self) -> [u8; 64] {
        *self.0.as_bytes()
    }

    /// What to do.
    #[inline(always)]
    pub const fn opcode(&self) -> Opcode {
        self.0.opcode
    }

    /// Sets what to do.
    #[inline(always)]
    pub const fn set_opcode(&mut self, opcode: Opcode) {
        self.0.opcode = opcode;
    }

    /// How to do it: `IOSQE_` flags.
    #[inline(always)]
    pub const fn flags(&self) -> SqeFlags {
        self.0.flags
    }

    /// Replaces the `IOSQE_` flags.
    #[inline(always)]
    pub const fn set_flags(&mut self, flags: SqeFlags) {
        self.0.flags = flags;
    }

    /// I/O priority, or flags of the operation that live in the same field.
    #[inline(always)]
    pub const fn ioprio(&self) -> u16 {
        self.0.ioprio
    }

    /// Sets the I/O priority, or the flags that live in the same field.
    #[inline(always)]
    pub const fn set_ioprio(&mut self, ioprio: u16) {
        self.0.ioprio = ioprio;
    }

    /// The descriptor, or the fixed slot where [`SqeFlags::FIXED_FILE`] is set.
    #[inline(always)]
    pub const fn fd(&self) -> i32 {
        self.0.fd
    }

    /// Sets the descriptor or fixed slot.
    #[inline(always)]
    pub const fn set_fd(&mut self, fd: i32) {
        self.0.fd = fd;
    }

    /// The second word: an offset, a second address, or what else the operation keeps there.
    #[inline(always)]
    pub const fn off(&self) -> u64 {
        // SAFETY: every arm of the union is 8 initialised bytes, and any bytes are a u64.
        unsafe { self.0.off.off }
    }

    /// Sets the second word to a number.
    #[inline(always)]
    pub const fn set_off(&mut self, off: u64) {
        self.0.off = sqe_off { off };
    }

    /// Sets the second word to an address.
    #[inline(always)]
    pub const fn set_addr2(&mut self, addr2: SharedPtr) {
        self.0.off = sqe_off { addr2 };
    }

    /// The third word: most often the address of a buffer.
    #[inline(always)]
    pub const fn addr(&self) -> u64 {
        // SAFETY: every arm of the union is 8 initialised bytes, and any bytes are a u64.
        unsafe { self.0.addr.raw }
    }

    /// Sets the third word to an address.
    #[inline(always)]
    pub const fn set_addr(&mut self, addr: SharedPtr) {
        self.0.addr = sqe_addr { addr };
    }

    /// Sets the third word to a number.
    #[inline(always)]
    pub const fn set_addr_raw(&mut self, raw: u64) {
        self.0.addr = sqe_addr { raw };
    }

    /// Bytes, or a count of elements, or what else the operation keeps there.
    #[inline(always)]
    pub const fn len(&self) -> u32 {
        self.0.len
    }

    /// Whether [`Sqe::len`] is 0.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Sets the length.
    #[inline(always)]
    pub const fn set_len(&mut self, len: u32) {
        self.0.len = len;
    }

    /// The flags of the operation.
    #[inline(always)]
    pub const fn op_flags(&self) -> u32 {
        // SAFETY: `ZEROED` initialises the whole word, and any bytes are a u32.
        unsafe { self.0.op_flags.raw }
    }

    /// Sets the flags of the operation.
    #[inline(always)]
    pub const fn set_op_flags(&mut self, raw: u32) {
        self.0.op_flags = sqe_op_flags { raw };
    }

    /// What the completion of this entry will carry.
    #[inline(always)]
    pub const fn user_data(&self) -> u64 {
        self.0.user_data
    }

    /// Sets what the completion of this entry will carry.
    #[inline(always)]
    pub const fn set_user_data(&mut self, user_data: u64) {
        self.0.user_data = user_data;
    }

    /// The same entry with another `user_data`.
    ///
    /// For layers that make an entry in one place and number it in another: the operation is given
    /// any number first.
    #[must_use]
    #[inline(always)]
    #[doc(alias("io_uring_sqe_set_data", "io_uring_sqe_set_data64"))]
    pub const fn with_user_data(mut self, user_data: u64) -> Self {
        self.0.user_data = user_data;
        self
    }

    /// The index of a fixed buffer, or the buffer group with [`SqeFlags::BUFFER_SELECT`].
    #[inline(always)]
    pub const fn buf_index(&self) -> u16 {
        // SAFETY: both arms of the union are a u16.
        unsafe { self.0.buf.buf_index }
    }

    /// Sets the index of a fixed buffer, or the buffer group.
    #[inline(always)]
    pub const fn set_buf_index(&mut self, buf_index: u16) {
        self.0.buf = sqe_buf { buf_index };
    }

    /// The credentials to use, as registered; 0 for those of the submitter.
    #[inline(always)]
    pub const fn personality(&self) -> u16 {
        self.0.personality
    }

    /// Sets the credentials to use.
    #[inline(always)]
    pub const fn set_personality(&mut self, personality: u16) {
        self.0.personality = personality;
    }

    /// The word that holds a destination slot, a second descriptor or an address length.
    #[inline(always)]
    pub const fn file_index(&self) -> u32 {
        // SAFETY: every arm of the union is 4 initialised bytes, and any bytes are a u32.
        unsafe { self.0.file.file_index }
    }

    /// Sets the word that holds a destination slot, a second descriptor or an address length.
    #[inline(always)]
    pub const fn set_file_index(&mut self, file_index: u32) {
        self.0.file = sqe_file { file_index };
    }

    /// The last two words: a third address and padding, an attribute, or a command's payload.
    #[inline(always)]
    pub const fn tail(&self) -> [u64; 2] {
        // SAFETY: every arm of the union is 16 initialised bytes, and any bytes are u64s.
        unsafe { self.0.tail.raw }
    }

    /// Sets the last two words to numbers.
    #[inline(always)]
    pub const fn set_tail(&mut self, raw: [u64; 2]) {
        self.0.tail = sqe_tail { raw };
    }

    /// Sets the third address, and zeroes the word after it.
    #[inline(always)]
    pub const fn set_addr3(&mut self, addr3: SharedPtr) {
        self.0.tail = sqe_tail { addr3: sqe_addr3 { addr3, __pad2: [0] } };
    }

    /// Ties the next entry to this one: it starts when this one has succeeded, and is
    /// cancelled if this one fails. `IOSQE_IO_LINK`, since Linux 5.3.
    ///
    /// A short read or write counts as a failure. Linked entries are pushed together, by
    /// [`SubmissionQueue::push_all`](crate::SubmissionQueue::push_all).
    ///
    /// **SQPOLL rings that share a polling thread**
    /// ([`Builder::attach_wq`](crate::Builder::attach_wq)) cut chains. As long as the thread has
    /// several rings, it takes at most 8 entries of a ring in a turn, and a chain that is not over
    /// by then ends there: the ninth entry starts at once, whatever becomes of the eighth, and a
    /// [`LinkTimeout`](crate::ops::LinkTimeout) there is refused with `EINVAL`. A chain stays whole
    /// if it has at most 8 entries and is published, alone, when the queue is empty. Otherwise
    /// give the ring a polling thread of its own.
    #[must_use]
    #[inline(always)]
    #[doc(alias = "IOSQE_IO_LINK")]
    pub const fn link(self) -> Self {
        self.with_flags(SqeFlags::IO_LINK)
    }

    /// Like [`Sqe::link`], but the next entry runs whatever becomes of this one.
    /// `IOSQE_IO_HARDLINK`, since Linux 5.5. SQPOLL rings that share a polling thread cut chains,
    /// see there.
    #[must_use]
    #[inline(always)]
    #[doc(alias = "IOSQE_IO_HARDLINK")]
    pub const fn hard_link(self) -> Self {
        self.with_flags(SqeFlags::IO_HARDLINK)
    }

    /// Starts this entry only when all before it have completed, and holds back all after it
    /// until then. `IOSQE_IO_DRAIN`, since Linux 5.2. Refused with `EOPNOTSUPP` on a ring on which
    /// an entry has ever been [skipped on success](Self::skip_success).
    #[must_use]
    #[inline(always)]
    #[doc(alias = "IOSQE_IO_DRAIN")]
    pub const fn drain(self) -> Self {
        self.with_flags(SqeFlags::IO_DRAIN)
    }

    /// Hands this entry to a worker thread without trying it first.
    /// `IOSQE_ASYNC`, since Linux 5.6.
    ///
    /// The worker looks the descriptor up when it gets to it. An entry that comes while signals
    /// are pending and there is no worker yet may complete with `ECANCELED` (seen on 6.18.44).
    #[doc(alias = "async")]
    #[must_use]
    #[inline(always)]
    #[doc(alias = "IOSQE_ASYNC")]
    pub const fn force_async(self) -> Self {
        self.with_flags(SqeFlags::ASYNC)
    }

    /// Posts no completion if this entry succeeds. `IOSQE_CQE_SKIP_SUCCESS`, since Linux 5.17
    /// ([`Features::CQE_SKIP`](crate::sys::Features::CQE_SKIP)).
    ///
    /// If it fails, it posts one, and the entries linked after it are cancelled without. No
    /// completion reports that what a skipped entry names may go: a later entry of its chain does,
    /// see [`SubmissionQueue::push`](crate::SubmissionQueue::push).
    ///
    /// Zero-copy sends and multishot polls refuse it with `EINVAL`. Other multishot operations and
    /// bundles pay no attention to it as long as they go on. From the first entry with this flag,
    /// the ring refuses [`drain`](Self::drain) with `EOPNOTSUPP`, for good. With a provided buffer,
    /// nothing reports which one was used.
    #[must_use]
    #[inline(always)]
    #[doc(alias = "IOSQE_CQE_SKIP_SUCCESS")]
    pub const fn skip_success(self) -> Self {
        self.with_flags(SqeFlags::CQE_SKIP_SUCCESS)
    }

    /// Lets the kernel pick a provided buffer of group `group` when data is there.
    /// `IOSQE_BUFFER_SELECT`, since Linux 5.7.
    #[must_use]
    #[inline(always)]
    #[doc(alias("io_uring_sqe_set_buf_group", "IOSQE_BUFFER_SELECT"))]
    pub const fn buffer_group(mut self, group: u16) -> Self {
        self.0.buf = sqe_buf { buf_group: group };
        self.with_flags(SqeFlags::BUFFER_SELECT)
    }

    /// Runs this entry with the credentials registered as `id`, see
    /// [`register_personality`](crate::register::Registrar::register_personality). Since Linux 5.6.
    #[must_use]
    #[inline(always)]
    pub const fn with_personality(mut self, id: u16) -> Self {
        self.0.personality = id;
        self
    }

    /// Adds `IOSQE_` flags.
    #[must_use]
    #[inline(always)]
    #[doc(alias = "io_uring_sqe_set_flags")]
    pub const fn with_flags(mut self, flags: SqeFlags) -> Self {
        self.0.flags = self.0.flags.union(flags);
        self
    }

    /// Whether the next entry is tied to this one.
    #[inline(always)]
    pub const fn is_linked(&self) -> bool {
        self.0.flags.intersects(LINKS)
    }
}

impl SafeSqe {
    /// Wraps an entry of which the caller knows that it names no memory, and acts on no
    /// descriptor of the program's.
    #[inline(always)]
    pub(crate) const fn new(sqe: Sqe) -> Self {
        Self(sqe)
    }

    /// The entry itself, for reading.
    #[inline(always)]
    pub const fn as_sqe(&self) -> &Sqe {
        &self.0
    }

    /// See [`Sqe::with_user_data`].
    #[must_use]
    #[inline(always)]
    pub const fn with_user_data(self, user_data: u64) -> Self {
        Self(self.0.with_user_data(user_data))
    }

    /// See [`Sqe::link`].
    #[must_use]
    #[inline(always)]
    pub const fn link(self) -> Self {
        Self(self.0.link())
    }

    /// See [`Sqe::hard_link`].
    #[must_use]
    #[inline(always)]
    pub const fn hard_link(self) -> Self {
        Self(self.0.hard_link())
    }

    /// See [`Sqe::drain`].
    #[must_use]
    #[inline(always)]
    pub const fn drain(self) -> Self {
        Self(self.0.drain())
    }

    /// See [`Sqe::force_async`].
    #[must_use]
    #[inline(always)]
    pub const fn force_async(self) -> Self {
        Self(self.0.force_async())
    }

    /// See [`Sqe::skip_success`].
    #[must_use]
    #[inline(always)]
    pub const fn skip_success(self) -> Self {
        Self(self.0.skip_success())
    }

    /// See [`Sqe::with_personality`].
    #[must_use]
    #[inline(always)]
    pub const fn with_personality(self, id: u16) -> Self {
        Self(self.0.with_personality(id))
    }
}

impl From<SafeSqe> for Sqe {
    #[inline(always)]
    fn from(safe: SafeSqe) -> Self {
        safe.0
    }
}

impl PartialEq for Sqe {
    /// Whether the kernel would read the same bytes.
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Sqe {}

impl fmt::Debug for Sqe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.tail();
        f.debug_struct("Sqe")
            .field("opcode", &self.opcode())
            .field("flags", &self.flags())
            .field("ioprio", &self.ioprio())
            .field("fd", &self.fd())
            .field("off", &format_args!("{:#x}", self.off()))
            .field("addr", &format_args!("{:#x}", self.addr()))
            .field("len", &self.len())
            .field("op_flags", &format_args!("{:#x}", self.op_flags()))
            .field("user_data", &format_args!("{:#x}", self.user_data()))
            .field("buf_index", &self.buf_index())
            .field("personality", &self.personality())
            .field("file_index", &self.file_index())
            .field("tail", &format_args!("[{first:#x}, {second:#x}]"))
            .finish()
    }
}
