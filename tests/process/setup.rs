//! What [`Builder`](ringbolt::Builder) asks for, the kernel sets up.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::ops::RangeInclusive;
use std::time::Instant;

use crate::common;
use crate::common::process::{UNLIMITED, bounded, in_child, may_lock_any_amount};
use crate::common::{PATIENCE, complete, reap, require};
use ringbolt::ops::{Nop, RawOp};
use ringbolt::sys::{Features, NopFlags, Opcode, SetupFlags};
use ringbolt::{Builder, CqeMixed, IoUring, LocalIoUring, MAX_CQ_ENTRIES, MAX_ENTRIES, Sqe128};
use rustix::fd::{AsFd, AsRawFd};

fn new() -> Builder<'static> {
    IoUring::builder()
}

/// Sizes as set up: submission entries, completion entries.
fn sizes(builder: &Builder, entries: u32) -> (u32, u32) {
    let mut ring = builder.build(entries).expect("sizes that a ring can have");
    let params = *ring.params();
    assert_eq!(ring.submission().capacity(), params.sq_entries);
    assert_eq!(ring.completion().capacity(), params.cq_entries);
    (params.sq_entries, params.cq_entries)
}

#[test]
fn every_method_sets_its_flag_and_the_kernel_takes_it() {
    type F = SetupFlags;
    let single = F::SINGLE_ISSUER;
    let table: [(Builder, SetupFlags); 15] = [
        (new(), F::empty()),
        (new().iopoll(), F::IOPOLL),
        (new().iopoll().hybrid_iopoll(), F::IOPOLL | F::HYBRID_IOPOLL),
        (new().sqpoll(10), F::SQPOLL),
        (new().sqpoll(10).sqpoll_cpu(0), F::SQPOLL | F::SQ_AFF),
        (new().cq_entries(64), F::CQSIZE),
        (new().clamp(), F::CLAMP),
        (new().submit_all(), F::SUBMIT_ALL),
        (new().coop_taskrun(), F::COOP_TASKRUN),
        (new().coop_taskrun().taskrun_flag(), F::COOP_TASKRUN | F::TASKRUN_FLAG),
        (new().single_issuer(), single),
        (new().single_issuer().defer_taskrun(), single | F::DEFER_TASKRUN),
        (new().no_sqarray(), F::NO_SQARRAY),
        (new().no_sqarray().sq_rewind(), F::NO_SQARRAY | F::SQ_REWIND),
        (new().flags(F::SUBMIT_ALL | F::NO_SQARRAY), F::SUBMIT_ALL | F::NO_SQARRAY),
    ];
    for (builder, flags) in table {
        // The number of completion entries is an argument of its own.
        if let Some(lack) = common::lacks_setup(flags.difference(F::CQSIZE)) {
            lack.skip();
            continue;
        }
        let ring = builder.build_local(8).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
        assert_eq!(ring.setup_flags(), flags);
        ring.close();
    }
}

#[test]
fn entries_are_rounded_up_to_a_power_of_two() {
    for (asked, got) in [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (129, 256), (32_767, 32_768)] {
        assert_eq!(sizes(&new(), asked), (got, 2 * got));
    }
    assert_eq!(sizes(&new(), MAX_ENTRIES), (MAX_ENTRIES, MAX_CQ_ENTRIES));
}

/// liburing: cq-size.
#[test]
fn completion_entries_are_as_many_as_asked_for_rounded_up() {
    for (asked, got) in [(4, 4), (5, 8), (1000, 1024), (MAX_CQ_ENTRIES, MAX_CQ_ENTRIES)] {
        assert_eq!(sizes(&new().cq_entries(asked), 4), (4, got));
    }
}

/// liburing: cq-size.
#[test]
fn clamp_cuts_both_sizes_down() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    let builder = new().clamp();
    assert_eq!(sizes(&builder, MAX_ENTRIES + 1), (MAX_ENTRIES, MAX_CQ_ENTRIES));
    assert_eq!(sizes(&builder, u32::MAX), (MAX_ENTRIES, MAX_CQ_ENTRIES));
    assert_eq!(sizes(&builder.clone().cq_entries(MAX_CQ_ENTRIES + 1), 4), (4, MAX_CQ_ENTRIES));
    assert_eq!(sizes(&builder.cq_entries(u32::MAX), u32::MAX), (MAX_ENTRIES, MAX_CQ_ENTRIES));
}

#[test]
fn the_idle_time_and_the_cpu_of_the_polling_thread_reach_the_kernel() {
    let cpu = u32::try_from(*allowed_cpus("self").last().expect("a CPU")).expect("a small number");
    bounded(move || {
        let ring = new().sqpoll(1234).sqpoll_cpu(cpu).build(4).expect("an SQPOLL ring");
        assert_eq!(ring.params().sq_thread_idle, 1234);
        assert_eq!(ring.params().sq_thread_cpu, cpu);
        // The thread moves to its CPU, and takes its name, when it first runs.
        let end = Instant::now() + PATIENCE;
        while !poller_tasks().iter().any(|task| allowed_cpus(task) == [u64::from(cpu)]) {
            assert!(Instant::now() < end, "no polling thread on CPU {cpu} alone");
            std::thread::yield_now();
        }
    });
}

/// liburing: sq-poll-share.
#[test]
fn rings_that_attach_share_one_polling_thread() {
    bounded(|| {
        let first = new().sqpoll(10).build(4).expect("an SQPOLL ring");
        let apart = new().sqpoll(10).build(4).expect("an SQPOLL ring");
        let shared = new().sqpoll(10).attach_wq(&first).build(4).expect("a ring that attaches");
        assert!(shared.setup_flags().contains(SetupFlags::ATTACH_WQ));
        let end = Instant::now() + PATIENCE;
        while poller_tasks().len() < 2 {
            assert!(Instant::now() < end, "two polling threads of this thread's");
            std::thread::yield_now();
        }
        // The one that is shared polls for the ring that attached, too; a third would have its
        // name by then.
        let mut shared = shared;
        shared.submission().push_safe(Nop::new().sqe(1)).expect("room");
        shared.submit().expect("submitted");
        assert_eq!(reap(&mut shared, 1)[0].user_data(), 1);
        assert_eq!(poller_tasks().len(), 2);
        drop((first, apart));
    });
}

/// liburing: shared-wq.
#[test]
fn a_ring_that_attaches_outlives_the_one_that_it_attached_to() {
    let first = IoUring::new(4).expect("a ring");
    let mut second = new().attach_wq(&first).build(4).expect("a ring that attaches");
    assert_eq!(second.setup_flags(), SetupFlags::ATTACH_WQ);
    assert_eq!(second.params().wq_fd, first.as_raw_fd().unsigned_abs());
    first.close();
    // A worker thread carries it out, which is what the rings share.
    second.submission().push_safe(Nop::new().sqe(7).force_async()).expect("room");
    second.submit().expect("submitted");
    assert_eq!(reap(&mut second, 1)[0].user_data(), 7);
}

#[test]
fn a_cloned_builder_builds_the_same_ring_again_and_again() {
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    require!(setup: flags);
    let builder = new().flags(flags).cq_entries(100).submit_all().register_ring_fd();
    let clone = builder.clone();
    let params = |ring: LocalIoUring| {
        let params = *ring.params();
        assert!(ring.is_fd_registered());
        (params.flags, params.sq_entries, params.cq_entries, params.features)
    };
    let first = params(builder.build_local(5).expect("a ring"));
    for builder in [&clone, &builder, &clone] {
        assert_eq!(params(builder.build_local(5).expect("the same ring")), first);
    }
    assert_eq!(first.0, flags | SetupFlags::CQSIZE | SetupFlags::SUBMIT_ALL);
    assert_eq!((first.1, first.2), (8, 128));
    assert_eq!(format!("{builder:?}"), format!("{clone:?}"));
}

#[test]
fn memory_is_kept_out_of_child_processes() {
    in_child("memory_is_kept_out_of_child_processes", || {
        let _kept = IoUring::new(8).expect("a ring");
        let mappings = ring_mappings();
        assert!(!mappings.is_empty());
        assert!(mappings.iter().all(|flags| flags.contains(" dc")), "{mappings:?}");
    });
}

#[test]
fn a_closed_ring_leaves_no_descriptor_and_no_mapping() {
    in_child("a_closed_ring_leaves_no_descriptor_and_no_mapping", || {
        let before = descriptors();
        for builder in [new(), new().register_ring_fd(), new().sqpoll(1), new().cq_entries(64)] {
            let ring = builder.build_local(8).expect("a ring");
            assert_eq!(descriptors().len(), before.len() + 1);
            assert!(!ring_mappings().is_empty());
            ring.close();
            assert_eq!(descriptors(), before);
            assert!(ring_mappings().is_empty());
        }
        let disabled = new().build_disabled(8).expect("a ring");
        drop(disabled);
        assert_eq!(descriptors(), before);
        assert!(ring_mappings().is_empty());
    });
}

#[test]
fn the_kernels_features_are_kept_bit_by_bit() {
    let (_, params) = common::set_up(SetupFlags::empty()).expect("a ring");
    let ring = IoUring::new(1).expect("a ring");
    assert_eq!(ring.features(), params.features);
    assert!(ring.features().contains(Features::NODROP), "{:?}", ring.features());
}

#[test]
fn wide_entries_are_read_and_written_at_their_own_stride() {
    const ENTRIES: u64 = 8;
    require!(setup: SetupFlags::SQE128 | SetupFlags::CQE32);
    let mut ring = new().sqe128().cqe32().build(8).expect("a ring with wide entries");
    assert_eq!(ring.setup_flags(), SetupFlags::SQE128 | SetupFlags::CQE32);
    for first in [100, 200, 300_u64] {
        for user_data in first..first + ENTRIES {
            ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
        }
        assert!(ring.submission().push_safe(Nop::new().sqe(0)).is_err());
        assert_eq!(ring.submit(), Ok(8));
        let reaped = reap(&mut ring, 8);
        let user_data: Vec<_> = reaped.iter().map(|cqe| cqe.cqe.user_data()).collect();
        assert_eq!(user_data, (first..first + ENTRIES).collect::<Vec<_>>());
        assert!(reaped.iter().all(|cqe| cqe.cqe.result() == Ok(0) && cqe.extra == [0; 2]));
    }
}

#[test]
fn one_width_can_be_wide_and_the_other_narrow() {
    require!(setup: SetupFlags::SQE128 | SetupFlags::CQE32);
    let mut wide = new().sqe128().build(2).expect("a ring with wide submission entries");
    assert_eq!(wide.setup_flags(), SetupFlags::SQE128);
    let mut narrow = new().cqe32().build(2).expect("a ring with wide completion entries");
    assert_eq!(narrow.setup_flags(), SetupFlags::CQE32);
    for user_data in 0..20 {
        // SAFETY: a NOP names nothing.
        let cqe = unsafe { complete(&mut wide, Sqe128::from(Nop::new().sqe(user_data))) };
        assert_eq!(cqe.user_data(), user_data);
        // SAFETY: a NOP names nothing.
        let cqe = unsafe { complete(&mut narrow, Nop::new().sqe(user_data)) };
        assert_eq!(cqe.cqe.user_data(), user_data);
    }
}

#[test]
fn the_second_half_of_a_wide_completion_arrives() {
    // The NOP that fills it in came with mixed completions.
    require!(setup: SetupFlags::CQE_MIXED);
    let mut ring = new().cqe32().build(2).expect("a ring with wide completion entries");
    for user_data in 0..5_u64 {
        let flags = NopFlags::CQE32.bits();
        let nop = RawOp::new(Opcode::NOP).fields(|sqe| {
            sqe.set_op_flags(flags);
            sqe.set_off(user_data + 10);
            sqe.set_addr_raw(u64::MAX);
        });
        // SAFETY: a NOP names nothing: these are the numbers it hands back.
        let cqe = unsafe { complete(&mut ring, nop.sqe(user_data)) };
        assert_eq!((cqe.cqe.user_data(), cqe.extra), (user_data, [user_data + 10, u64::MAX]));
    }
}

#[test]
fn completions_of_both_widths_share_a_ring() {
    require!(setup: SetupFlags::CQE_MIXED);
    let mut ring = new().cqe_mixed().cq_entries(8).build(4).expect("a ring of mixed widths");
    assert_eq!(ring.setup_flags(), SetupFlags::CQE_MIXED | SetupFlags::CQSIZE);
    // Three slots of eight each time: a wide one is due at the last slot again and again.
    for user_data in 0..50_u64 {
        let flags = NopFlags::CQE32.bits();
        let wide = RawOp::new(Opcode::NOP).fields(|sqe| {
            sqe.set_op_flags(flags);
            sqe.set_off(user_data);
            sqe.set_addr_raw(7);
        });
        // SAFETY: a NOP names nothing.
        match unsafe { complete(&mut ring, Nop::new().sqe(user_data)) } {
            CqeMixed::Narrow(cqe) => assert_eq!(cqe.user_data(), user_data),
            wide => panic!("{wide:?}"),
        }
        // SAFETY: a NOP names nothing: these are the numbers it hands back.
        match unsafe { complete(&mut ring, wide.sqe(user_data)) } {
            CqeMixed::Wide(wide) => {
                assert_eq!((wide.cqe.user_data(), wide.extra), (user_data, [user_data, 7]));
            }
            narrow => panic!("{narrow:?}"),
        }
    }
    assert!(ring.completion().is_empty());
}

#[test]
fn a_thread_of_its_own_gets_the_best_flags_that_there_are() {
    let mut ring = IoUring::local(8).expect("a ring for this thread");
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN | SetupFlags::TASKRUN_FLAG;
    let best = flags | SetupFlags::NO_SQARRAY | SetupFlags::SUBMIT_ALL;
    // SAFETY: a NOP names nothing.
    let cqe = unsafe { complete(&mut ring, Nop::new().sqe(1)) };
    assert_eq!((cqe.user_data(), cqe.result()), (1, Ok(0)));
    require!(setup: best);
    assert_eq!(ring.setup_flags(), best);
    assert!(ring.is_fd_registered());
}

#[test]
fn the_rings_descriptor_is_closed_on_exec() {
    let ring = IoUring::new(1).expect("a ring");
    let flags = rustix::io::fcntl_getfd(ring.as_fd()).expect("the descriptor is open");
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

/// The CPUs that a task of this process may run on.
fn allowed_cpus(task: &str) -> Vec<u64> {
    let path = match task {
        "self" => "/proc/thread-self/status".to_owned(),
        task => format!("/proc/self/task/{task}/status"),
    };
    // A task may end between being listed and being looked at.
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.map_or(Vec::new(), |list| list.trim().split(',').flat_map(range).collect())
}

/// `3` or `2-5`, as the kernel writes ranges of CPUs.
fn range(text: &str) -> RangeInclusive<u64> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().expect("a CPU")..=last.parse().expect("a CPU")
}

/// The polling threads that this thread's rings have started: they are named after it.
fn poller_tasks() -> Vec<String> {
    // SAFETY: the call has no precondition.
    let thread = unsafe { libc::gettid() };
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process has threads");
    let tasks = tasks.map(|task| task.expect("a thread").file_name().into_string().unwrap());
    let name = |task: &str| std::fs::read_to_string(format!("/proc/self/task/{task}/comm"));
    let is_poller =
        |task: &String| name(task).is_ok_and(|name| name.trim() == format!("iou-sqp-{thread}"));
    tasks.filter(is_poller).collect()
}

/// The flags, by their names in `/proc`, of each mapping of a ring in this process.
fn ring_mappings() -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("this process has mappings");
    let mut mappings = Vec::new();
    let mut in_ring = false;
    for line in maps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            mappings.extend(in_ring.then(|| flags.to_owned()));
            in_ring = false;
        }
        in_ring |= line.ends_with("anon_inode:[io_uring]");
    }
    mappings
}

/// The numbers of this process's open descriptors, except the one for looking.
fn descriptors() -> Vec<String> {
    let list = std::fs::read_dir("/proc/self/fd").expect("this process has descriptors");
    let paths = list.map(|entry| entry.expect("a descriptor").path());
    let open = paths.filter(|path| std::fs::read_link(path).is_ok_and(|to| !to.ends_with("fd")));
    let mut names: Vec<_> = open.map(|path| path.display().to_string()).collect();
    names.sort();
    names
}
