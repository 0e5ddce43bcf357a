//! Queries about the kernel, compared with its behaviour.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use crate::common::{complete, lacks_enter, require, set_up};
use crate::op_common::ring;
use ringbolt::ops::Nop;
use ringbolt::register::{Answer, query, register};
use ringbolt::rustix::fd::AsRawFd as _;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{
    EnterFlags, QueryOp, RegisterOp, SetupFlags, SharedPtr, SqeFlags, io_uring_query_hdr,
    io_uring_query_opcode, io_uring_query_scq, io_uring_query_zcrx, io_uring_query_zcrx_event,
};
use ringbolt::{IoUring, Sqe};

fn opcodes() -> io_uring_query_opcode {
    query().expect("a kernel that can be asked")
}

/// Sends a whole chain of queries, through `fd`.
fn ask(fd: i32, chain: &mut io_uring_query_hdr) -> Result<u32, Errno> {
    let arg = core::ptr::from_mut(chain).cast();
    // SAFETY: each caller in this file has a chain of queries whose answers are valid for writes
    // during the call.
    unsafe { register(fd, RegisterOp::REGISTER_QUERY, arg, 0) }
}

fn question(op: QueryOp, answer: &mut [u8]) -> io_uring_query_hdr {
    io_uring_query_hdr {
        query_op: op,
        query_data: SharedPtr::from_mut(answer.as_mut_ptr()),
        size: u32::try_from(answer.len()).expect("a short answer"),
        ..io_uring_query_hdr::ZEROED
    }
}

#[test]
fn the_query_reports_as_many_opcodes_as_a_probe() {
    require!(register: RegisterOp::REGISTER_QUERY);
    let probe = ring().registrar().probe().expect("a newer kernel than probes");
    assert_eq!(opcodes().nr_request_opcodes, u32::from(probe.last_op().as_raw()) + 1);
}

#[test]
fn the_query_reports_as_many_register_operations_as_are_accepted() {
    require!(register: RegisterOp::REGISTER_QUERY);
    let number = opcodes().nr_register_opcodes;
    for raw in 0..number + 64 {
        // The kernel checks the number of the operation before the descriptor.
        let op = RegisterOp::from_raw(raw);
        // SAFETY: there is no such ring, and no argument.
        let result = unsafe { register(i32::MAX, op, core::ptr::null_mut(), 0) };
        let expected = if raw < number { Errno::BADF } else { Errno::INVAL };
        assert_eq!(result, Err(expected), "{op:?} of {number}");
    }
}

#[test]
fn the_query_reports_the_features_of_a_ring() {
    require!(register: RegisterOp::REGISTER_QUERY);
    assert_eq!(opcodes().feature_flags, u64::from(ring().features().bits()));
}

/// Other flags that a flag requires.
const COMPANIONS: [(SetupFlags, SetupFlags); 6] = [
    (SetupFlags::SQ_AFF, SetupFlags::SQPOLL),
    (SetupFlags::TASKRUN_FLAG, SetupFlags::COOP_TASKRUN),
    (SetupFlags::DEFER_TASKRUN, SetupFlags::SINGLE_ISSUER),
    (SetupFlags::REGISTERED_FD_ONLY, SetupFlags::NO_MMAP),
    (SetupFlags::HYBRID_IOPOLL, SetupFlags::IOPOLL),
    (SetupFlags::SQ_REWIND, SetupFlags::NO_SQARRAY),
];

#[test]
fn the_query_reports_the_accepted_setup_flags() {
    require!(register: RegisterOp::REGISTER_QUERY);
    let taken = opcodes().ring_setup_flags;
    for bit in 0..u32::BITS {
        let flag = SetupFlags::from_bits_retain(1 << bit);
        let refused = |flags| set_up(flags).err() == Some(Errno::INVAL);
        if taken & (1 << bit) == 0 {
            assert!(refused(flag), "{flag:?}");
            continue;
        }
        // These need a number of entries or another ring; later flags have no name here.
        let needs_more = flag.intersects(SetupFlags::CQSIZE | SetupFlags::ATTACH_WQ);
        if !needs_more && flag.iter_names().next().is_some() {
            let companion = COMPANIONS.iter().find(|(one, _)| *one == flag);
            let flags = flag | companion.map_or(SetupFlags::empty(), |(_, other)| *other);
            assert!(!refused(flags), "{flags:?}");
        }
    }
    assert_eq!(taken >> u32::BITS, 0);
}

#[test]
fn the_query_reports_the_accepted_enter_flags() {
    require!(register: RegisterOp::REGISTER_QUERY);
    let taken = opcodes().enter_flags;
    // The flags that have a meaning without arguments.
    let alone = EnterFlags::GETEVENTS
        | EnterFlags::SQ_WAKEUP
        | EnterFlags::SQ_WAIT
        | EnterFlags::ABS_TIMER
        | EnterFlags::NO_IOWAIT;
    for bit in 0..u32::BITS {
        let flag = EnterFlags::from_bits_retain(1 << bit);
        let is_taken = taken & (1 << bit) != 0;
        if !is_taken || alone.contains(flag) {
            assert_eq!(lacks_enter(flag).is_none(), is_taken, "{flag:?}");
        }
    }
}

#[test]
fn the_query_reports_the_accepted_entry_flags() {
    require!(register: RegisterOp::REGISTER_QUERY);
    let taken = opcodes().sqe_flags;
    let named: u64 = SqeFlags::all().iter_names().map(|(_, flag)| u64::from(flag.bits())).sum();
    assert_eq!(named & !taken, 0, "{taken:#x}");
    let mut ring = ring();
    for bit in (0..u8::BITS).filter(|bit| taken & (1 << bit) == 0) {
        let nop: Sqe = Nop::new().sqe(1).into();
        // SAFETY: the entry refers to no memory.
        let cqe =
            unsafe { complete(&mut ring, nop.with_flags(SqeFlags::from_bits_retain(1 << bit))) };
        assert_eq!(cqe.result(), Err(Errno::INVAL), "bit {bit}");
    }
}

/// Whether the kernel knows the query. Fails if it does not answer exactly the queries that it
/// counts.
fn is_known<A: Answer>() -> bool {
    let known = A::QUESTION.as_raw() < opcodes().nr_query_opcodes;
    match query::<A>() {
        Ok(_) => assert!(known, "{:?} answered", A::QUESTION),
        Err(error) => {
            assert_eq!((known, error.errno), (false, Errno::OPNOTSUPP), "{:?}", A::QUESTION);
        }
    }
    known
}

#[test]
fn unknown_queries_are_eopnotsupp() {
    require!(register: RegisterOp::REGISTER_QUERY);
    assert!(is_known::<io_uring_query_opcode>());
    let newer = is_known::<io_uring_query_zcrx>() && is_known::<io_uring_query_scq>();
    let newest = is_known::<io_uring_query_zcrx_event>();
    assert!(newer || !newest);
    let mut answer = [0; 64];
    let mut unknown = question(QueryOp::from_raw(1000), &mut answer);
    assert_eq!(ask(-1, &mut unknown), Ok(0), "the call succeeds, the question does not");
    assert_eq!(unknown.result, -libc::EOPNOTSUPP);
}

/// liburing: ring-query.
#[test]
fn ring_query_answers_each_query_of_a_chain() {
    require!(register: RegisterOp::REGISTER_QUERY);
    let ring = IoUring::new(1).expect("a ring");
    for fd in [-1, ring.as_raw_fd()] {
        let (mut answer, mut nothing, mut short) = ([0xff; 64], [0xff; 64], [0xff; 16]);
        let mut third = question(QueryOp::OPCODES, &mut short[..8]);
        let mut second = question(QueryOp::from_raw(1000), &mut nothing);
        second.next_entry = SharedPtr::from_mut(&raw mut third);
        let mut first = question(QueryOp::OPCODES, &mut answer);
        first.next_entry = SharedPtr::from_mut(&raw mut second);
        assert_eq!(ask(fd, &mut first), Ok(0));
        assert_eq!((first.result, second.result, third.result), (0, -libc::EOPNOTSUPP, 0));
        assert_eq!((second.size, third.size), (0, 8));
        let filled = usize::try_from(first.size).expect("at most 64");
        assert_eq!(filled, size_of::<io_uring_query_opcode>());
        let number = u32::from_ne_bytes([short[0], short[1], short[2], short[3]]);
        assert_eq!(number, opcodes().nr_request_opcodes, "as much as there is room for");
        assert_eq!(short[8..], [0xff; 8]);
        assert_eq!(answer[..8], short[..8]);
    }
}

#[test]
fn an_invalid_query_fails_alone_and_an_invalid_address_fails_the_call() {
    require!(register: RegisterOp::REGISTER_QUERY);
    let mut answer = [0; 64];
    let mut reserved = question(QueryOp::OPCODES, &mut answer);
    reserved.__resv[0] = 1;
    assert_eq!((ask(-1, &mut reserved), reserved.result), (Ok(0), -libc::EINVAL));
    let mut nowhere = question(QueryOp::OPCODES, &mut answer);
    nowhere.query_data = SharedPtr::without_provenance(8);
    assert_eq!(ask(-1, &mut nowhere), Err(Errno::FAULT));
    let null = core::ptr::without_provenance_mut(8);
    // SAFETY: no memory that is mapped.
    let result = unsafe { register(-1, RegisterOp::REGISTER_QUERY, null, 0) };
    assert_eq!(result, Err(Errno::FAULT));
}
