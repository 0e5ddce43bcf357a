//! The three system calls, with arguments that they must refuse.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::ffi::c_void;
use core::ptr::{null, null_mut, without_provenance, without_provenance_mut};
use std::fs::File;

use crate::common::memory::Pages;
use crate::common::process::{UNLIMITED, bounded, in_child, limit, may_lock_any_amount};
use crate::common::{PATIENCE, require, set_up};
use crate::op_common::{AS_OF_6_11, assert_quiet, complete_safe, leaked, reap_told, ring};
use ringbolt::ops::{IoVec, Nop};
use ringbolt::register::{FileSlot, register};
use ringbolt::sys::{
    self, EnterFlags, Features, IORING_REGISTER_USE_REGISTERED_RING, RegisterOp, SetupFlags,
    SharedPtr, io_uring_getevents_arg, io_uring_params, io_uring_rsrc_update,
};
use ringbolt::{IoUring, Timespec};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;

type F = SetupFlags;
type E = EnterFlags;

/// A number that no descriptor has, because the kernel's own limit is lower.
const CLOSED: i32 = i32::MAX;

/// The result of set-up with `params`, which refer to no mapped memory.
fn try_setup(entries: u32, params: &mut io_uring_params) -> Result<OwnedFd, Errno> {
    // SAFETY: `params` is valid for reads and writes, and the memory that it names is not there.
    let made = unsafe { sys::io_uring_setup(entries, params) };
    // SAFETY: just made; nothing else uses it. The callers ask for no registered index.
    made.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).map_err(Errno::from_raw_os_error)
}

fn try_flags(flags: SetupFlags) -> Result<OwnedFd, Errno> {
    try_setup(1, &mut io_uring_params { flags, ..io_uring_params::ZEROED })
}

/// liburing: io_uring_setup.
#[test]
fn set_up_refuses_invalid_parameters() {
    let zeroed = io_uring_params::ZEROED;
    let setup = |entries, mut params| try_setup(entries, &mut params).err();
    assert_eq!(setup(0, zeroed), Some(Errno::INVAL));
    assert_eq!(setup(32_769, zeroed), Some(Errno::INVAL));
    assert_eq!(setup(u32::MAX, zeroed), Some(Errno::INVAL));
    for nowhere in [0, 8, usize::MAX] {
        // SAFETY: no memory is there, which is what the kernel is to find out.
        let refused = unsafe { sys::io_uring_setup(1, without_provenance_mut(nowhere)) };
        assert_eq!(refused.map_err(Errno::from_raw_os_error), Err(Errno::FAULT));
    }
    for place in 0..3 {
        let mut resv = [0; 3];
        resv[place] = 1;
        assert_eq!(setup(1, io_uring_params { resv, ..zeroed }), Some(Errno::INVAL));
    }
    let cq = |cq_entries| io_uring_params { flags: F::CQSIZE, cq_entries, ..zeroed };
    assert_eq!([setup(4, cq(0)), setup(4, cq(2)), setup(4, cq(65_537))], [Some(Errno::INVAL); 3]);
    let (flags, sq_thread_cpu) = (F::SQPOLL | F::SQ_AFF, 1 << 20);
    let no_such_cpu = io_uring_params { flags, sq_thread_cpu, ..zeroed };
    assert_eq!(setup(1, no_such_cpu), Some(Errno::INVAL));
    assert_eq!(try_flags(F::SQ_AFF).err(), Some(Errno::INVAL));
    assert_eq!(try_flags(F::from_bits_retain(1 << 31)).err(), Some(Errno::INVAL));
    let attach = |fd: i32| {
        let (flags, wq_fd) = (F::ATTACH_WQ, fd.unsigned_abs());
        setup(1, io_uring_params { flags, wq_fd, ..zeroed })
    };
    let file = File::open("/dev/null").expect("a file");
    assert_eq!(attach(CLOSED), Some(Errno::NXIO));
    assert_eq!(attach(file.as_raw_fd()), Some(Errno::INVAL));
}

/// liburing: io_uring_setup, cq-size.
#[test]
fn set_up_returns_sizes_offsets_and_features() {
    let mut params =
        io_uring_params { flags: F::CQSIZE, cq_entries: 33, ..io_uring_params::ZEROED };
    let ring = try_setup(5, &mut params).expect("a ring");
    assert_eq!((params.sq_entries, params.cq_entries), (8, 64));
    assert_eq!(params.flags, F::CQSIZE, "as requested");
    assert!(params.features.contains(Features::SINGLE_MMAP | Features::NODROP));
    assert!(params.cq_off.cqes > 0 && params.sq_off.array > 0);
    drop(ring);
    let flags = F::CQSIZE | F::CLAMP;
    let mut params = io_uring_params { flags, cq_entries: u32::MAX, ..io_uring_params::ZEROED };
    try_setup(u32::MAX, &mut params).expect("sizes that are cut down");
    assert_eq!((params.sq_entries, params.cq_entries), (32_768, 65_536));
}

/// liburing: io_uring_setup.
#[test]
fn the_descriptor_of_a_ring_cannot_be_read_written_or_seeked() {
    let ring = IoUring::new(1).expect("a ring");
    let mut byte = [0];
    assert_eq!(rustix::io::read(&ring, &mut byte), Err(Errno::INVAL));
    assert_eq!(rustix::io::write(&ring, &byte), Err(Errno::INVAL));
    let there = rustix::fs::SeekFrom::Start(0);
    assert_eq!(rustix::fs::seek(&ring, there), Err(Errno::SPIPE));
    assert!(rustix::fs::ftruncate(&ring, 0).is_err());
    // A ring cannot read a ring, neither itself nor another, through its descriptor or a registered
    // file.
    assert_eq!(
        ring.registrar().register_files(&[FileSlot::from(&ring)]).map_err(Errno::from),
        Err(Errno::BADF)
    );
}

/// The result of set-up with memory for the rings and for the entries at these addresses.
fn try_memory(rings: SharedPtr, sqes: SharedPtr) -> Option<Errno> {
    let mut params = io_uring_params { flags: F::NO_MMAP, ..io_uring_params::ZEROED };
    params.cq_off.user_addr = rings;
    params.sq_off.user_addr = sqes;
    try_setup(4, &mut params).err()
}

/// liburing: no-mmap-inval.
#[test]
fn set_up_refuses_unmapped_memory() {
    require!(setup: F::NO_MMAP);
    let pages = [Pages::new(page_size()), Pages::new(page_size())];
    let [rings, sqes] = pages.each_ref().map(|pages| SharedPtr::from_mut(pages.start.as_ptr()));
    let at = |address| SharedPtr::without_provenance(address);
    // The page is followed by another that must not be accessed.
    let [after_rings, after_sqes] = pages.each_ref().map(|pages| {
        at(u64::try_from(pages.start.addr().get() + page_size()).expect("an address"))
    });
    for nowhere in [at(0), at(1 << 12), at(!0xfff), at(1 << 62)] {
        assert!(try_memory(nowhere, sqes).is_some(), "{nowhere:?}");
        assert!(try_memory(rings, nowhere).is_some(), "{nowhere:?}");
        assert!(try_memory(nowhere, nowhere).is_some(), "{nowhere:?}");
    }
    assert_eq!(try_memory(after_rings, sqes), Some(Errno::FAULT));
    assert_eq!(try_memory(rings, after_sqes), Some(Errno::FAULT));
    assert_eq!(try_memory(rings, sqes), None, "and this memory is mapped");
}

/// The result of entering. The entries of the callers refer to no memory.
fn try_enter(fd: i32, count: u32, flags: E, arg: *const c_void, size: usize) -> Result<u32, Errno> {
    // SAFETY: the callers pass an argument that is null, valid, or not there at all.
    let entered = unsafe { sys::io_uring_enter(fd, count, 0, flags, arg, size) };
    entered.map_err(Errno::from_raw_os_error)
}

/// liburing: io_uring_enter.
#[test]
fn entering_refuses_other_files_and_unknown_flags() {
    let file = File::open("/dev/null").expect("a file");
    let ring = IoUring::new(4).expect("a ring");
    let fd = ring.as_raw_fd();
    let enter = |fd, flags| try_enter(fd, 1, flags, null(), 0);
    assert_eq!(enter(CLOSED, E::empty()), Err(Errno::BADF));
    assert_eq!(enter(-1, E::empty()), Err(Errno::BADF));
    assert_eq!(enter(file.as_raw_fd(), E::empty()), Err(Errno::OPNOTSUPP));
    for bit in 16..32 {
        let flag = E::from_bits_retain(1 << bit);
        assert_eq!(enter(fd, flag), Err(Errno::INVAL), "{flag:?}");
    }
    // An index that this thread has not registered, and an invalid one.
    assert_eq!(enter(15, E::REGISTERED_RING), Err(Errno::BADF));
    assert_eq!(enter(16, E::REGISTERED_RING), Err(Errno::INVAL));
    // To request more entries than are queued is not an error.
    assert_eq!(try_enter(fd, u32::MAX, E::empty(), null(), 0), Ok(0));
    assert_eq!(enter(fd, E::GETEVENTS), Ok(0));
}

/// The error of a wait with this argument, for a completion that is not there.
fn try_wait(ring: &IoUring, flags: E, arg: *const c_void, size: usize) -> Errno {
    let flags = E::GETEVENTS | flags;
    // SAFETY: nothing is queued, and the argument is null, valid, or not there at all.
    let waited = unsafe { sys::io_uring_enter(ring.as_raw_fd(), 0, 1, flags, arg, size) };
    Errno::from_raw_os_error(waited.expect_err("nothing comes"))
}

/// liburing: io_uring_enter.
#[test]
fn a_wait_refuses_invalid_arguments() {
    require!(feature: Features::EXT_ARG);
    bounded(|| {
        let ring = IoUring::new(4).expect("a ring");
        let mask = [0_u64; 16];
        let mask: *const c_void = mask.as_ptr().cast();
        // The kernel's signal sets have 8 bytes, unlike those of the C library.
        for size in [0, 4, 16, 128] {
            assert_eq!(try_wait(&ring, E::empty(), mask, size), Errno::INVAL, "{size}");
        }
        assert_eq!(try_wait(&ring, E::empty(), without_provenance(8), 8), Errno::FAULT);

        let size = size_of::<io_uring_getevents_arg>();
        let now = Timespec::new(0, 0);
        let ts = SharedPtr::new(now.as_raw());
        let wait = io_uring_getevents_arg { ts, ..io_uring_getevents_arg::ZEROED };
        let pass = |wait: io_uring_getevents_arg| {
            try_wait(&ring, E::EXT_ARG, (&raw const wait).cast(), size)
        };
        let sigmask = SharedPtr::new(mask);
        assert_eq!(pass(wait), Errno::TIME);
        let with_mask = io_uring_getevents_arg { sigmask, sigmask_sz: 8, ..wait };
        assert_eq!(pass(with_mask), Errno::TIME);
        assert_eq!(pass(io_uring_getevents_arg { sigmask_sz: 128, ..with_mask }), Errno::INVAL);
        for wrong in [0, 8, size - 1, size + 1] {
            let arg = (&raw const wait).cast();
            assert_eq!(try_wait(&ring, E::EXT_ARG, arg, wrong), Errno::INVAL, "{wrong}");
        }
        assert_eq!(try_wait(&ring, E::EXT_ARG, without_provenance(8), size), Errno::FAULT);
        let nowhere = SharedPtr::without_provenance(8);
        assert_eq!(pass(io_uring_getevents_arg { ts: nowhere, ..wait }), Errno::FAULT);
        let no_mask = io_uring_getevents_arg { sigmask: nowhere, ..with_mask };
        assert_eq!(pass(no_mask), Errno::FAULT);
        // No region for arguments is registered.
        let size = size_of::<sys::io_uring_reg_wait>();
        let refused = try_wait(&ring, E::EXT_ARG | E::EXT_ARG_REG, null(), size);
        assert!(matches!(refused, Errno::FAULT | Errno::INVAL), "{refused}");
    });
}

/// Goal: an invalid index is dropped and counted, and the next entry is submitted.
/// Method: a ring mapped by hand, because the queues of this crate fill in the array once, with
/// valid indexes.
///
/// liburing: io_uring_enter, ignore-single-mmap.
#[test]
fn an_invalid_index_is_dropped_and_counted() {
    let (fd, params) = set_up(F::empty()).expect("a ring");
    let len = page_size();
    let map = |offset| {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses the address; a ring of one entry takes less than a page.
        unsafe { mmap(null_mut(), len, access, flags, &fd, offset) }.expect("a region")
    };
    // The two queues are mapped separately, even if the kernel has one region for both.
    let [sq, cq, sqes] =
        [sys::IORING_OFF_SQ_RING, sys::IORING_OFF_CQ_RING, sys::IORING_OFF_SQES].map(map);
    let word = |region: *mut c_void, offset: u32| -> *mut u32 {
        // SAFETY: the kernel returned the offsets of its words, which are inside the region.
        unsafe { region.byte_add(offset as usize) }.cast()
    };
    let set = |word: *mut u32, value| {
        // SAFETY: a word of the mapping, which the kernel looks at only when it is entered.
        unsafe { word.write_volatile(value) }
    };
    // SAFETY: a word of the mapping, which nothing writes during the test.
    let get = |word: *mut u32| unsafe { word.read_volatile() };
    let (tail, array) = (word(sq, params.sq_off.tail), word(sq, params.sq_off.array));
    let dropped = word(sq, params.sq_off.dropped);

    for (number, index) in (1..).zip([1, 100, u32::MAX]) {
        set(array, index);
        set(tail, number);
        assert_eq!(try_enter(fd.as_raw_fd(), 1, E::GETEVENTS, null(), 0), Ok(0), "{index}");
        assert_eq!((get(dropped), get(word(sq, params.sq_off.head))), (number, number));
    }
    // All zeros are a NOP.
    set(array, 0);
    set(tail, 4);
    assert_eq!(try_enter(fd.as_raw_fd(), 1, E::GETEVENTS, null(), 0), Ok(1));
    assert_eq!((get(dropped), get(word(cq, params.cq_off.tail))), (3, 1));
    for region in [sq, cq, sqes] {
        // SAFETY: mapped above, whole, and not used again.
        assert_eq!(unsafe { munmap(region, len) }, Ok(()));
    }
}

/// The result of a raw registration with arguments that are refused, or that refer to nothing.
fn try_register(fd: i32, op: RegisterOp, arg: *mut c_void, count: u32) -> Result<u32, Errno> {
    // SAFETY: the callers pass what the kernel refuses, or what names memory that stays.
    unsafe { register(fd, op, arg, count) }
}

/// liburing: io_uring_register.
#[test]
fn registering_refuses_other_files_and_unknown_operations() {
    let file = File::open("/dev/null").expect("a file");
    let ring = ring();
    let fd = ring.as_raw_fd();
    let op = RegisterOp::UNREGISTER_FILES;
    assert_eq!(try_register(CLOSED, op, null_mut(), 0), Err(Errno::BADF));
    assert_eq!(try_register(file.as_raw_fd(), op, null_mut(), 0), Err(Errno::OPNOTSUPP));
    for raw in [100, 1000, u32::MAX >> 1] {
        let refused = try_register(fd, RegisterOp::from_raw(raw), null_mut(), 0);
        assert_eq!(refused, Err(Errno::INVAL), "{raw}");
    }
    // Operations without an argument refuse one.
    let takes_none = [
        RegisterOp::UNREGISTER_BUFFERS,
        RegisterOp::UNREGISTER_FILES,
        RegisterOp::UNREGISTER_EVENTFD,
        RegisterOp::REGISTER_PERSONALITY,
        RegisterOp::REGISTER_ENABLE_RINGS,
    ];
    let arg: *mut c_void = leaked::<64>().as_mut_ptr().cast();
    for op in takes_none {
        assert_eq!(try_register(fd, op, arg, 0), Err(Errno::INVAL), "{op:?}");
        assert_eq!(try_register(fd, op, null_mut(), 1), Err(Errno::INVAL), "{op:?}");
    }
    // Enabling a ring that is not disabled fails.
    let enable = RegisterOp::REGISTER_ENABLE_RINGS;
    assert_eq!(try_register(fd, enable, null_mut(), 0), Err(Errno::BADFD));
}

/// liburing: io_uring_register.
#[test]
fn invalid_buffers_are_refused() {
    require!(op: AS_OF_6_11);
    let ring = ring();
    let registrar = ring.registrar();
    let page = leaked::<4096>().as_mut_ptr();
    let register = |buffers: &[IoVec]| {
        // SAFETY: memory that is leaked and that nothing uses, or no memory.
        unsafe { registrar.register_buffers(buffers) }
    };
    assert_eq!(register(&[]).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(register(&[IoVec::new(null_mut(), 4096)]).map_err(Errno::from), Err(Errno::FAULT));
    assert_eq!(
        register(&[IoVec::new(without_provenance_mut(8), 8)]).map_err(Errno::from),
        Err(Errno::FAULT)
    );
    assert_eq!(register(&[IoVec::new(page, 0)]).map_err(Errno::from), Err(Errno::FAULT));
    // At most 1 GiB, and no more than 16,384 of them.
    assert_eq!(
        register(&[IoVec::new(page, (1 << 30) + 1)]).map_err(Errno::from),
        Err(Errno::FAULT)
    );
    assert_eq!(register(&[IoVec::new(page, usize::MAX)]).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(
        register(&vec![IoVec::new(page, 1); 16_385]).map_err(Errno::from),
        Err(Errno::INVAL)
    );
    let op = RegisterOp::REGISTER_BUFFERS;
    let nowhere = without_provenance_mut(8);
    assert_eq!(try_register(ring.as_raw_fd(), op, nowhere, 1), Err(Errno::FAULT));
    // None of these calls left a table behind.
    assert_eq!(registrar.unregister_buffers().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(register(&[IoVec::new(page, 4096)]), Ok(()));
}

/// liburing: io_uring_register.
#[test]
fn buffers_beyond_the_limit_of_locked_memory_are_refused() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    in_child("buffers_beyond_the_limit_of_locked_memory_are_refused", || {
        const LEN: usize = 1 << 20;
        limit(libc::RLIMIT_MEMLOCK, 1 << 18);
        // Root may lock any amount of memory, so this changes the user.
        // SAFETY: numbers only.
        let changed = unsafe { libc::setresuid(65_534, 65_534, 65_534) };
        // SAFETY: the call has no precondition.
        assert!(changed == 0 || unsafe { libc::geteuid() } != 0);
        // The limit is read when a ring is made.
        let ring = IoUring::new(4).expect("a ring");
        let memory: &'static mut [u8] = Box::leak(vec![0; LEN].into());
        let mut register = |len| {
            // SAFETY: the memory is leaked, and nothing uses it.
            unsafe { ring.registrar().register_buffers(&[IoVec::new(memory.as_mut_ptr(), len)]) }
        };
        assert_eq!(register(LEN).map_err(Errno::from), Err(Errno::NOMEM));
        assert_eq!(register(1 << 16), Ok(()));
    });
}

/// liburing: io_uring_register, file-register.
#[test]
fn tables_beyond_the_limit_of_open_files_are_refused() {
    in_child("tables_beyond_the_limit_of_open_files_are_refused", || {
        let ring = IoUring::new(4).expect("a ring");
        let file = File::open("/dev/null").expect("a file");
        limit(libc::RLIMIT_NOFILE, 64);
        let registrar = ring.registrar();
        let table = vec![FileSlot::from(&file); 65];
        assert_eq!(registrar.register_files(&table).map_err(Errno::from), Err(Errno::MFILE));
        assert_eq!(registrar.register_files_sparse(65).map_err(Errno::from), Err(Errno::MFILE));
        assert_eq!(registrar.register_files(&table[..64]), Ok(()));
        assert_eq!(registrar.unregister_files(), Ok(()));
        let mut fds = [file.as_raw_fd(), CLOSED];
        let arg = fds.as_mut_ptr().cast();
        let op = RegisterOp::REGISTER_FILES;
        assert_eq!(try_register(ring.as_raw_fd(), op, arg, 2), Err(Errno::BADF));
        let nowhere = without_provenance_mut(8);
        assert_eq!(try_register(ring.as_raw_fd(), op, nowhere, 2), Err(Errno::FAULT));
    });
}

/// Goal: an index replaces a descriptor in each call, but only with the flag.
/// Method: a ring that is registered by hand, and its index, which is an ordinary number.
///
/// liburing: reg-reg-ring.
#[test]
fn a_registered_index_refers_to_a_ring_only_with_its_flag() {
    require!(op: AS_OF_6_11);
    require!(register: RegisterOp::REGISTER_RING_FDS);
    bounded(|| {
        let mut ring = IoUring::new(4).expect("a ring");
        let fd = u64::try_from(ring.as_raw_fd()).expect("a descriptor");
        let data = SharedPtr::without_provenance(fd);
        let mut update = io_uring_rsrc_update { offset: 7, data, ..io_uring_rsrc_update::ZEROED };
        let arg: *mut c_void = (&raw mut update).cast();
        let named = RegisterOp::REGISTER_RING_FDS;
        assert_eq!(try_register(ring.as_raw_fd(), named, arg, 1), Ok(1));
        let by_index = |op: RegisterOp, arg, count| {
            let op = RegisterOp::from_raw(op.as_raw() | IORING_REGISTER_USE_REGISTERED_RING);
            [7, 6, 16].map(|index| try_register(index, op, arg, count).map(|_| ()))
        };
        let (none, no_such) = (Err(Errno::BADF), Err(Errno::INVAL));
        let unregister = RegisterOp::UNREGISTER_FILES;
        let answers = by_index(unregister, null_mut(), 0);
        assert_eq!(answers, [Err(Errno::NXIO), none, no_such], "there is no table yet");
        let mut files = [0_i32];
        let answers = by_index(RegisterOp::REGISTER_FILES, files.as_mut_ptr().cast(), 1);
        assert_eq!(answers, [Ok(()), none, no_such]);
        // It is the table of the ring that the descriptor refers to.
        assert_eq!(ring.registrar().unregister_files(), Ok(()));
        assert_eq!(try_enter(7, 0, E::REGISTERED_RING, null(), 0), Ok(0));
        // Registering and freeing indexes also works with an index.
        update.data = SharedPtr::NULL;
        let arg = (&raw mut update).cast();
        assert_eq!(by_index(RegisterOp::UNREGISTER_RING_FDS, arg, 1)[0], Ok(()));
        assert_eq!(by_index(unregister, null_mut(), 0), [none, none, no_such]);
        assert_eq!(complete_safe(&mut ring, Nop::new().sqe(1)).result(), Ok(0));
    });
}

/// liburing: io_uring_enter.
#[test]
fn a_refused_wait_submits_no_entry() {
    let mut ring = ring();
    for id in 0..3 {
        ring.submission().push_safe(Nop::new().sqe(id)).expect("room");
    }
    ring.submission().flush();
    let unknown = E::from_bits_retain(1 << 20);
    assert_eq!(try_enter(ring.as_raw_fd(), 3, unknown, null(), 0), Err(Errno::INVAL));
    assert_eq!((ring.submission().len(), ring.completion().len()), (3, 0));
    // The requested number of entries is submitted, not all that are queued.
    assert_eq!(try_enter(ring.as_raw_fd(), 2, E::empty(), null(), 0), Ok(2));
    assert_eq!(ring.submission().len(), 1);
    assert_eq!(ring.submit_and_wait_timeout(3, Timespec::from(PATIENCE)), Ok(1));
    assert_eq!(reap_told(&mut ring, 3), [(0, Ok(0)), (1, Ok(0)), (2, Ok(0))]);
    assert_quiet(&mut ring);
}
