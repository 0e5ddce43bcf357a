//! A ring with restrictions may do only what they allow.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use crate::common::process::in_child;
use crate::common::{TempDir, complete, lacks_register, reap, require};
use crate::op_common::{AS_OF_6_11, assert_quiet, reap_told, ring};
use ringbolt::ops::{Fixed, Nop, Read, Timeout};
use ringbolt::register::{FileSlot, RegisterError, Restriction, restrict_task};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{Opcode, RegisterOp, SetupFlags, SqeFlags};
use ringbolt::{DisabledIoUring, IoUring, Sqe, Timespec};

fn disabled() -> DisabledIoUring {
    IoUring::builder().submit_all().build_disabled(8).expect("a disabled ring")
}

/// A ring that was enabled with these restrictions.
fn restricted(restrictions: &[Restriction]) -> IoUring {
    let ring = disabled();
    assert_eq!(ring.registrar().register_restrictions(restrictions), Ok(()));
    ring.enable().expect("a ring for any thread")
}

/// Submits an entry that refers to no memory, and returns its result.
fn run(ring: &mut IoUring, sqe: impl Into<Sqe>) -> Result<u32, Errno> {
    // SAFETY: the entries of this file name no memory, or memory that stays forever.
    unsafe { complete(ring, sqe.into()) }.result()
}

/// An entry for an operation that is not allowed. Its time is leaked.
fn timeout() -> Sqe {
    static AT_ONCE: Timespec = Timespec::new(0, 1);
    Timeout::new(&raw const AT_ONCE).sqe(2)
}

const NOPS: Restriction = Restriction::operation(Opcode::NOP);

/// NOPs and the probe alone: one of each sort, since from Linux 7.0 on each sort restricts only
/// what it is about.
fn nops_and_probe() -> [Restriction; 2] {
    [NOPS, register_op(RegisterOp::REGISTER_PROBE)]
}

/// Whether naming operations alone restricts registrations, too.
fn has_one_sort() -> bool {
    lacks_register(RegisterOp::REGISTER_BPF_FILTER).is_some()
}

fn register_op(op: RegisterOp) -> Restriction {
    Restriction::register_op(op).expect("an operation below 256")
}

/// liburing: register-restrictions.
#[test]
fn operations_that_are_not_allowed_are_eacces() {
    let mut ring = restricted(&[NOPS]);
    assert_eq!(run(&mut ring, Nop::new().sqe(1)), Ok(0));
    assert_eq!(run(&mut ring, timeout()), Err(Errno::ACCESS));
    assert_eq!(run(&mut ring, Nop::new().sqe(1)), Ok(0), "and goes on");
    let mut ring = restricted(&[NOPS, Restriction::operation(Opcode::TIMEOUT)]);
    assert_eq!(run(&mut ring, timeout()), Err(Errno::TIME));
    assert_eq!(run(&mut ring, Nop::new().sqe(1)), Ok(0));
}

/// liburing: register-restrictions.
#[test]
fn flags_that_are_not_allowed_are_eacces() {
    let plain = Nop::new().sqe(1);
    let mut ring = restricted(&[NOPS]);
    assert_eq!(run(&mut ring, plain), Ok(0));
    assert_eq!(run(&mut ring, plain.force_async()), Err(Errno::ACCESS), "none is");
    let allowed = SqeFlags::ASYNC | SqeFlags::IO_DRAIN;
    let mut ring = restricted(&[NOPS, Restriction::flags_allowed(allowed)]);
    for (sqe, result) in [
        (plain, Ok(0)),
        (plain.force_async(), Ok(0)),
        (plain.drain(), Ok(0)),
        (plain.drain().force_async(), Ok(0)),
    ] {
        assert_eq!(run(&mut ring, sqe), result, "{sqe:?}");
    }
    let linked = [plain.link().into(), plain.into()];
    // SAFETY: the entries refer to no memory.
    unsafe { ring.submission().push_all(&linked) }.expect("room");
    ring.submit().expect("the kernel takes the entries");
    assert_eq!(reap_told(&mut ring, 1), [(1, Err(Errno::ACCESS))]);
}

/// liburing: register-restrictions.
#[test]
fn an_entry_without_the_required_flags_is_eacces() {
    let (dir, fixed) = (TempDir::new(), Fixed(0));
    let file = std::fs::File::open(dir.file("data", b"d")).expect("it was just made");
    let read = Restriction::operation(Opcode::READ);
    let required = Restriction::flags_required(SqeFlags::FIXED_FILE);
    let disabled = disabled();
    let registrar = disabled.registrar();
    assert_eq!(registrar.register_files(&[FileSlot::from(&file)]), Ok(()));
    assert_eq!(registrar.register_restrictions(&[read, required]), Ok(()));
    let mut ring = disabled.enable().expect("a ring for any thread");
    let mut buf = [0];
    let mut run = |read: Read| {
        // SAFETY: file and buffer stay until `complete` returns.
        unsafe { complete(&mut ring, read.offset(0).sqe(1)) }.result()
    };
    assert_eq!(run(Read::new(fixed, buf.as_mut_ptr(), 1)), Ok(1));
    assert_eq!(run(Read::new(&file, buf.as_mut_ptr(), 1)), Err(Errno::ACCESS));
    // Required flags are also allowed; others are not.
    let read = Read::new(fixed, buf.as_mut_ptr(), 1).offset(0).sqe(1).force_async();
    assert_eq!(self::run(&mut ring, read), Err(Errno::ACCESS));
}

/// liburing: register-restrictions.
#[test]
fn registrations_that_are_not_allowed_are_eacces() {
    let mut ring = restricted(&nops_and_probe());
    let registrar = ring.registrar();
    assert!(registrar.probe().is_ok_and(|probe| probe.supports(Opcode::NOP)));
    assert_eq!(registrar.register_personality().map_err(Errno::from), Err(Errno::ACCESS));
    assert_eq!(registrar.unregister_files().map_err(Errno::from), Err(Errno::ACCESS));
    assert_eq!(
        registrar.register_files(&[FileSlot::EMPTY]).map_err(Errno::from),
        Err(Errno::ACCESS)
    );
    assert_eq!(run(&mut ring, Nop::new().sqe(1)), Ok(0));
}

#[test]
fn up_to_linux_6_19_each_sort_restricts_the_other_too() {
    let expected = has_one_sort().then_some(Errno::ACCESS);
    let ring = restricted(&[NOPS]);
    assert_eq!(ring.registrar().probe().err().map(Errno::from), expected);
    let mut ring = restricted(&[register_op(RegisterOp::REGISTER_PROBE)]);
    assert!(ring.registrar().probe().is_ok());
    assert_eq!(run(&mut ring, Nop::new().sqe(1)).err(), expected);
}

#[test]
fn restrictions_do_not_apply_to_a_disabled_ring() {
    let disabled = disabled();
    let registrar = disabled.registrar();
    assert_eq!(registrar.register_restrictions(&nops_and_probe()), Ok(()));
    assert_eq!(registrar.register_files(&[FileSlot::EMPTY]), Ok(()));
    let ring = disabled.enable().expect("a ring for any thread");
    assert_eq!(ring.registrar().unregister_files().map_err(Errno::from), Err(Errno::ACCESS));
}

/// liburing: register-restrictions.
#[test]
fn restrictions_can_be_registered_once_and_only_before_enabling() {
    let disabled = disabled();
    let registrar = disabled.registrar();
    assert_eq!(registrar.register_restrictions(&nops_and_probe()), Ok(()));
    assert_eq!(registrar.register_restrictions(&[NOPS]).map_err(Errno::from), Err(Errno::BUSY));
    let ring = disabled.enable().expect("a ring for any thread");
    assert_eq!(
        ring.registrar().register_restrictions(&[NOPS]).map_err(Errno::from),
        Err(Errno::ACCESS)
    );
    let ring = self::ring();
    assert_eq!(
        ring.registrar().register_restrictions(&[NOPS]).map_err(Errno::from),
        Err(Errno::BADFD)
    );
}

#[test]
fn a_ring_without_any_permission_refuses_everything() {
    let disabled = disabled();
    let registrar = disabled.registrar();
    assert_eq!(registrar.register_restrictions(&[]), Ok(()));
    assert_eq!(registrar.register_restrictions(&[NOPS]).map_err(Errno::from), Err(Errno::BUSY));
    let mut ring = disabled.enable().expect("a ring for any thread");
    assert_eq!(run(&mut ring, Nop::new().sqe(1)), Err(Errno::ACCESS));
    assert_eq!(ring.registrar().probe().err().map(Errno::from), Some(Errno::ACCESS));
}

#[test]
fn invalid_restrictions_restrict_nothing() {
    let disabled = disabled();
    let registrar = disabled.registrar();
    let no_such = Restriction::operation(Opcode::from_raw(u8::MAX));
    assert_eq!(
        registrar.register_restrictions(&[NOPS, no_such]).map_err(Errno::from),
        Err(Errno::INVAL)
    );
    let no_such = register_op(RegisterOp::from_raw(255));
    assert_eq!(registrar.register_restrictions(&[no_such]).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(
        registrar.register_restrictions(&[NOPS; 4096]).map_err(Errno::from),
        Err(Errno::INVAL)
    );
    let beyond = Restriction::register_op(RegisterOp::from_raw(256));
    assert_eq!(beyond.err(), Some(Errno::INVAL), "without asking");
    let mut ring = disabled.enable().expect("a ring for any thread");
    assert_eq!(run(&mut ring, timeout()), Err(Errno::TIME));
    assert!(ring.registrar().probe().is_ok());
}

#[test]
fn without_submit_all_a_forbidden_entry_stops_the_submission() {
    // On Linux 6.1 an entry that is refused completes before those ahead of it.
    require!(op: AS_OF_6_11);
    let disabled = IoUring::builder().build_disabled(8).expect("a disabled ring");
    assert_eq!(disabled.registrar().register_restrictions(&[NOPS]), Ok(()));
    let mut ring = disabled.enable().expect("a ring for any thread");
    let nop = Nop::new().sqe(1).into();
    // SAFETY: the timespec stays forever.
    unsafe { ring.submission().push_all(&[nop, timeout(), nop]) }.expect("room");
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!(reap_told(&mut ring, 2), [(1, Ok(0)), (2, Err(Errno::ACCESS))]);
    assert_quiet(&mut ring);
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap(&mut ring, 1)[0].user_data(), 1);
}

#[test]
fn a_restricted_ring_can_be_bound_to_one_thread() {
    require!(setup: SetupFlags::SINGLE_ISSUER);
    let disabled = IoUring::builder().single_issuer().build_disabled(8).expect("a disabled ring");
    assert_eq!(disabled.registrar().register_restrictions(&[NOPS]), Ok(()));
    std::thread::spawn(move || {
        let mut ring = disabled.enable_local().expect("a ring for this thread");
        // SAFETY: the timespec stays forever.
        let cqe = unsafe { complete(&mut ring, timeout()) };
        assert_eq!(cqe.result(), Err(Errno::ACCESS));
    })
    .join()
    .expect("no panic");
}

/// Goal: every ring that is made afterwards is restricted, or the kernel reports that it does not
/// support this.
/// Method: in a separate process, because it cannot be undone.
///
/// liburing: task-restrict.
#[test]
fn a_task_is_restricted_or_the_kernel_is_too_old() {
    in_child("a_task_is_restricted_or_the_kernel_is_too_old", || {
        let mut before = ring();
        let result = restrict_task([NOPS, register_op(RegisterOp::REGISTER_PROBE)]);
        if let Err(RegisterError { errno, .. }) = result {
            // Linux 7.0 has it, and there root may do it.
            assert!(matches!(errno, Errno::INVAL | Errno::BADF | Errno::ACCESS), "{errno}");
            assert_eq!(run(&mut ring(), timeout()), Err(Errno::TIME), "rings are not restricted");
            return;
        }
        let mut after = ring();
        assert_eq!(run(&mut after, timeout()), Err(Errno::ACCESS));
        assert_eq!(run(&mut after, Nop::new().sqe(1)), Ok(0));
        assert_eq!(run(&mut before, timeout()), Err(Errno::TIME));
        // EACCES since Linux 7.3.
        let again = restrict_task([NOPS]).map_err(Errno::from);
        assert!(matches!(again, Err(Errno::PERM | Errno::ACCESS)), "{again:?}");
    });
}
