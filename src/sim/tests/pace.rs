//! When operations complete, and cancelling operations in flight.

use std::vec;

use rustix::io::Errno;

use super::{err, nop, push, read, reap, run, simulated};
use crate::IoUring;
use crate::ops::{AsyncCancel, Fixed};
use crate::sim::{self, Kernel, Pace};
use crate::sys::{EnterFlags, Opcode, SqStatus};

#[test]
fn held_operations_complete_in_any_order() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    let mut bufs = [[0; 4]; 3];
    let [one, two, three] = &mut bufs;
    push(&mut ring, &[read(1, one), read(2, two), read(3, three), nop(4)]);
    assert_eq!(ring.submit(), Ok(4));
    assert_eq!((reap(&mut ring), kernel.in_flight()), (vec![(4, 0)], 3));
    assert!(kernel.complete(2));
    assert!(kernel.complete(0));
    assert!(!kernel.complete(1));
    assert_eq!(reap(&mut ring), [(3, 4), (1, 4)]);
    assert_eq!(ring.wait(1), Err(Errno::DEADLK));
    kernel.set_pace(Pace::WhenWaited);
    assert_eq!(ring.wait(1), Ok(()));
    assert_eq!(reap(&mut ring), [(2, 4)]);
    assert_eq!(bufs, [[7; 4]; 3]);
}

#[test]
fn with_pace_when_waited_operations_complete_during_a_wait() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::WhenWaited);
    let mut buf = [0; 4];
    push(&mut ring, &[read(1, &raw mut buf).link(), read(2, &raw mut buf)]);
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!((reap(&mut ring), kernel.in_flight()), (vec![], 1));
    assert_eq!(ring.wait(2), Ok(()));
    assert_eq!(reap(&mut ring), [(1, 4), (2, 4)]);
}

#[test]
fn with_defer_taskrun_completions_appear_only_after_getevents() {
    let kernel = Kernel::new();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::WhenWaited);
    let builder = IoUring::builder().simulated(&kernel).single_issuer().defer_taskrun();
    let mut ring = builder.taskrun_flag().build_local(8).unwrap();
    let mut buf = [0; 4];
    push(&mut ring, &[nop(1).link(), nop(2).link(), read(3, &raw mut buf)]);
    assert_eq!(ring.submission().status(), SqStatus::empty());
    assert_eq!(ring.submit(), Ok(3));
    assert_eq!(reap(&mut ring), [(1, 0)]);
    assert_eq!(ring.submission().status(), SqStatus::TASKRUN);
    // A call that submits without asking for completions posts none.
    push(&mut ring, &[nop(4)]);
    ring.submission().flush();
    let none = core::ptr::null();
    // SAFETY: no argument; the entry refers to no memory.
    let entered = unsafe { sim::enter(kernel.number(), 1, 0, EnterFlags::empty(), none, 0) };
    assert_eq!(entered, Ok(1));
    assert_eq!(reap(&mut ring), [(4, 0)]);
    // The queues see the flag, and ask for completions.
    assert_eq!(ring.submit(), Ok(0));
    assert_eq!(reap(&mut ring), [(2, 0), (3, 4)]);
    assert_eq!(ring.submission().status(), SqStatus::empty());
    kernel.set_pace(Pace::Held);
    push(&mut ring, &[read(4, &raw mut buf)]);
    assert_eq!(ring.submit(), Ok(1));
    kernel.complete(0);
    assert_eq!((reap(&mut ring), ring.submission().status()), (vec![], SqStatus::TASKRUN));
    assert_eq!(ring.get_events(), Ok(()));
    assert_eq!(reap(&mut ring), [(4, 4)]);
}

#[test]
fn operations_in_flight_can_be_cancelled() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    let mut buf = [0; 4];
    let all = [read(1, &raw mut buf).link(), nop(9), read(2, &raw mut buf), read(2, &raw mut buf)];
    let mut cancel = |cancel: AsyncCancel| {
        push(&mut ring, &all);
        let mut results = run(&mut ring, &[cancel.sqe(5).into()], 1);
        while kernel.complete(0) {}
        assert_eq!(ring.get_events(), Ok(()));
        results.extend(reap(&mut ring));
        results
    };
    let gone = err(Errno::CANCELED);
    assert_eq!(
        cancel(AsyncCancel::of_user_data(1)),
        [(5, 0), (1, gone), (9, gone), (2, 4), (2, 4)]
    );
    let three = [(5, 3), (1, gone), (2, gone), (2, gone), (9, gone)];
    assert_eq!(cancel(AsyncCancel::any()), three);
    assert_eq!(cancel(AsyncCancel::of_fixed(Fixed(0)).all()), three);
    assert_eq!(cancel(AsyncCancel::of_opcode(Opcode::READ).all()), three);
    let none = [(1, 4), (2, 4), (2, 4), (9, 0)];
    for (none_of, result) in [
        (AsyncCancel::of_user_data(3), err(Errno::NOENT)),
        (AsyncCancel::of_fixed(Fixed(1)), err(Errno::BADF)),
        (AsyncCancel::of_user_data(3).all(), 0),
        (AsyncCancel::any().opcode(Opcode::READ), err(Errno::INVAL)),
    ] {
        let mut results = cancel(none_of);
        assert_eq!(results.remove(0), (5, result), "{none_of:?}");
        results.sort_unstable();
        assert_eq!(results, none);
    }
}

#[test]
fn cancelling_by_file_affects_no_other_file() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.put_file(Fixed(1), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    let mut buf = [0; 4];
    push(&mut ring, &[read(1, &raw mut buf)]);
    let cancel = AsyncCancel::of_fixed(Fixed(1)).all().sqe(5).into();
    assert_eq!(run(&mut ring, &[cancel], 1), [(5, 0)]);
    assert_eq!(kernel.in_flight(), 1);
}
