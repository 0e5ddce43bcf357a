//! Why a ring cannot be made: each reason is told apart, and tells what to do.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::io::ErrorKind;

use crate::common;
use crate::common::memory::Provided;
use crate::common::process::{
    UNLIMITED, address_space, bounded, in_child, limit, may_lock_any_amount, refuse_call,
};
use crate::common::{Lack, require};
use ringbolt::sys::{self, SetupFlags, SharedPtr, io_uring_params};
use ringbolt::{BuildError, Builder, Contradiction, CqEntry, IoUring, LayoutError, MemoryNeeded};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

type F = SetupFlags;

fn new() -> Builder<'static> {
    IoUring::builder()
}

fn refusal<R>(built: Result<R, BuildError>) -> BuildError {
    match built {
        Ok(_) => panic!("a ring was made"),
        Err(error) => error,
    }
}

/// Flags that contradict each other, and what is said about them.
fn contradictions() -> [(Builder<'static>, Contradiction, &'static str); 9] {
    let needs = |flag, one_of| Contradiction::Needs { flag, one_of };
    let excludes = |flag, others| Contradiction::Excludes { flag, others };
    let taskrun = F::COOP_TASKRUN | F::DEFER_TASKRUN;
    [
        (
            new().taskrun_flag(),
            needs(F::TASKRUN_FLAG, taskrun),
            "IORING_SETUP_TASKRUN_FLAG needs one of IORING_SETUP_COOP_TASKRUN, \
             IORING_SETUP_DEFER_TASKRUN",
        ),
        (
            new().defer_taskrun(),
            needs(F::DEFER_TASKRUN, F::SINGLE_ISSUER),
            "IORING_SETUP_DEFER_TASKRUN needs IORING_SETUP_SINGLE_ISSUER",
        ),
        (
            new().sqpoll(1).coop_taskrun(),
            excludes(F::SQPOLL, F::COOP_TASKRUN),
            "IORING_SETUP_SQPOLL does not go together with IORING_SETUP_COOP_TASKRUN",
        ),
        (
            new().sqpoll(1).single_issuer().defer_taskrun(),
            excludes(F::SQPOLL, F::DEFER_TASKRUN),
            "IORING_SETUP_SQPOLL does not go together with IORING_SETUP_DEFER_TASKRUN",
        ),
        (
            new().sqpoll(1).coop_taskrun().taskrun_flag(),
            excludes(F::SQPOLL, F::COOP_TASKRUN | F::TASKRUN_FLAG),
            "with IORING_SETUP_COOP_TASKRUN, IORING_SETUP_TASKRUN_FLAG",
        ),
        (
            new().sqpoll_cpu(0),
            needs(F::SQ_AFF, F::SQPOLL),
            "IORING_SETUP_SQ_AFF needs IORING_SETUP_SQPOLL",
        ),
        (
            new().hybrid_iopoll(),
            needs(F::HYBRID_IOPOLL, F::IOPOLL),
            "IORING_SETUP_HYBRID_IOPOLL needs IORING_SETUP_IOPOLL",
        ),
        (
            new().sq_rewind(),
            needs(F::SQ_REWIND, F::NO_SQARRAY),
            "IORING_SETUP_SQ_REWIND needs IORING_SETUP_NO_SQARRAY",
        ),
        (
            new().no_sqarray().sq_rewind().sqpoll(1),
            excludes(F::SQ_REWIND, F::SQPOLL),
            "IORING_SETUP_SQ_REWIND does not go together with IORING_SETUP_SQPOLL",
        ),
    ]
}

#[test]
fn contradictory_flags_are_named() {
    for (builder, contradiction, text) in contradictions() {
        let error = refusal(builder.build_local(4));
        assert_eq!(error, BuildError::Contradiction(contradiction));
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.errno(), None);
    }
    let error = refusal(new().build_without_fd(4));
    let missing = Contradiction::Needs { flag: F::REGISTERED_FD_ONLY, one_of: F::NO_MMAP };
    assert_eq!(error, BuildError::Contradiction(missing));
}

/// Goal: what is wrong by itself is said without a system call.
/// Method: a filter that answers `ENOSYS` to every set-up.
#[test]
fn the_kernel_is_not_asked_for_what_it_would_refuse() {
    in_child("the_kernel_is_not_asked_for_what_it_would_refuse", || {
        refuse_call(libc::SYS_io_uring_setup, Errno::NOSYS);
        assert_eq!(refusal(new().build(4)), BuildError::NotSupported);
        for (builder, contradiction, _) in contradictions() {
            let error = refusal(builder.build_local(4));
            assert_eq!(error, BuildError::Contradiction(contradiction));
        }
        for builder in [new(), new().clamp()] {
            assert_eq!(refusal(builder.build(0)), BuildError::Entries { entries: 0 });
        }
        let needs_method = BuildError::NeedsMethod { flags: F::SQE128 };
        assert_eq!(refusal(new().flags(F::SQE128).build(4)), needs_method);
        let needs_thread = BuildError::NeedsOneThread { flags: F::SINGLE_ISSUER };
        assert_eq!(refusal(new().single_issuer().build(4)), needs_thread);
    });
}

/// liburing: cq-size, io_uring_setup.
#[test]
fn sizes_that_no_ring_can_have_are_refused() {
    let entries = |entries| BuildError::Entries { entries };
    assert_eq!(refusal(new().build(0)), entries(0));
    assert_eq!(refusal(new().build(32_769)), entries(32_769));
    assert_eq!(refusal(new().build(u32::MAX)), entries(u32::MAX));
    let cq = |entries, cq_entries| BuildError::CqEntries { entries, cq_entries };
    assert_eq!(refusal(new().cq_entries(0).build(4)), cq(4, 0));
    assert_eq!(refusal(new().cq_entries(4).build(5)), cq(5, 4));
    assert_eq!(refusal(new().cq_entries(65_537).build(4)), cq(4, 65_537));
    assert_eq!(refusal(new().clamp().cq_entries(0).build(4)), cq(4, 0));
    // Three are rounded up to four, which is enough.
    assert!(new().cq_entries(3).build(4).is_ok());
}

/// Goal: an error that names `clamp` is mended by it, and one that is not mended does not name it.
#[test]
fn clamp_is_named_where_it_helps_and_nowhere_else() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    for (entries, cq_entries, helps) in [
        (0, None, false),
        (32_769, None, true),
        (u32::MAX, None, true),
        (4, Some(0), false),
        (5, Some(4), false),
        (4, Some(65_537), true),
        (32_768, Some(u32::MAX), true),
    ] {
        let mut builder = new();
        if let Some(cq_entries) = cq_entries {
            builder = builder.cq_entries(cq_entries);
        }
        let error = refusal(builder.build(entries));
        assert_eq!(error.to_string().contains("`Builder::clamp`"), helps, "{error}");
        assert_eq!(builder.clamp().build(entries).is_ok(), helps, "{error}");
    }
}

#[test]
fn flags_that_decide_more_than_a_bit_are_refused_as_bits() {
    let typed = F::SQE128
        | F::SQE_MIXED
        | F::CQE32
        | F::CQE_MIXED
        | F::NO_MMAP
        | F::R_DISABLED
        | F::REGISTERED_FD_ONLY
        | F::CQSIZE
        | F::ATTACH_WQ;
    for flags in typed.iter() {
        let error = refusal(new().flags(flags | F::CLAMP).build(4));
        assert_eq!(error, BuildError::NeedsMethod { flags });
        let (name, _) = flags.iter_names().next().expect("a flag with a name");
        assert!(error.to_string().starts_with(&format!("IORING_SETUP_{name} ")), "{error}");
    }
    // Where the method was called too, the bit says nothing new.
    assert!(new().cq_entries(64).flags(F::CQSIZE).build(4).is_ok());
    assert!(new().flags(F::R_DISABLED).build_disabled(4).is_ok());
}

#[test]
fn what_is_for_one_thread_is_not_built_for_any() {
    let single = BuildError::NeedsOneThread { flags: F::SINGLE_ISSUER };
    assert_eq!(refusal(new().single_issuer().build(4)), single);
    assert!(single.to_string().contains("IORING_SETUP_SINGLE_ISSUER"), "{single}");
    assert!(single.to_string().contains("build_local"), "{single}");
    let registered = BuildError::NeedsOneThread { flags: F::empty() };
    assert_eq!(refusal(new().register_ring_fd().build(4)), registered);
    assert_eq!(refusal(new().register_ring_fd().build_disabled(4)), registered);
    assert!(registered.to_string().contains("registered ring descriptor"), "{registered}");
}

/// Memory for a ring of one entry, if `flags` say that it is provided.
fn provided(flags: SetupFlags) -> Option<Provided> {
    flags.contains(F::NO_MMAP).then(|| Provided::for_ring(&new().cqe32(), 1))
}

/// What the kernel says to `flags`, without ringbolt's check.
fn kernel_takes(flags: SetupFlags) -> bool {
    let mut params = io_uring_params { flags, ..io_uring_params::ZEROED };
    let provided = provided(flags);
    if let Some(Provided { memory, .. }) = &provided {
        params.sq_off.user_addr = SharedPtr::from_mut(memory.sqes.cast::<u8>().as_ptr());
        params.cq_off.user_addr = SharedPtr::from_mut(memory.rings.cast::<u8>().as_ptr());
    }
    // SAFETY: `params` is valid, and names memory that outlives the ring and is its alone.
    let made = unsafe { sys::io_uring_setup(1, &mut params) };
    match made.map_err(Errno::from_raw_os_error) {
        Err(Errno::INVAL) => false,
        Err(errno) => panic!("{flags:?}: {errno}"),
        Ok(index) if flags.contains(F::REGISTERED_FD_ONLY) => {
            unregister_ring(index);
            true
        }
        Ok(fd) => {
            // SAFETY: just made; nobody else knows it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            true
        }
    }
}

/// Frees a registered index, the only name of its ring.
fn unregister_ring(index: i32) {
    let mut update = sys::io_uring_rsrc_update {
        offset: index.unsigned_abs(),
        ..sys::io_uring_rsrc_update::ZEROED
    };
    let op = sys::RegisterOp::UNREGISTER_RING_FDS.as_raw();
    let op = op | sys::IORING_REGISTER_USE_REGISTERED_RING;
    let arg = (&raw mut update).cast();
    // SAFETY: one `io_uring_rsrc_update`, valid for reads and writes during the call.
    let freed = unsafe { sys::io_uring_register(index, op, arg, 1) };
    assert_eq!(freed, Ok(1));
}

/// Whether ringbolt finds a contradiction in `flags`.
fn is_contradiction<C: CqEntry>(builder: Builder<ringbolt::Sqe, C>, flags: SetupFlags) -> bool {
    let by_method = F::REGISTERED_FD_ONLY | F::NO_MMAP | F::CQE32 | F::CQE_MIXED;
    let builder = builder.flags(flags.difference(by_method));
    let built = if flags.contains(F::REGISTERED_FD_ONLY) {
        builder.build_without_fd(1).map(drop)
    } else {
        builder.build_local(1).map(drop)
    };
    match built {
        Ok(()) => false,
        Err(BuildError::Contradiction(_)) => true,
        Err(error) => panic!("{flags:?}: {error}"),
    }
}

/// Goal: ringbolt's rules are the kernel's, no more and no fewer.
/// Method: every subset of the flags that have rules, put to both.
fn compare(flags: &[SetupFlags]) {
    for subset in 0..1_u32 << flags.len() {
        let chosen = flags.iter().enumerate().filter(|(bit, _)| subset & (1 << bit) != 0);
        let flags: SetupFlags = chosen.map(|(_, flag)| *flag).collect();
        let mut builder = new();
        let provided = provided(flags);
        if let Some(provided) = &provided {
            // SAFETY: the memory outlives the ring, if one is built, and there is but one.
            builder = unsafe { provided.give(builder) };
        }
        let contradiction = match (flags.contains(F::CQE32), flags.contains(F::CQE_MIXED)) {
            (false, false) => is_contradiction(builder, flags),
            (true, false) => is_contradiction(builder.cqe32(), flags),
            (false, true) => is_contradiction(builder.cqe_mixed(), flags),
            // No type of ring has both.
            (true, true) => true,
        };
        assert_eq!(contradiction, !kernel_takes(flags), "{flags:?}");
    }
}

#[test]
fn the_rules_for_flags_are_the_kernels() {
    require!(setup: F::IOPOLL | F::HYBRID_IOPOLL);
    let flags = [
        F::TASKRUN_FLAG,
        F::COOP_TASKRUN,
        F::DEFER_TASKRUN,
        F::SINGLE_ISSUER,
        F::SQPOLL,
        F::SQ_AFF,
        F::REGISTERED_FD_ONLY,
        F::NO_MMAP,
        F::IOPOLL,
        F::HYBRID_IOPOLL,
        F::CQE32,
        F::NO_SQARRAY,
        F::CQE_MIXED,
    ];
    let has_mixed = common::lacks_setup(F::CQE_MIXED).is_none();
    bounded(move || compare(if has_mixed { &flags } else { &flags[..12] }));
}

#[test]
fn the_rules_for_rewinding_are_the_kernels() {
    require!(setup: F::SQ_REWIND | F::NO_SQARRAY);
    let flags = [F::SQ_REWIND, F::NO_SQARRAY, F::SQPOLL, F::SINGLE_ISSUER];
    bounded(move || compare(&flags));
}

#[test]
fn an_unknown_flag_needs_a_promise() {
    let unknown = F::from_bits_retain(1 << 31);
    let error = refusal(new().flags(unknown | F::CLAMP).build(4));
    assert_eq!((error, error.errno()), (BuildError::UnknownFlags { flags: unknown }, None));
    let text = error.to_string();
    assert!(text.starts_with("0x80000000 ") && text.contains("Builder::unknown_flags"), "{text}");
    // One promise is not for another bit, and not for flags that need a method.
    // SAFETY: nothing is built but what the kernel refuses.
    let promised = unsafe { new().unknown_flags(1 << 30 | F::SQE128.bits()) };
    let error = refusal(promised.clone().flags(unknown).build(4));
    assert_eq!(error, BuildError::NeedsMethod { flags: F::SQE128 });
    let error = refusal(promised.sqe128().flags(unknown).build(4));
    assert_eq!(error, BuildError::UnknownFlags { flags: unknown });
}

#[test]
fn an_unknown_flag_is_refused_by_the_kernel_with_its_number() {
    let unknown = F::from_bits_retain(1 << 31);
    // SAFETY: no kernel that this version of the test knows of has this bit, and makes a ring.
    let promised = unsafe { new().unknown_flags(unknown.bits()) };
    let error = refusal(promised.submit_all().build(4));
    assert_eq!(error, BuildError::Invalid { flags: unknown | F::SUBMIT_ALL });
    assert_eq!(error.errno(), Some(Errno::INVAL));
    let text = error.to_string();
    assert!(text.contains("may not know 0x80000000"), "{text}");
    assert!(text.contains("of the other flags, IORING_SETUP_SUBMIT_ALL came last, in Linux 5.18"));
    let text = BuildError::Invalid { flags: unknown }.to_string();
    assert!(text.ends_with("0x80000000, which has no name in this version of ringbolt"), "{text}");
}

#[test]
fn a_cpu_that_is_not_there_is_suspected() {
    let error = refusal(new().sqpoll(1).sqpoll_cpu(1 << 20).build(4));
    assert_eq!(error, BuildError::Invalid { flags: F::SQPOLL | F::SQ_AFF });
    assert!(error.to_string().contains("no such CPU"), "{error}");
}

/// liburing: shared-wq.
#[test]
fn attaching_to_what_is_no_ring_is_refused() {
    let file = std::fs::File::open("/dev/null").expect("a file");
    let error = refusal(new().attach_wq(&file).build(4));
    assert_eq!(error, BuildError::Invalid { flags: F::ATTACH_WQ });
    assert!(error.to_string().contains("the ring to attach to"), "{error}");
}

#[test]
fn attaching_to_a_closed_descriptor_is_refused() {
    // No descriptor has this number: the kernel's own limit is lower.
    // SAFETY: it stays closed.
    let closed = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
    let error = refusal(new().attach_wq(&closed).build(4));
    assert_eq!(error, BuildError::AttachWq(Errno::NXIO));
    assert!(error.to_string().contains("ring to attach to is not open"), "{error}");
}

#[test]
fn a_kernel_without_io_uring_is_told_from_one_that_forbids_it() {
    in_child("a_kernel_without_io_uring_is_told_from_one_that_forbids_it", || {
        let told = |errno| {
            // A filter is for a thread and those that it starts.
            let thread = std::thread::spawn(move || {
                refuse_call(libc::SYS_io_uring_setup, errno);
                (refusal(new().build(4)), refusal(IoUring::local(4)), refusal(IoUring::new(4)))
            });
            let (error, local, default) = thread.join().expect("the thread returns");
            assert_eq!((error, local), (default, default));
            assert_eq!(error.errno(), Some(errno));
            error
        };
        let missing = told(Errno::NOSYS);
        assert_eq!(missing, BuildError::NotSupported);
        assert!(missing.to_string().contains("ENOSYS"), "{missing}");
        assert!(missing.to_string().contains("CONFIG_IO_URING"), "{missing}");
        let forbidden = told(Errno::PERM);
        assert_eq!(forbidden, BuildError::NotPermitted);
        assert!(forbidden.to_string().contains("kernel.io_uring_disabled"), "{forbidden}");
        assert!(forbidden.to_string().contains("seccomp"), "{forbidden}");
    });
}

#[test]
fn too_little_locked_memory_is_told() {
    in_child("too_little_locked_memory_is_told", || {
        limit(libc::RLIMIT_MEMLOCK, 4096);
        // Root may lock all that it likes: be somebody else.
        // SAFETY: numbers only.
        let changed = unsafe { libc::setresuid(65_534, 65_534, 65_534) };
        // SAFETY: the call has no precondition.
        assert!(changed == 0 || unsafe { libc::geteuid() } != 0);
        let Err(error) = new().build(32_768) else {
            return Lack::of_kernel("a limit on the memory of rings", None).skip();
        };
        assert_eq!((error, error.errno()), (BuildError::OutOfMemory, Some(Errno::NOMEM)));
        assert!(error.to_string().contains("ulimit -l"), "{error}");
        assert!(error.to_string().contains("CAP_IPC_LOCK"), "{error}");
    });
}

#[test]
fn too_many_open_files_are_told() {
    in_child("too_many_open_files_are_told", || {
        limit(libc::RLIMIT_NOFILE, 0);
        let error = refusal(new().build(4));
        assert_eq!(error, BuildError::TooManyFiles(Errno::MFILE));
        assert!(error.to_string().contains("ulimit -n"), "{error}");
    });
}

#[test]
fn a_ring_that_cannot_be_mapped_is_closed() {
    in_child("a_ring_that_cannot_be_mapped_is_closed", || {
        let ring = new().build(4).expect("a ring");
        let free = rustix::io::dup(ring.as_fd()).expect("a descriptor");
        // What is mapped already stays so; there is no room for 2 MiB of entries more.
        limit(libc::RLIMIT_AS, address_space() + (1 << 20));
        let error = refusal(new().build(32_768));
        assert_eq!(error, BuildError::Map(Errno::NOMEM));
        let number = free.as_raw_fd() + 1;
        let next = rustix::io::dup(ring.as_fd()).expect("a descriptor");
        assert_eq!(next.as_raw_fd(), number, "the ring was closed");
    });
}

#[test]
fn a_seventeenth_registered_ring_is_refused() {
    let builder = new().register_ring_fd();
    let rings: Vec<_> = (0..16).map(|_| builder.build_local(1).expect("16 rings")).collect();
    let error = refusal(builder.build_local(1));
    assert_eq!(error, BuildError::RegisterRingFd(Errno::BUSY));
    assert!(error.to_string().contains("16 ring descriptors"), "{error}");
    drop(rings);
    assert!(builder.build_local(1).is_ok());
}

#[test]
fn every_reason_has_a_text_and_an_io_error_of_its_kind() {
    let needed = MemoryNeeded { rings: 4096, sqes: 8192 };
    let table = [
        (BuildError::Entries { entries: 0 }, ErrorKind::InvalidInput, "0 submission entries"),
        (BuildError::Entries { entries: 40_000 }, ErrorKind::InvalidInput, "1 to 32768"),
        (
            BuildError::CqEntries { entries: 8, cq_entries: 4 },
            ErrorKind::InvalidInput,
            "4 completion entries for 8 submission entries",
        ),
        (
            BuildError::Memory { needed },
            ErrorKind::InvalidInput,
            "4096 bytes are needed for the rings",
        ),
        (BuildError::NotSupported, ErrorKind::Unsupported, "no io_uring"),
        (BuildError::TooOld, ErrorKind::Unsupported, "Linux 5.10 or later"),
        (BuildError::NotPermitted, ErrorKind::PermissionDenied, "not permitted"),
        (BuildError::OutOfMemory, ErrorKind::OutOfMemory, "ENOMEM"),
        (BuildError::Invalid { flags: F::empty() }, ErrorKind::InvalidInput, "EINVAL"),
        (BuildError::Setup(Errno::FAULT), std::io::Error::from(Errno::FAULT).kind(), "failed"),
        (BuildError::Map(Errno::NOMEM), ErrorKind::OutOfMemory, "could not be mapped"),
        (BuildError::Layout(LayoutError::TooLong), ErrorKind::InvalidInput, "address space"),
        (BuildError::RegisterRingFd(Errno::INVAL), ErrorKind::InvalidInput, "Linux 5.18"),
    ];
    for (error, kind, text) in table {
        assert!(error.to_string().contains(text), "{error}");
        let converted = std::io::Error::from(error);
        assert_eq!(converted.kind(), kind, "{error}");
        // An errno is kept as such, any other error as a whole.
        let errno = error.errno().map(Errno::raw_os_error);
        assert_eq!(converted.raw_os_error(), errno, "{error}");
        let kept = converted.get_ref().and_then(|kept| kept.downcast_ref::<BuildError>());
        assert_eq!(kept.copied(), errno.is_none().then_some(error));
        let with_text = std::io::Error::other(error).to_string();
        assert_eq!(with_text, error.to_string());
    }
}
