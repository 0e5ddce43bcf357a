//! `Capabilities` answers for each variant what its deed shows.

use std::io::Write as _;
use std::net::TcpStream;

use crate::common::{complete, reap};
use crate::op_common::{connect, leaked, listener, owned, pipe, provide, ring, tcp_pair};
use ringbolt::ops::{Accept, AsyncCancel, IoVec, Nop, PollAdd, Recv, Send, SendZc, Timeout};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{AcceptFlags, BufRingFlags, Features, Opcode, RecvSendFlags, TimeoutFlags};
use ringbolt::{Capabilities, Cqe, Sqe, Timespec, Variant};

/// Whether an operation succeeded and goes on.
fn goes_on(cqe: &Cqe) -> bool {
    cqe.result().is_ok() && cqe.has_more()
}

/// A connection with some bytes to read, which stays open.
fn with_data() -> &'static TcpStream {
    let (near, mut far) = tcp_pair();
    far.write_all(b"abcdef").expect("room in the socket");
    Box::leak(Box::new(far));
    Box::leak(Box::new(near))
}

/// How many of the polls in flight a cancellation finds, of which there is one.
fn cancels(cancel: impl FnOnce(&std::fs::File) -> Sqe) -> bool {
    let mut ring = ring();
    let (reader, _writer) = pipe();
    // SAFETY: it names no memory; the pipe stays until the end of the function, and so longer than
    // the completion of the cancellation, or than the ring.
    unsafe { ring.submission().push(PollAdd::new(&reader, EventFlags::IN).sqe(1)) }.expect("room");
    // SAFETY: a cancellation names no memory.
    unsafe { ring.submission().push(cancel(&reader)) }.expect("room");
    ring.submit().expect("the kernel takes the entries");
    let mut answer = reap(&mut ring, 1).remove(0);
    if answer.user_data() == 1 {
        answer = reap(&mut ring, 1).remove(0);
    }
    answer.result() == Ok(1)
}

fn accepts(sqe: impl FnOnce(&std::net::TcpListener) -> Sqe, is_multi: bool) -> bool {
    let mut ring = ring();
    let (listener, address) = listener();
    let listener = Box::leak(Box::new(listener));
    let _peer = connect(address);
    // SAFETY: the listener stays forever, and there is no memory.
    let cqe = unsafe { complete(&mut ring, sqe(listener)) };
    if cqe.result().is_ok() {
        drop(owned(cqe.result()));
    }
    if is_multi { goes_on(&cqe) } else { cqe.result().is_ok() }
}

/// Receives into two provided buffers of 4 bytes.
fn receives(sqe: impl FnOnce(&TcpStream) -> Sqe) -> Cqe {
    let mut ring = ring();
    provide::<8>(&mut ring, 7, 2);
    // SAFETY: the connection and the buffers stay forever.
    unsafe { complete(&mut ring, sqe(with_data())) }
}

fn sends(sqe: impl FnOnce(&TcpStream) -> Sqe) -> Cqe {
    let connection = Box::leak(Box::new(tcp_pair()));
    // SAFETY: the connection and, by the caller, the data stay forever.
    unsafe { complete(&mut ring(), sqe(&connection.0)) }
}

/// Whether the kernel does what the variant is about.
fn is_done(variant: Variant, kernel: &Capabilities) -> bool {
    let mut ring = ring();
    match variant {
        Variant::MultishotPoll => {
            let pipe = Box::leak(Box::new(pipe()));
            let poll = PollAdd::new(&pipe.1, EventFlags::OUT).multishot();
            // SAFETY: the pipe stays forever.
            goes_on(&unsafe { complete(&mut ring, poll.sqe(1)) })
        }
        Variant::MultishotAccept => accepts(|on| Accept::new(on).multishot().sqe(1), true),
        Variant::AcceptPollFirst => {
            let poll_first = |on: &_| {
                let mut entry = Accept::new(on).sqe(1);
                entry.set_ioprio(AcceptFlags::POLL_FIRST.bits());
                entry
            };
            accepts(poll_first, false)
        }
        Variant::CancelByFile => cancels(|on| AsyncCancel::of_file(on).all().sqe(2)),
        Variant::CancelByOpcode => {
            let cancel = AsyncCancel::of_user_data(99).opcode(Opcode::POLL_ADD).all();
            cancels(|_| cancel.sqe(2).into())
        }
        Variant::PollFirst => {
            let buf = leaked::<8>();
            let receive = |on: &_| Recv::new(on, buf.as_mut_ptr(), 8).poll_first().sqe(1);
            receives(receive).result() == Ok(6)
        }
        Variant::MultishotRecv => goes_on(&receives(|on| Recv::provided(on, 7).multishot().sqe(1))),
        Variant::Bundles => receives(|on| Recv::provided(on, 7).bundle().sqe(1)).result().is_ok(),
        Variant::ZeroCopyUsage => {
            let data = leaked::<8>();
            let flags = RecvSendFlags::SEND_ZC_REPORT_USAGE;
            goes_on(&sends(|on| SendZc::new(on, data.as_ptr(), 8).send_flags(flags).sqe(1)))
        }
        Variant::VectoredSend => {
            let vector = Box::leak(Box::new(IoVec::from(&leaked::<5>()[..])));
            sends(|on| Send::vectored(on, &raw const *vector, 1).sqe(1)).result() == Ok(5)
        }
        Variant::MultishotTimeout => {
            static SOON: Timespec = Timespec::new(0, 1_000_000);
            let timeout = Timeout::new(&raw const SOON).flags(TimeoutFlags::MULTISHOT);
            // SAFETY: the time is a static.
            let cqe = unsafe { complete(&mut ring, timeout.sqe(1)) };
            cqe.result() == Err(Errno::TIME) && cqe.has_more()
        }
        Variant::NopResult => {
            // SAFETY: it names no memory.
            unsafe { complete(&mut ring, Nop::new().inject_result(77).sqe(1)) }.result() == Ok(77)
        }
        Variant::IncrementalBuffers => {
            ring.registrar().register_buffer_ring(9, 1, BufRingFlags::INC).is_ok()
        }
        Variant::MinWait => kernel.features().contains(Features::MIN_TIMEOUT),
        other => panic!("there is no deed for {other:?}"),
    }
}

#[test]
fn each_variant_is_there_if_its_deed_is_done() {
    let kernel = Capabilities::of_kernel().expect("a kernel with io_uring");
    for variant in Variant::ALL {
        assert_eq!(kernel.has(variant), is_done(variant, &kernel), "{variant:?}");
    }
}
