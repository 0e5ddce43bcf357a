//! The parts of the load that use the layer under the safe front.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::thread;

use ringbolt::ops::{AsyncCancel, MsgRing, Nop, Timeout};
use ringbolt::rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{Features, Opcode};
use ringbolt::{
    Advice, Cqe, IoUring, LocalIoUring, PushError, ResizeError, Sqe, SubmitError, Timespec,
};

use super::Load;

/// Submits what is queued and waits, whatever interrupts that.
fn submit_and_wait<T>(ring: &mut IoUring<Sqe, Cqe, T>, want: u32) {
    match ring.submit_and_wait(want) {
        Ok(_) | Err(SubmitError { errno: Errno::INTR, .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Completes batches of NOPs, in order, on rings of a size that changes.
pub(crate) fn nops(mut load: Load) -> u64 {
    let mut done = 0;
    while load.goes_on() {
        let entries = 1 << load.below(10);
        let mut ring = IoUring::local(entries).expect("a ring");
        done += in_order(&mut ring, &load, 2000);
    }
    done
}

/// The same where a thread of the kernel's polls the queue.
pub(crate) fn polled(mut load: Load) -> u64 {
    let mut done = 0;
    while load.goes_on() {
        let entries = 1 << load.below(8);
        let mut ring = IoUring::builder().sqpoll(1).build(entries).expect("a ring");
        done += in_order(&mut ring, &load, 200);
    }
    done
}

/// Completes so many batches, each as large as the queue.
fn in_order<T>(ring: &mut IoUring<Sqe, Cqe, T>, load: &Load, batches: u32) -> u64 {
    let (mut pushed, mut next) = (0, 0);
    for _ in 0..batches {
        if !load.goes_on() {
            break;
        }
        while ring.submission().push_safe(Nop::new().sqe(pushed)).is_ok() {
            pushed += 1;
        }
        while next < pushed {
            submit_and_wait(ring, 1);
            for cqe in ring.completion().drain() {
                assert_eq!((cqe.user_data(), cqe.result()), (next, Ok(0)));
                next += 1;
            }
        }
    }
    next
}

/// More completions than there is room for: none is lost, and they stay in order.
pub(crate) fn overflow(mut load: Load) -> u64 {
    let mut ring = IoUring::builder().cq_entries(4).build_local(4).expect("a ring");
    assert!(ring.features().contains(Features::NODROP));
    let (mut pushed, mut next) = (0, 0);
    let mut take = |ring: &mut LocalIoUring, most: u32| {
        for _ in 0..most {
            let Some(cqe) = ring.completion().pop() else { return next };
            assert_eq!((cqe.user_data(), cqe.result()), (next, Ok(0)));
            next += 1;
        }
        next
    };
    while load.goes_on() {
        for _ in 0..256 {
            if let Ok(()) = ring.submission().push_safe(Nop::new().sqe(pushed)) {
                pushed += 1;
            } else {
                match ring.submit() {
                    Ok(_) => {}
                    Err(error) if error.advice() == Advice::Reap => _ = take(&mut ring, 1),
                    Err(error) => assert_eq!(error.errno, Errno::INTR),
                }
            }
        }
        // Mostly too few, and sometimes all that are there.
        let most = [1, 3, 7, u32::MAX][load.below(4) as usize];
        take(&mut ring, most);
    }
    while take(&mut ring, u32::MAX) < pushed {
        submit_and_wait(&mut ring, 1);
    }
    assert_eq!((ring.completion().overflow(), ring.submission().dropped()), (0, 0));
    pushed
}

/// A ring that is resized whatever it holds.
pub(crate) fn resizes(mut load: Load) -> u64 {
    let builder = IoUring::builder().single_issuer().defer_taskrun().no_sqarray();
    let mut ring = builder.build_local(8).expect("a ring");
    let (mut pushed, mut seen) = (0, 0);
    while load.goes_on() {
        for _ in 0..load.below(20) {
            if let Err(PushError::Full(_)) = ring.submission().push_safe(Nop::new().sqe(pushed)) {
                submit_and_wait(&mut ring, 0);
                continue;
            }
            pushed += 1;
        }
        for _ in 0..load.below(48) {
            let Some(cqe) = ring.completion().pop() else { break };
            assert_eq!((cqe.user_data(), cqe.result()), (seen, Ok(0)));
            seen += 1;
        }
        let (entries, factor) = (1 << load.below(9), 1 << load.below(3));
        match ring.resize(entries, Some(entries * factor)) {
            Ok(()) | Err(ResizeError::TooSmall { .. } | ResizeError::Refused(Errno::OVERFLOW)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    while seen < pushed {
        submit_and_wait(&mut ring, 1);
        while let Some(cqe) = ring.completion().pop() {
            assert_eq!((cqe.user_data(), cqe.result()), (seen, Ok(0)));
            seen += 1;
        }
    }
    seen
}

/// Timeouts that end, and timeouts that are cancelled: each completes once, as each cancel does.
pub(crate) fn timeouts(mut load: Load) -> u64 {
    const MANY: usize = 128;
    const CANCEL: u64 = 1 << 32;
    let mut ring = IoUring::local(256).expect("a ring");
    // The kernel copies the time when it takes the entry.
    let times: [Timespec; 8] =
        core::array::from_fn(|nth| Timespec::from(Duration::from_micros(50 << nth)));
    // What is in flight by number: a timeout, and its cancel.
    let mut in_flight = [(false, false); MANY];
    let mut done = 0;
    let mut left = 0_u32;
    loop {
        let goes_on = load.goes_on();
        if !goes_on && left == 0 {
            return done;
        }
        for _ in 0..16 {
            let nth = load.below(128) as usize;
            match in_flight[nth] {
                (false, false) if goes_on => {
                    let time: *const Timespec = &raw const times[load.below(8) as usize];
                    // SAFETY: the time stays to the end of this function, which waits for all.
                    unsafe { ring.submission().push(Timeout::new(time).sqe(nth as u64)) }
                        .expect("room");
                    in_flight[nth].0 = true;
                    left += 1;
                }
                (true, false) if load.below(3) == 0 => {
                    let cancel = AsyncCancel::of_user_data(nth as u64).sqe(CANCEL | nth as u64);
                    ring.submission().push_safe(cancel).expect("room");
                    in_flight[nth].1 = true;
                    left += 1;
                }
                _ => {}
            }
        }
        submit_and_wait(&mut ring, u32::from(left > 0));
        while let Some(cqe) = ring.completion().pop() {
            let nth = usize::try_from(cqe.user_data() & !CANCEL).expect("a small number");
            if cqe.user_data() & CANCEL == 0 {
                assert!(matches!(cqe.result(), Err(Errno::TIME | Errno::CANCELED)), "{cqe:?}");
                assert!(core::mem::take(&mut in_flight[nth].0), "{cqe:?} twice");
            } else {
                assert!(matches!(cqe.result(), Ok(_) | Err(Errno::NOENT | Errno::ALREADY)));
                assert!(core::mem::take(&mut in_flight[nth].1), "{cqe:?} twice");
            }
            left -= 1;
            done += 1;
        }
    }
}

/// Messages from a ring to that of another thread, which come in order, once each.
pub(crate) fn messages(load: Load) -> u64 {
    // The completion queue holds as many messages as are not answered.
    const WINDOW: u64 = 64;
    let mut target = IoUring::new(64).expect("a ring");
    let number = target.params().cq_entries;
    assert!(u64::from(number) >= WINDOW);
    let fd = target.as_fd().as_raw_fd();
    // SAFETY: the receiver keeps its ring until it has the last message.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let seen = AtomicU64::new(0);
    let end = u64::MAX;
    thread::scope(|scope| {
        let seen = &seen;
        let receiver = scope.spawn(move || {
            let mut next = 0;
            loop {
                match target.completion().wait(1) {
                    Ok(()) | Err(Errno::INTR) => {}
                    Err(errno) => panic!("{errno}"),
                }
                while let Some(cqe) = target.completion().pop() {
                    if cqe.user_data() == end {
                        return next;
                    }
                    assert_eq!((cqe.user_data(), cqe.result()), (next, Ok(7)));
                    next += 1;
                }
                seen.store(next, Ordering::Release);
            }
        });
        let mut ring = IoUring::local(64).expect("a ring");
        let mut send = |user_data: u64| {
            // SAFETY: the entry names the ring of the receiver, which stays, and no memory.
            unsafe { ring.submission().push(MsgRing::new(fd, 7, user_data).sqe(user_data)) }
                .expect("room");
            loop {
                submit_and_wait(&mut ring, 1);
                if let Some(cqe) = ring.completion().pop() {
                    break assert_eq!((cqe.user_data(), cqe.result()), (user_data, Ok(0)));
                }
            }
        };
        let mut sent = 0;
        while load.goes_on() {
            if sent - seen.load(Ordering::Acquire) < WINDOW {
                send(sent);
                sent += 1;
            } else {
                thread::yield_now();
            }
        }
        send(end);
        assert_eq!(receiver.join().expect("it returns"), sent);
        2 * sent
    })
}

/// Rings that are made, asked and dropped.
pub(crate) fn set_ups(mut load: Load) -> u64 {
    let mut made = 0;
    while load.goes_on() {
        let entries = 1 << load.below(6);
        let ring = match load.below(3) {
            0 => IoUring::builder().sqpoll(1).build(entries),
            _ => IoUring::new(entries),
        };
        let ring = ring.expect("a ring");
        assert!(ring.registrar().probe().expect("an answer").supports(Opcode::NOP));
        made += 1;
        drop(ring);
        // Each is freed by a worker of the kernel's, which has to come to it.
        thread::sleep(Duration::from_millis(1));
    }
    made
}
