//! Waiting, cancelling, tables, pipes, and messages between rings.

use ringbolt::ops::{
    AsyncCancel, DestSlot, EpollCtl, EpollWait, FilesUpdate, Fixed, FixedFdInstall, FutexWait,
    FutexWaitv, FutexWake, LinkTimeout, MsgRing, MsgRingFd, Nop, Nop128, Pipe, PollAdd, PollRemove,
    PollUpdate, ProvideBuffers, RemoveBuffers, Splice, Target, Tee, Timeout, TimeoutRemove,
    TimeoutUpdate, WaitId,
};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::pipe::{PipeFlags, SpliceFlags};
use ringbolt::rustix::process::{Pid, WaitId as Who, WaitIdOptions};
use ringbolt::sys::{CqeFlags, FixedFdFlags, Futex2Flags, MsgRingFlags, TimeoutFlags};

use super::{Case, OFFSET, OTHER, SEVEN, SLOT, TAG, at, case};

pub(super) fn waiting() -> Vec<Case> {
    let timespec = at(0x7f11_0000_4000);
    let (abs, real) = (TimeoutFlags::ABS, TimeoutFlags::REALTIME);
    let repeated = abs | TimeoutFlags::BOOTTIME | TimeoutFlags::MULTISHOT;
    let (readable, writable) = (EventFlags::IN, EventFlags::OUT);
    let update = PollUpdate::new(OTHER).events(writable).user_data(0x1122_3344_5566_7788);
    let in_time = TimeoutUpdate::new(OTHER, timespec).flags(abs);
    let shared = Futex2Flags::SIZE_U32 | Futex2Flags::PRIVATE;
    let word = at(0x7f11_0000_2000);
    let child = Who::Pid(Pid::from_raw(1234).expect("not 0"));
    let exited = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let events = at(0x7f11_0000_8000);
    let watch = EpollCtl::add(Target::Fd(6), SEVEN, events);
    vec![
        case("poll_add", PollAdd::new(SEVEN, readable | EventFlags::RDHUP).sqe(TAG)),
        case("poll_multishot", PollAdd::new(SEVEN, readable | writable).multishot().sqe(TAG)),
        case("poll_update", update.sqe(TAG)),
        case("timeout", Timeout::new(timespec).count(2).sqe(TAG)),
        case("timeout_abs_boottime_multishot", Timeout::new(timespec).flags(repeated).sqe(TAG)),
        case("timeout_update", in_time.sqe(TAG)),
        case("link_timeout_update", TimeoutUpdate::link(OTHER, timespec).sqe(TAG)),
        case("link_timeout", LinkTimeout::new(timespec).sqe(TAG)),
        case("link_timeout_realtime", LinkTimeout::new(timespec).flags(abs | real).sqe(TAG)),
        case("futex_wait", FutexWait::new(word, 5, shared).sqe(TAG)),
        case("futex_wake", FutexWake::new(word, 1, shared).sqe(TAG)),
        case("futex_waitv", FutexWaitv::new(at(0x7f11_0000_2000), 3).sqe(TAG)),
        case("waitid", WaitId::new(child, exited, at(0x7f11_0000_8000)).sqe(TAG)),
        case("epoll_ctl", watch.sqe(TAG)),
        case("epoll_wait", EpollWait::new(SEVEN, events, 16).sqe(TAG)),
    ]
}

pub(super) fn cancelling() -> Vec<Case> {
    let by_file = AsyncCancel::of_file(SEVEN).all();
    vec![
        case("poll_remove", PollRemove::new(OTHER).sqe(TAG)),
        case("timeout_remove", TimeoutRemove::new(OTHER).sqe(TAG)),
        case("cancel_user_data", AsyncCancel::of_user_data(OTHER).sqe(TAG)),
        case("cancel_all_user_data", AsyncCancel::of_user_data(OTHER).all().sqe(TAG)),
        case("cancel_fd_all", by_file.sqe(TAG)),
        case("cancel_fd_fixed", AsyncCancel::of_fixed(Fixed(7)).sqe(TAG)),
        case("cancel_any", AsyncCancel::any().sqe(TAG)),
    ]
}

pub(super) fn tables() -> Vec<Case> {
    let buf = at(0x7f11_0000_2000);
    let slots = at(0x7f11_0000_9000);
    let install = FixedFdInstall::new(SLOT);
    vec![
        case("provide_buffers", ProvideBuffers::new(buf, 4096, 8, 9, 1).sqe(TAG)),
        case("remove_buffers", RemoveBuffers::new(8, 9).sqe(TAG)),
        case("files_update", FilesUpdate::new(Fixed(2), slots, 4).sqe(TAG)),
        case("fixed_fd_install", install.sqe(TAG)),
        case("fixed_fd_install_no_cloexec", install.flags(FixedFdFlags::NO_CLOEXEC).sqe(TAG)),
    ]
}

pub(super) fn rings() -> Vec<Case> {
    let ends = at(0x7f11_0000_9000);
    let six = Target::Fd(6);
    let to_offset = Splice::new(six, SEVEN, 65_536).output_offset(OFFSET);
    let tee = Tee::new(six, SEVEN, 65_536).flags(SpliceFlags::NONBLOCK);
    let message = MsgRing::new(SEVEN, 64, OTHER);
    let flagged = message.cqe_flags(CqeFlags::BUF_MORE);
    let send_fd = |slot| MsgRingFd::new(SEVEN, Fixed(2), slot, OTHER).sqe(TAG);
    let pipe = Pipe::new(ends);
    vec![
        case("nop", Nop::new().sqe(TAG)),
        case("nop128", Nop128::new().sqe(TAG)),
        case("splice", to_offset.flags(SpliceFlags::MOVE).sqe(TAG)),
        case("splice_fd_in_fixed", Splice::new(Fixed(6), SEVEN, 65_536).sqe(TAG)),
        case("tee", tee.sqe(TAG)),
        case("msg_ring", message.sqe(TAG)),
        case("msg_ring_cqe_flags", flagged.sqe(TAG)),
        case("msg_ring_cqe_skip", message.flags(MsgRingFlags::CQE_SKIP).sqe(TAG)),
        case("msg_ring_fd", send_fd(DestSlot::At(SLOT))),
        case("msg_ring_fd_alloc", send_fd(DestSlot::Alloc)),
        case("pipe", pipe.flags(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).sqe(TAG)),
        case("pipe_fixed_slot", pipe.fixed(DestSlot::At(SLOT)).sqe(TAG)),
        case("pipe_fixed_alloc", pipe.fixed(DestSlot::Alloc).sqe(TAG)),
    ]
}
