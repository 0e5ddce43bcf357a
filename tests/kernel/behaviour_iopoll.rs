//! Rings that poll devices: they can be made and entered, and report what they cannot do.
//!
//! Few test machines have a device that can be polled. The behaviour of a ring without such a
//! device is the same everywhere, and shows that it is entered in the way that such rings require.

use std::fs::File;

use crate::common;
use crate::common::process::bounded;
use crate::common::{TempDir, complete, reap, require};
use crate::op_common::{AS_OF_6_0, assert_quiet, leaked, pipe, reap_told};
use ringbolt::ops::{Fsync, Nop, Read};
use ringbolt::sys::{Features, SetupFlags, SqStatus};
use ringbolt::{BuildError, Builder, Contradiction, Cqe, IoUring, Sqe, Timespec};
use rustix::io::Errno;

const IOPOLL: SetupFlags = SetupFlags::IOPOLL;
const HYBRID: SetupFlags = IOPOLL.union(SetupFlags::HYBRID_IOPOLL);

/// Rings of each kind of polling.
fn on_each_kind(test: fn(&mut IoUring<Sqe, Cqe, ringbolt::OneThread>)) {
    let defer = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    let sqpoll = SetupFlags::SQPOLL;
    for flags in [IOPOLL, HYBRID, IOPOLL | sqpoll, HYBRID | sqpoll, IOPOLL | defer] {
        if let Some(lack) = common::lacks_setup(flags) {
            lack.skip();
            continue;
        }
        bounded(move || {
            let builder: Builder = IoUring::builder().flags(flags);
            let mut ring = builder.build_local(8).expect("a ring");
            assert_eq!(ring.setup_flags(), flags);
            test(&mut ring);
        });
    }
}

/// liburing: iopoll.
#[test]
fn operations_that_need_no_device_complete_by_polling() {
    require!(op: AS_OF_6_0);
    on_each_kind(|ring| {
        for user_data in 0..20 {
            ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
            if user_data % 2 == 0 {
                assert_eq!(ring.submit_and_wait(1), Ok(1));
            } else {
                assert_eq!(ring.submit(), Ok(1));
            }
            assert_eq!(reap_told(ring, 1), [(user_data, Ok(0))]);
        }
        assert_quiet(ring);
    });
}

/// liburing: iopoll.
#[test]
fn operations_that_cannot_be_polled_are_refused() {
    on_each_kind(|ring| {
        let dir = TempDir::new();
        let file = File::open(dir.file("digits", b"0123456789")).expect("it was just made");
        let (reader, _writer) = pipe();
        let buf = leaked::<4>().as_mut_ptr();
        // Neither a file whose pages are cached nor a pipe can be read by polling, and syncing a
        // file cannot be polled.
        let table = [
            (Read::new(&file, buf, 4).offset(0).sqe(1), Errno::OPNOTSUPP),
            (Read::new(&reader, buf, 4).sqe(2), Errno::OPNOTSUPP),
            (Fsync::new(&file).sqe(3), Errno::INVAL),
        ];
        for (entry, errno) in table {
            // SAFETY: the buffer stays forever, and the files until `complete` returns.
            let cqe = unsafe { complete(ring, entry) };
            assert_eq!(cqe.result(), Err(errno), "{entry:?}");
        }
        assert_quiet(ring);
    });
}

/// Waiting on such a ring means polling: with nothing in flight it ends immediately.
///
/// liburing: iopoll.
#[test]
fn a_wait_with_nothing_to_poll_ends() {
    require!(setup: IOPOLL);
    bounded(|| {
        let mut ring = IoUring::builder().iopoll().build(8).expect("a ring");
        assert_eq!(ring.get_events(), Ok(()));
        assert_eq!(ring.wait(1), Ok(()));
        assert_eq!(ring.submit_and_wait_timeout(1, Timespec::new(3600, 0)), Ok(0));
        assert!(ring.completion().is_empty());
    });
}

/// liburing: iopoll-overflow.
#[test]
fn no_overflown_completion_of_a_polling_ring_is_lost() {
    require!(setup: IOPOLL);
    require!(feature: Features::NODROP);
    bounded(|| {
        let mut ring = IoUring::builder().iopoll().cq_entries(4).build(4).expect("a ring");
        for first in [0, 4, 8] {
            for user_data in first..first + 4 {
                ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
            }
            assert_eq!(ring.submission().submit(), Ok(4));
        }
        assert!(ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
        let ids: Vec<_> = reap(&mut ring, 12).iter().map(Cqe::user_data).collect();
        assert_eq!(ids, (0..12).collect::<Vec<_>>());
        assert_quiet(&mut ring);
        assert_eq!(ring.completion().overflow(), 0);
    });
}

/// liburing: iopoll.
#[test]
fn hybrid_iopoll_requires_iopoll() {
    let refused = IoUring::builder().hybrid_iopoll().build(8).map(drop);
    let flag = SetupFlags::HYBRID_IOPOLL;
    let needs = Contradiction::Needs { flag, one_of: IOPOLL };
    assert_eq!(refused, Err(BuildError::Contradiction(needs)));
}
