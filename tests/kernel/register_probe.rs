//! What a probe reports, and raw registration calls.

use std::fs::File;

use crate::common::{complete, require};
use crate::op_common::ring;
use ringbolt::IoUring;
use ringbolt::ops::{RawOp, Target};
use ringbolt::register::{Probe, register};
use ringbolt::rustix::fd::AsRawFd as _;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{Opcode, RegisterOp};

fn probe() -> Probe {
    ring().registrar().probe().expect("these tests need Linux 5.6")
}

/// liburing: probe.
#[test]
fn a_probe_supports_the_operations_of_every_kernel() {
    let probe = probe();
    for opcode in [Opcode::NOP, Opcode::READV, Opcode::POLL_ADD, Opcode::READ] {
        assert!(probe.supports(opcode), "{opcode:?}");
    }
    assert!(probe.last_op() >= Opcode::READ, "{:?}", probe.last_op());
    assert!(probe.supports(probe.last_op()));
}

/// liburing: probe.
#[test]
fn no_opcode_above_the_last_is_supported() {
    let probe = probe();
    let last = probe.last_op().as_raw();
    for raw in 0..=u8::MAX {
        let opcode = Opcode::from_raw(raw);
        assert!(raw <= last || !probe.supports(opcode), "{opcode:?} of {last}");
    }
    let listed: Vec<_> = probe.supported().collect();
    assert!(listed.is_sorted(), "{listed:?}");
    assert_eq!(listed.last(), Some(&probe.last_op()));
    assert!(listed.iter().all(|opcode| probe.supports(*opcode)));
}

#[test]
fn linux_6_18_has_every_operation_up_to_pipe() {
    let probe = probe();
    // The newest operation of that version. A kernel may be built without some; this test expects
    // the full set.
    let full = probe.last_op() == Opcode::PIPE;
    require!(machine: full, "Linux 6.16 to 6.18, of which it is known");
    let listed: Vec<_> = probe.supported().map(Opcode::as_raw).collect();
    assert_eq!(listed, (0..=62).collect::<Vec<_>>());
}

#[test]
fn operations_that_a_probe_lacks_complete_with_einval() {
    // Goal: the probe and the kernel agree. Method: entries with an invalid descriptor and
    // otherwise zero fields. A supported operation may return various errors; an unsupported one
    // returns only `EINVAL`.
    let probe = probe();
    let mut ring = ring();
    for raw in 0..=u8::MAX {
        let opcode = Opcode::from_raw(raw);
        if probe.supports(opcode) {
            continue;
        }
        // SAFETY: the entry refers to no memory, no file, and no supported operation.
        let cqe = unsafe { complete(&mut ring, RawOp::new(opcode).target(Target::Fd(-1)).sqe(1)) };
        assert_eq!(cqe.result(), Err(Errno::INVAL), "{opcode:?}");
    }
}

#[test]
fn a_probe_prints_the_names_of_its_operations_or_their_numbers() {
    let text = format!("{:?}", probe());
    assert!(text.starts_with("Probe {NOP, READV, WRITEV"), "{text}");
    // Operations of a newer kernel can be printed too: an opcode is a number with names, not an
    // enumeration.
    assert_eq!(format!("{:?}", Opcode::from_raw(255)), "Opcode(255)");
    let copy = probe().clone();
    assert_eq!(format!("{copy:?}"), text);
}

#[test]
fn a_probe_is_the_same_through_any_ring() {
    let text = format!("{:?}", probe());
    let mut local = IoUring::local(8).expect("a ring of this thread's");
    let through = local.registrar().probe().expect("as above");
    assert_eq!(format!("{through:?}"), text);
    assert!(local.completion().is_empty());
    let disabled = IoUring::builder().build_disabled(8).expect("a ring");
    let through = disabled.registrar().probe().expect("a disabled ring can be asked");
    assert_eq!(format!("{through:?}"), text);
}

/// A raw call that must fail.
fn errno(fd: i32, op: RegisterOp, arg: *mut core::ffi::c_void, nr: u32) -> Errno {
    // SAFETY: each caller in this file passes arguments that the kernel refuses.
    unsafe { register(fd, op, arg, nr) }.expect_err("arguments that are wrong")
}

#[test]
fn a_raw_call_returns_the_errno() {
    let null = core::ptr::null_mut();
    let file = File::open("Cargo.toml").expect("the package's own");
    let ring = ring();
    let unregister = RegisterOp::UNREGISTER_BUFFERS;
    assert_eq!(errno(i32::MAX, unregister, null, 0), Errno::BADF);
    assert_eq!(errno(file.as_raw_fd(), unregister, null, 0), Errno::OPNOTSUPP);
    assert_eq!(errno(ring.as_raw_fd(), unregister, null, 0), Errno::NXIO);
    assert_eq!(errno(ring.as_raw_fd(), unregister, null, 1), Errno::INVAL);
    let unknown = RegisterOp::from_raw(1000);
    assert_eq!(errno(ring.as_raw_fd(), unknown, null, 0), Errno::INVAL);
    let table = core::ptr::without_provenance_mut(8);
    assert_eq!(errno(ring.as_raw_fd(), RegisterOp::REGISTER_PROBE, table, 256), Errno::FAULT);
}

#[test]
fn a_raw_call_without_a_ring_reaches_the_kernel() {
    // The kernel distinguishes operations that need a ring from those that do not.
    let null = core::ptr::null_mut();
    let needs_one = errno(-1, RegisterOp::UNREGISTER_BUFFERS, null, 0);
    assert!(matches!(needs_one, Errno::BADF | Errno::INVAL), "{needs_one}");
    require!(register: RegisterOp::REGISTER_SEND_MSG_RING);
    assert_eq!(errno(-1, RegisterOp::REGISTER_SEND_MSG_RING, null, 0), Errno::INVAL);
    let nowhere = core::ptr::without_provenance_mut(8);
    assert_eq!(errno(-1, RegisterOp::REGISTER_SEND_MSG_RING, nowhere, 1), Errno::FAULT);
}
