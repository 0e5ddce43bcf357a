//! Features that a kernel or a machine lacks, which only an errno shows; and calls without a ring,
//! or with a ring that has no descriptor.

use crate::common::memory::{Pages, Provided};
use crate::common::{complete, lacks_register, require};
use crate::op_common::{assert_quiet, pipe, reap_told, ring};
use ringbolt::ops::{MsgRing, Nop};
use ringbolt::register::{CancelWhat, Clock, CloneRange, FileSlot, register};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::param::page_size;
use ringbolt::sys::{
    BpfCmd, CloneBuffersFlags, Opcode, RegionFlags, RegisterOp, SetupFlags, SharedPtr, ZcrxCtrlOp,
    bpf_arg, io_uring_bpf, io_uring_bpf_filter, io_uring_region_desc, io_uring_zcrx_area_reg,
    io_uring_zcrx_ifq_reg, zcrx_ctrl,
};
use ringbolt::{CqEntry, IoUring, Sqe};

/// Memory and structs for one attempt to register a zero-copy receive queue.
struct Queue {
    _memory: [Pages; 2],
    _area: Box<io_uring_zcrx_area_reg>,
    region: Box<io_uring_region_desc>,
    queue: io_uring_zcrx_ifq_reg,
}

impl Queue {
    fn new(interface: u32) -> Self {
        let len = 16 * page_size();
        let memory = [Pages::new(len), Pages::new(len)];
        let [area, region] =
            memory.each_ref().map(|pages| SharedPtr::from_mut(pages.start.as_ptr()));
        let len = len as u64;
        let mut area =
            Box::new(io_uring_zcrx_area_reg { addr: area, len, ..io_uring_zcrx_area_reg::ZEROED });
        let mut region = Box::new(io_uring_region_desc {
            user_addr: region,
            size: len,
            flags: RegionFlags::TYPE_USER,
            ..io_uring_region_desc::ZEROED
        });
        let queue = io_uring_zcrx_ifq_reg {
            if_idx: interface,
            rq_entries: 16,
            area_ptr: SharedPtr::from_mut(&raw mut *area),
            region_ptr: SharedPtr::from_mut(&raw mut *region),
            ..io_uring_zcrx_ifq_reg::ZEROED
        };
        Self { _memory: memory, _area: area, region, queue }
    }

    /// Returns why the registration failed: no machine for tests has a card that supports it.
    fn refusal<C: CqEntry, T>(&mut self, ring: &IoUring<Sqe, C, T>) -> Errno {
        // SAFETY: the structs and the memory are valid as long as `self`.
        let result = unsafe { ring.registrar().register_zcrx(&mut self.queue) };
        result.expect_err("a card that writes into our memory").errno
    }
}

#[test]
fn zero_copy_receive_is_refused_with_its_cause() {
    require!(register: RegisterOp::REGISTER_ZCRX_IFQ);
    require!(machine: rustix::process::geteuid().is_root(), "root's privileges");
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    let builder = IoUring::builder().flags(flags);
    let narrow = builder.build_local(8).expect("a ring with narrow completions");
    let ring = builder.cqe32().build_local(8).expect("a ring with wide completions");
    // The first interface is the loopback device, which is not a card.
    assert_eq!(Queue::new(1).refusal(&ring), Errno::OPNOTSUPP);
    assert_eq!(Queue::new(1 << 20).refusal(&ring), Errno::NODEV);
    // Rings without the required set-up.
    assert_eq!(Queue::new(1).refusal(&narrow), Errno::INVAL);
    assert_eq!(Queue::new(1).refusal(&self::ring()), Errno::INVAL);
    // Invalid arguments.
    let mut without_entries = Queue::new(1);
    without_entries.queue.rq_entries = 0;
    assert_eq!(without_entries.refusal(&ring), Errno::INVAL);
    let mut without_area = Queue::new(1);
    without_area.queue.area_ptr = SharedPtr::NULL;
    assert_eq!(without_area.refusal(&ring), Errno::FAULT);
    let mut cut = Queue::new(1);
    cut.region.size = 1;
    assert_eq!(cut.refusal(&ring), Errno::INVAL);
}

#[test]
fn controlling_a_missing_zero_copy_queue_fails() {
    let ring = ring();
    let mut control = zcrx_ctrl { op: ZcrxCtrlOp::FLUSH_RQ, ..zcrx_ctrl::ZEROED };
    let expected = match lacks_register(RegisterOp::REGISTER_ZCRX_CTRL) {
        Some(_) => Errno::INVAL,
        None => Errno::NXIO,
    };
    // SAFETY: the command points to nothing.
    let result = unsafe { ring.registrar().control_zcrx(&mut control) };
    assert_eq!(result.map_err(Errno::from), Err(expected));
}

#[test]
fn an_invalid_filter_is_einval() {
    let mut ring = ring();
    let filter = |cmd_type| {
        let filter = io_uring_bpf { cmd_type, ..io_uring_bpf::ZEROED };
        // SAFETY: there are no instructions.
        unsafe { ring.registrar().register_bpf_filter(&filter) }
    };
    assert_eq!(filter(BpfCmd::from_raw(0)).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(filter(BpfCmd::FILTER).map_err(Errno::from), Err(Errno::INVAL));
    // SAFETY: the entry refers to no memory.
    let cqe = unsafe { complete(&mut ring, Nop::new().sqe(1)) };
    assert_eq!(cqe.result(), Ok(0));
}

#[test]
fn a_filter_denies_entries_or_the_kernel_is_too_old() {
    // One instruction of classic BPF: return 0, which means deny.
    let program = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 }];
    let mut ring = ring();
    let filter = io_uring_bpf_filter {
        opcode: u32::from(Opcode::NOP.as_raw()),
        filter_len: 1,
        filter_ptr: SharedPtr::new(program.as_ptr()),
        ..io_uring_bpf_filter::ZEROED
    };
    let filter =
        io_uring_bpf { cmd_type: BpfCmd::FILTER, arg: bpf_arg { filter }, ..io_uring_bpf::ZEROED };
    // SAFETY: one instruction, which stays valid until the call returns.
    let result = unsafe { ring.registrar().register_bpf_filter(&filter) };
    // SAFETY: the entry refers to no memory.
    let cqe = unsafe { complete(&mut ring, Nop::new().sqe(1)) };
    if lacks_register(RegisterOp::REGISTER_BPF_FILTER).is_some() {
        assert_eq!(result.map_err(Errno::from), Err(Errno::INVAL));
    }
    assert_eq!(cqe.result(), if result.is_ok() { Err(Errno::ACCESS) } else { Ok(0) });
}

#[test]
fn without_a_ring_only_operations_that_need_none_succeed() {
    require!(register: RegisterOp::REGISTER_SEND_MSG_RING);
    let needs_none = [
        RegisterOp::REGISTER_SEND_MSG_RING,
        RegisterOp::REGISTER_QUERY,
        RegisterOp::REGISTER_RESTRICTIONS,
        RegisterOp::REGISTER_BPF_FILTER,
    ];
    for raw in 0..64 {
        let op = RegisterOp::from_raw(raw);
        if !needs_none.contains(&op) {
            // SAFETY: no ring, and no argument.
            let result = unsafe { register(-1, op, core::ptr::null_mut(), 0) };
            assert_eq!(result, Err(Errno::INVAL), "{op:?}");
        }
    }
}

#[test]
fn a_raw_call_without_a_ring_posts_a_completion() {
    require!(register: RegisterOp::REGISTER_SEND_MSG_RING);
    let mut ring = ring();
    let mut sqe = MsgRing::new(&ring, 7, 8).sqe(0);
    let arg = core::ptr::from_mut(sqe.as_raw_mut()).cast();
    // SAFETY: one entry, which the kernel only reads, during the call; it names no memory.
    let send = |count| unsafe { register(-1, RegisterOp::REGISTER_SEND_MSG_RING, arg, count) };
    assert_eq!([send(0), send(2)], [Err(Errno::INVAL); 2]);
    assert_eq!(send(1), Ok(0));
    assert_eq!(reap_told(&mut ring, 1), [(8, Ok(7))]);
    // Only messages are accepted: other entries are refused.
    sqe.set_opcode(Opcode::NOP);
    let arg = core::ptr::from_mut(sqe.as_raw_mut()).cast();
    // SAFETY: as above.
    let nop = unsafe { register(-1, RegisterOp::REGISTER_SEND_MSG_RING, arg, 1) };
    assert_eq!(nop, Err(Errno::INVAL));
    assert_quiet(&mut ring);
}

/// Goal: each call uses the index of the ring if it has no descriptor.
/// Method: one call from each module, and its result.
///
/// liburing: reg-reg-ring.
#[test]
fn a_ring_without_a_descriptor_supports_every_registration() {
    // Before Linux 6.13, which also has this, tags of dropped tables are not posted.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(setup: SetupFlags::NO_MMAP | SetupFlags::REGISTERED_FD_ONLY);
    require!(register: RegisterOp::REGISTER_CLOCK);
    let provided = Provided::for_ring(&IoUring::builder(), 8);
    // SAFETY: the memory outlives the ring, and is used by nothing else.
    let builder = unsafe { provided.give(IoUring::builder()) };
    let mut ring = builder.build_without_fd(8).expect("a ring");
    let (reader, _writer) = pipe();
    let registrar = ring.registrar();
    assert_eq!(registrar.register_files_tagged(&[FileSlot::from(&reader)], &[5]), Ok(()));
    assert_eq!(registrar.set_clock(Clock::Boottime), Ok(()));
    assert_eq!(
        registrar.cancel(CancelWhat::user_data(1), None).map_err(Errno::from),
        Err(Errno::NOENT)
    );
    assert_eq!(registrar.unregister_eventfd().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(registrar.register_restrictions(&[]).map_err(Errno::from), Err(Errno::BADFD));
    let id = registrar.register_personality().expect("credentials");
    assert_eq!(registrar.unregister_personality(id), Ok(()));
    let (source, all) = (self::ring(), CloneRange::default());
    // SAFETY: there are no buffers.
    let cloned = unsafe { registrar.clone_buffers(&source, all, CloneBuffersFlags::empty()) };
    assert_eq!(cloned.map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(registrar.unregister_files(), Ok(()));
    assert_eq!(reap_told(&mut ring, 1), [(5, Ok(0))]);
}
