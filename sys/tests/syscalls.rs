//! The system calls against the running kernel: every argument arrives, in its place, and errors
//! come back as positive numbers.
//!
//! Each argument is shown by an answer that the kernel gives only if that argument, and no other,
//! has a certain value.

#![cfg(not(miri))]
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::alloc::Layout;
use core::hint::black_box;
use core::ptr::{self, without_provenance, without_provenance_mut};
use core::sync::atomic::{AtomicU32, Ordering};
use std::alloc::alloc_zeroed;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use ringbolt_sys::{
    __kernel_timespec, EnterFlags, Opcode, ProbeOpFlags, RawErrno, RegisterOp, SetupFlags,
    SharedPtr, io_uring_cqe, io_uring_enter, io_uring_getevents_arg, io_uring_params,
    io_uring_probe, io_uring_probe_op, io_uring_register, io_uring_setup, io_uring_sqe,
};

const EBADF: RawErrno = 9;
const EFAULT: RawErrno = 14;
const EINVAL: RawErrno = 22;
const ETIME: RawErrno = 62;

/// An address in the first page, which is never mapped.
const NOWHERE: usize = 8;

fn setup(entries: u32, params: &mut io_uring_params) -> Result<OwnedFd, RawErrno> {
    // SAFETY: `params` is borrowed mutably; callers that name memory in it leak that memory.
    let fd = unsafe { io_uring_setup(entries, params) }?;
    // SAFETY: just made, and nothing else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn ring() -> OwnedFd {
    setup(4, &mut io_uring_params::default()).expect("a ring")
}

/// Whether no ring can be made here. Prints a line if so: the test is skipped.
fn is_refused() -> bool {
    let refusal = setup(1, &mut io_uring_params::default()).err();
    if let Some(errno) = refusal {
        println!("skipped: io_uring_setup is refused here (errno {errno})");
    }
    refusal.is_some()
}

/// Submits nothing, so that the only memory at stake is `arg`.
#[inline(always)]
fn enter(
    fd: i32,
    min_complete: u32,
    flags: EnterFlags,
    arg: *const io_uring_getevents_arg,
    arg_size: usize,
) -> Result<u32, RawErrno> {
    // SAFETY: `arg` is null, never mapped, or a structure of the caller's; nothing is submitted.
    unsafe { io_uring_enter(fd, 0, min_complete, flags, arg.cast(), arg_size) }
}

#[test]
fn setup_gets_entries_and_params() {
    if is_refused() {
        return;
    }
    let mut params = io_uring_params::ZEROED;
    assert_eq!(setup(0, &mut params).err(), Some(EINVAL));
    assert!(setup(5, &mut params).is_ok());
    assert_eq!((params.sq_entries, params.cq_entries), (8, 16));

    let unknown = SetupFlags::from_bits_retain(1 << 31);
    let mut params = io_uring_params { flags: unknown, ..io_uring_params::ZEROED };
    assert_eq!(setup(4, &mut params).err(), Some(EINVAL));

    // SAFETY: never mapped.
    let nowhere = unsafe { io_uring_setup(4, without_provenance_mut(NOWHERE)) };
    assert_eq!(nowhere, Err(EFAULT));
}

#[test]
fn enter_gets_descriptor_flags_and_min_complete() {
    if is_refused() {
        return;
    }
    let ring = ring();
    let fd = ring.as_raw_fd();
    assert_eq!(enter(fd, 0, EnterFlags::empty(), ptr::null(), 0), Ok(0));
    assert_eq!(enter(-1, 0, EnterFlags::empty(), ptr::null(), 0), Err(EBADF));
    let unknown = EnterFlags::from_bits_retain(1 << 31);
    assert_eq!(enter(fd, 0, unknown, ptr::null(), 0), Err(EINVAL));

    // One millisecond, for a completion that never comes.
    let timeout = __kernel_timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let arg = io_uring_getevents_arg {
        ts: SharedPtr::new(&raw const timeout),
        ..io_uring_getevents_arg::ZEROED
    };
    let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
    assert_eq!(enter(fd, 0, flags, &raw const arg, size_of_val(&arg)), Ok(0));
    assert_eq!(enter(fd, 1, flags, &raw const arg, size_of_val(&arg)), Err(ETIME));
}

#[test]
fn enter_gets_the_argument_and_its_size() {
    if is_refused() {
        return;
    }
    let ring = ring();
    let fd = ring.as_raw_fd();
    let arg = io_uring_getevents_arg::ZEROED;
    let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
    assert_eq!(enter(fd, 0, flags, &raw const arg, size_of_val(&arg)), Ok(0));
    assert_eq!(enter(fd, 0, flags, &raw const arg, size_of_val(&arg) - 1), Err(EINVAL));
    let nowhere = without_provenance(NOWHERE);
    assert_eq!(enter(fd, 0, flags, nowhere, size_of_val(&arg)), Err(EFAULT));
}

/// Goal: a register that the call changes behind the compiler's back does not go unnoticed.
/// Method: more values alive across the call than there are registers. Only an optimised build
/// keeps them in registers: run it with `--release`, too.
#[test]
fn a_call_leaves_the_values_of_its_caller_alone() {
    if is_refused() {
        return;
    }
    const VALUES: [usize; 16] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3];
    for _ in 0..3 {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = black_box(VALUES);
        let answer = enter(black_box(i32::MAX), 0, EnterFlags::empty(), ptr::null(), 0);
        assert_eq!([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p], VALUES);
        assert_eq!(answer, Err(EBADF));
    }
}

/// A probe with room for two opcodes.
#[repr(C)]
struct Probe {
    header: io_uring_probe,
    ops: [io_uring_probe_op; 2],
}

#[test]
fn register_gets_all_four_arguments() {
    if is_refused() {
        return;
    }
    let ring = ring();
    let fd = ring.as_raw_fd();
    let probe_op = RegisterOp::REGISTER_PROBE.as_raw();
    let probe = |fd: i32, op: u32, nr_args: u32| {
        let mut probe =
            Probe { header: io_uring_probe::ZEROED, ops: [io_uring_probe_op::ZEROED; 2] };
        // SAFETY: `probe` has room for two opcodes, and no caller asks for more but one, which
        // the kernel refuses.
        let answer = unsafe { io_uring_register(fd, op, (&raw mut probe).cast(), nr_args) };
        answer.map(|_| (probe.header.last_op, probe.header.ops_len, probe.ops))
    };

    let (last_op, ops_len, ops) = probe(fd, probe_op, 2).unwrap();
    assert!(last_op >= Opcode::OPENAT2);
    assert_eq!((ops_len, ops[0].op, ops[1].op), (2, Opcode::NOP, Opcode::READV));
    assert_eq!(ops[1].flags, ProbeOpFlags::SUPPORTED);
    let (_, ops_len, ops) = probe(fd, probe_op, 1).unwrap();
    assert_eq!((ops_len, ops[1].flags), (1, ProbeOpFlags::empty()));

    assert_eq!(probe(fd, probe_op, 257).err(), Some(EINVAL));
    assert_eq!(probe(fd, 9999, 2).err(), Some(EINVAL));
    // Not -1, which means no ring and is refused as such.
    assert_eq!(probe(i32::MAX, probe_op, 2).err(), Some(EBADF));
    // SAFETY: never mapped.
    let nowhere = unsafe { io_uring_register(fd, probe_op, without_provenance_mut(NOWHERE), 2) };
    assert_eq!(nowhere, Err(EFAULT));
}

/// Memory for one half of a small ring, never given back: the kernel lets go of it some time
/// after the ring is closed.
fn ring_memory() -> *mut u8 {
    let layout = Layout::from_size_align(65536, 65536).unwrap();
    // SAFETY: the size is not zero.
    let memory = unsafe { alloc_zeroed(layout) };
    assert!(!memory.is_null());
    memory
}

/// Goal: `to_submit` arrives, and entries and completions are read as they were written.
/// Method: a ring in the program's own memory, which needs no `mmap`; three entries, of which
/// two are submitted first.
#[test]
fn enter_submits_as_many_entries_as_it_is_told() {
    if is_refused() {
        return;
    }
    let (rings, sqes) = (ring_memory(), ring_memory());
    let mut params = io_uring_params::ZEROED;
    params.flags = SetupFlags::NO_MMAP | SetupFlags::NO_SQARRAY;
    params.cq_off.user_addr = SharedPtr::from_mut(rings);
    params.sq_off.user_addr = SharedPtr::from_mut(sqes);
    let ring = match setup(4, &mut params) {
        Ok(ring) => ring,
        Err(EINVAL) => {
            println!("skipped: kernel lacks IORING_SETUP_NO_SQARRAY (needs 6.6)");
            return;
        }
        Err(errno) => panic!("errno {errno}"),
    };
    for user_data in 0..3_u8 {
        let sqe = io_uring_sqe {
            opcode: Opcode::NOP,
            user_data: 0x5eed_0000_0000_0000 + u64::from(user_data),
            ..io_uring_sqe::ZEROED
        };
        let slot = sqes.cast::<io_uring_sqe>().wrapping_add(usize::from(user_data));
        // SAFETY: three of the four entries, which fit the page, and nobody reads them yet.
        unsafe { slot.write(sqe) };
    }
    let word = |offset: u32| {
        let word = rings.wrapping_add(offset as usize).cast();
        // SAFETY: the kernel's offset of an aligned `u32` in the page, which is never freed.
        unsafe { AtomicU32::from_ptr(word) }
    };
    word(params.sq_off.tail).store(3, Ordering::Release);

    let submit = |count: u32| {
        // SAFETY: a NOP names no memory, and there is no argument.
        unsafe {
            io_uring_enter(ring.as_raw_fd(), count, count, EnterFlags::GETEVENTS, ptr::null(), 0)
        }
    };
    assert_eq!(submit(2), Ok(2));
    assert_eq!(word(params.cq_off.tail).load(Ordering::Acquire), 2);
    assert_eq!(submit(1), Ok(1));
    assert_eq!(word(params.cq_off.tail).load(Ordering::Acquire), 3);
    for user_data in 0..3_u8 {
        let cqes = rings.wrapping_add(params.cq_off.cqes as usize).cast::<io_uring_cqe>();
        let slot = cqes.wrapping_add(usize::from(user_data));
        // SAFETY: three of the eight completions, which the kernel has posted.
        let cqe = unsafe { slot.read() };
        assert_eq!(cqe.user_data, 0x5eed_0000_0000_0000 + u64::from(user_data));
        assert_eq!((cqe.res, cqe.flags.bits()), (0, 0));
    }
}
