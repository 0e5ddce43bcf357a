//! The operation of an entry, which is checked and copied from the program's memory when the entry
//! is consumed.

use core::ffi::c_void;
use std::vec::Vec;

use rustix::io::Errno;

use crate::sys::{
    __kernel_timespec, CancelFlags, NopFlags, Opcode, RwFlags, SetupFlags, SharedPtr, SqeFlags,
    TimeoutFlags, io_uring_sqe,
};

use super::files::{At, Name, Range};
use super::program::Program;

/// The operation to execute.
pub(super) enum Plan {
    /// Completes with this result, or with an error if the file or buffer does not exist.
    Nop {
        result: i32,
        extra: Option<[u64; 2]>,
        file: Option<Name>,
        buffer: bool,
        later: bool,
    },
    Transfer(Transfer),
    /// Fires after a duration, at a time or, if `count` is not 0, after that many completions.
    Timeout {
        time: Time,
        count: u32,
        etime_is_success: bool,
    },
    /// Removes a timeout, or changes its time.
    TimeoutRemove {
        user_data: u64,
        time: Option<Time>,
    },
    /// Cancels the request before it in its chain, if that has not completed in time.
    LinkTimeout(Time),
    Cancel(Key),
    /// Completes with an error when started.
    Fail(Errno),
}

/// A read or write.
pub(super) struct Transfer {
    pub(super) write: bool,
    pub(super) file: Name,
    pub(super) at: At,
    pub(super) ranges: Vec<Range>,
    /// The group from which to pick a buffer, for as many bytes as the ranges have.
    pub(super) group: Option<u16>,
    /// Whether it reads again and again, until the end or for lack of buffers.
    pub(super) multishot: bool,
}

/// Nanoseconds from now, or from time 0.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    Span(i128),
    Instant(i128),
}

/// Which requests to cancel.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) flags: CancelFlags,
    pub(super) user_data: u64,
    pub(super) file: Name,
    pub(super) opcode: u32,
}

/// The supported operations.
pub(super) const KNOWN: [Opcode; 13] = [
    Opcode::NOP,
    Opcode::READV,
    Opcode::WRITEV,
    Opcode::TIMEOUT,
    Opcode::TIMEOUT_REMOVE,
    Opcode::ASYNC_CANCEL,
    Opcode::LINK_TIMEOUT,
    Opcode::READ,
    Opcode::WRITE,
    Opcode::READ_MULTISHOT,
    Opcode::URING_CMD,
    Opcode::NOP128,
    Opcode::URING_CMD128,
];

/// The flags of Linux 6.18.
const NOP_FLAGS: u32 = 0x3f;
const RW_FLAGS: u32 = 0x1ff;
const CANCEL_FLAGS: u32 = 0x3f;

/// The maximum number of vectors of a transfer, and of bytes.
const MOST_VECTORS: u32 = 1024;
const MOST_BYTES: usize = 0x7fff_f000;

/// `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Vector {
    base: *mut c_void,
    len: usize,
}

impl Time {
    pub(super) fn instant(self, now: i128) -> i128 {
        match self {
            Self::Span(nanos) => now.saturating_add(nanos),
            Self::Instant(nanos) => nanos,
        }
    }
}

/// A time in nanoseconds.
pub(super) fn nanos(time: __kernel_timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// The operation of `sqe` on a ring with `setup`. Errors such as `EINVAL` are reported before
/// anything starts.
pub(super) fn plan(program: Program, setup: SetupFlags, sqe: &io_uring_sqe) -> Result<Plan, Errno> {
    match sqe.opcode {
        Opcode::NOP | Opcode::NOP128 => nop(setup, sqe),
        Opcode::READ | Opcode::READV | Opcode::WRITE | Opcode::WRITEV => transfer(program, sqe),
        Opcode::READ_MULTISHOT => read_multishot(program, sqe),
        Opcode::TIMEOUT => timeout(program, sqe),
        Opcode::LINK_TIMEOUT => link_timeout(program, sqe),
        Opcode::TIMEOUT_REMOVE => timeout_remove(program, sqe),
        Opcode::ASYNC_CANCEL => cancel(sqe),
        Opcode::URING_CMD | Opcode::URING_CMD128 => Ok(Plan::Fail(Errno::OPNOTSUPP)),
        _ => Err(Errno::INVAL),
    }
}

fn nop(setup: SetupFlags, sqe: &io_uring_sqe) -> Result<Plan, Errno> {
    let flags = NopFlags::from_bits_retain(op_flags(sqe));
    if flags.bits() & !NOP_FLAGS != 0 {
        return Err(Errno::INVAL);
    }
    let wide = flags.contains(NopFlags::CQE32);
    if wide && !setup.intersects(SetupFlags::CQE32 | SetupFlags::CQE_MIXED) {
        return Err(Errno::INVAL);
    }
    let injected = i32::from_ne_bytes(sqe.len.to_ne_bytes());
    let fixed = flags.contains(NopFlags::FIXED_FILE);
    Ok(Plan::Nop {
        result: if flags.contains(NopFlags::INJECT_RESULT) { injected } else { 0 },
        extra: wide.then(|| [off(sqe), addr(sqe).addr()]),
        file: flags.contains(NopFlags::FILE).then(|| name(sqe.fd, fixed)),
        buffer: flags.contains(NopFlags::FIXED_BUFFER),
        later: flags.contains(NopFlags::TW),
    })
}

fn transfer(program: Program, sqe: &io_uring_sqe) -> Result<Plan, Errno> {
    let write = matches!(sqe.opcode, Opcode::WRITE | Opcode::WRITEV);
    let attributes = tail(sqe)[1];
    if attributes != 0 {
        return Err(Errno::INVAL);
    }
    let selects = sqe.flags.contains(SqeFlags::BUFFER_SELECT);
    let ranges = if matches!(sqe.opcode, Opcode::READV | Opcode::WRITEV) {
        if sqe.len > MOST_VECTORS || (selects && sqe.len != 1) {
            return Err(Errno::INVAL);
        }
        vectors(program, addr(sqe), sqe.len)?
    } else {
        std::vec![Range { start: addr(sqe), len: MOST_BYTES.min(sqe.len as usize) }]
    };
    let flags = RwFlags::from_bits_retain(op_flags(sqe));
    if flags.bits() & !RW_FLAGS != 0 {
        return Ok(Plan::Fail(Errno::OPNOTSUPP));
    }
    if flags.contains(RwFlags::HIPRI) {
        // No operation here can be polled.
        return Ok(Plan::Fail(Errno::INVAL));
    }
    let at = match off(sqe) {
        _ if write && flags.contains(RwFlags::APPEND) => At::End,
        u64::MAX => At::Position,
        offset if i64::try_from(offset).is_err() => return Ok(Plan::Fail(Errno::INVAL)),
        offset => At::Offset(offset),
    };
    // SAFETY: both arms are the same `u16`.
    let group = unsafe { sqe.buf.buf_group };
    let file = name(sqe.fd, sqe.flags.contains(SqeFlags::FIXED_FILE));
    let group = selects.then_some(group);
    Ok(Plan::Transfer(Transfer { write, file, at, ranges, group, multishot: false }))
}

fn read_multishot(program: Program, sqe: &io_uring_sqe) -> Result<Plan, Errno> {
    let selects = sqe.flags.contains(SqeFlags::BUFFER_SELECT);
    if !selects || addr(sqe).addr() != 0 || sqe.len != 0 {
        return Err(Errno::INVAL);
    }
    let mut plan = transfer(program, sqe)?;
    if let Plan::Transfer(transfer) = &mut plan {
        transfer.multishot = true;
    }
    Ok(plan)
}

/// Copies an array of vectors, which the program may reuse after the entry is consumed.
fn vectors(program: Program, from: SharedPtr, count: u32) -> Result<Vec<Range>, Errno> {
    let first: *const Vector = from.as_ptr().cast_const().cast();
    let mut ranges = Vec::new();
    let mut room = MOST_BYTES;
    for index in 0..count {
        let vector = first.wrapping_add(index as usize);
        // SAFETY: one of `count` vectors that the program keeps valid until the entry is consumed,
        // by the contract of pushing; every bit pattern is a vector.
        let vector = unsafe { program.read(vector) }?;
        if isize::try_from(vector.len).is_err() {
            return Err(Errno::INVAL);
        }
        let len = vector.len.min(room);
        room -= len;
        ranges.push(Range { start: SharedPtr::from_mut(vector.base), len });
    }
    Ok(ranges)
}

fn timeout(program: Program, sqe: &io_uring_sqe) -> Result<Plan, Errno> {
    type F = TimeoutFlags;
    let flags = F::from_bits_retain(op_flags(sqe));
    let known = F::ABS | F::BOOTTIME | F::REALTIME | F::ETIME_SUCCESS;
    let clocks = F::BOOTTIME | F::REALTIME;
    if sqe.len != 1 || !flags.difference(known).is_empty() || flags.contains(clocks) {
        return Err(Errno::INVAL);
    }
    let time = time(program, addr(sqe), flags)?;
    // The kernel's count also has 32 bits.
    let count = u32::try_from(off(sqe) & u64::from(u32::MAX)).unwrap_or(0);
    Ok(Plan::Timeout { time, count, etime_is_success: flags.contains(F::ETIME_SUCCESS) })
}

fn link_timeout(program: Program, sqe: &io_uring_sqe) -> Result<Plan, Errno> {
    match timeout(program, sqe)? {
        Plan::Timeout { time, count: 0, .. } => Ok(Plan::LinkTimeout(time)),
        _ => Err(Errno::INVAL),
    }
}

fn timeout_remove(program: Program, sqe: &io_uring_sqe) -> Result<Plan, Errno> {
    type F = TimeoutFlags;
    let flags = F::from_bits_retain(op_flags(sqe));
    if sqe.len != 0 || !flags.difference(F::UPDATE | F::ABS).is_empty() {
        return Err(Errno::INVAL);
    }
    let time = if flags.contains(F::UPDATE) {
        // SAFETY: every bit pattern is a valid `SharedPtr`, and all arms fill its 8 bytes.
        Some(time(program, unsafe { sqe.off.addr2 }, flags)?)
    } else if flags.is_empty() {
        None
    } else {
        return Err(Errno::INVAL);
    };
    Ok(Plan::TimeoutRemove { user_data: addr(sqe).addr(), time })
}

/// Reads the time that an entry points to.
fn time(program: Program, from: SharedPtr, flags: TimeoutFlags) -> Result<Time, Errno> {
    // SAFETY: the program keeps it valid until the entry is consumed, by the contract of pushing;
    // every bit pattern is a time.
    let time = unsafe { program.read(from.as_ptr().cast_const().cast::<__kernel_timespec>()) }?;
    if time.tv_sec < 0 || time.tv_nsec < 0 {
        return Err(Errno::INVAL);
    }
    let absolute = flags.contains(TimeoutFlags::ABS);
    Ok(if absolute { Time::Instant(nanos(time)) } else { Time::Span(nanos(time)) })
}

fn cancel(sqe: &io_uring_sqe) -> Result<Plan, Errno> {
    type F = CancelFlags;
    let flags = F::from_bits_retain(op_flags(sqe));
    let contradiction = flags.contains(F::ANY) && flags.intersects(F::FD | F::OP);
    if flags.bits() & !CANCEL_FLAGS != 0 || contradiction || off(sqe) != 0 {
        return Err(Errno::INVAL);
    }
    let fixed = flags.contains(F::FD_FIXED) || sqe.flags.contains(SqeFlags::FIXED_FILE);
    let file = name(sqe.fd, fixed);
    Ok(Plan::Cancel(Key { flags, user_data: addr(sqe).addr(), file, opcode: sqe.len }))
}

fn name(fd: i32, fixed: bool) -> Name {
    // The field is signed, a slot is not: the bits are the same.
    if fixed { Name::Fixed(u32::from_ne_bytes(fd.to_ne_bytes())) } else { Name::Fd(fd) }
}

fn off(sqe: &io_uring_sqe) -> u64 {
    // SAFETY: every bit pattern is a valid `u64`, and all arms fill its 8 bytes.
    unsafe { sqe.off.off }
}

fn addr(sqe: &io_uring_sqe) -> SharedPtr {
    // SAFETY: every bit pattern is a valid `SharedPtr`, and all arms fill its 8 bytes.
    unsafe { sqe.addr.addr }
}

fn op_flags(sqe: &io_uring_sqe) -> u32 {
    // SAFETY: every bit pattern is a valid `u32`, and all arms fill its 4 bytes.
    unsafe { sqe.op_flags.raw }
}

fn tail(sqe: &io_uring_sqe) -> [u64; 2] {
    // SAFETY: every bit pattern is a valid `[u64; 2]`, and all arms fill its 16 bytes.
    unsafe { sqe.tail.raw }
}
