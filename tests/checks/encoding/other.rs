//! Waiting, cancelling, tables, pipes, and messages between rings.

use ringbolt::ops::{
    AsyncCancel, DestSlot, EpollCtl, EpollWait, FilesUpdate, Fixed, FixedFdInstall, FutexWait,
    FutexWaitv, FutexWake, LinkTimeout, MsgRing, MsgRingFd, Nop, Nop128, Pipe, PollAdd, PollRemove,
    PollUpdate, ProvideBuffers, RemoveBuffers, Splice, Target, Tee, Timeout, TimeoutRemove,
    TimeoutUpdate, WaitId,
};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::fd::{AsFd as _, AsRawFd as _};
use ringbolt::rustix::pipe::{PipeFlags, SpliceFlags};
use ringbolt::rustix::process::{Pid, WaitId as Who, WaitIdOptions};
use ringbolt::sys::{
    CancelFlags, CqeFlags, FixedFdFlags, Futex2Flags, MsgRingFlags, NopFlags, Opcode, PollFlags,
    TimeoutFlags,
};

use super::want::Want;
use super::{Bytes, Made, Make, address, files, pointer, widened};

/// Any slot, and often one at the end of the numbers.
pub(super) fn fixed(b: &mut Bytes<'_>) -> Fixed {
    let (near, slot) = (b.bool(), b.u32());
    Fixed(if near { u32::MAX - slot % 4 } else { slot })
}

pub(super) fn target(b: &mut Bytes<'_>) -> Target {
    let (fixed, number) = (b.bool(), b.u32());
    if fixed { Fixed(number).into() } else { Target::Fd(i32::from_ne_bytes(number.to_ne_bytes())) }
}

pub(super) fn dest(b: &mut Bytes<'_>) -> DestSlot {
    let (any, slot) = (b.bool(), fixed(b));
    if any { DestSlot::Alloc } else { DestSlot::At(slot) }
}

/// An operation that acts on no file.
fn on_none(opcode: Opcode, tag: u64) -> Want {
    Want::new(opcode, tag).fd(-1)
}

/// An operation that says a time: one `struct __kernel_timespec`.
fn timed(opcode: Opcode, tag: u64) -> Want {
    on_none(opcode, tag).len(1)
}

pub(super) const WAITING: &[Make] = &[
    |b, tag| {
        let (on, events, told, flags) = (target(b), b.u32(), b.bool(), b.u32());
        let op = PollAdd::new(on, EventFlags::from_bits_retain(events));
        let op = op.flags(PollFlags::from_bits_retain(flags));
        let op = if told { op.multishot() } else { op };
        let want = Want::new(Opcode::POLL_ADD, tag).on(on).events(events);
        Made::new(&op, op.sqe(tag), want.len(flags | u32::from(told)))
    },
    |b, tag| {
        let other = b.u64();
        let op = PollRemove::new(other);
        let want = on_none(Opcode::POLL_REMOVE, tag).addr(other);
        Made::new(&op, widened(op.sqe(tag)), want)
    },
    |b, tag| {
        let (other, told) = (b.u64(), b.u8());
        let (events, user_data, flags) = (b.u32(), b.u64(), b.u32());
        let mut op = PollUpdate::new(other).flags(PollFlags::from_bits_retain(flags));
        let mut want = on_none(Opcode::POLL_REMOVE, tag).addr(other);
        let mut said = flags;
        if told & 1 != 0 {
            op = op.events(EventFlags::from_bits_retain(events));
            (want, said) = (want.events(events), said | 1 << 1);
        }
        if told & 2 != 0 {
            op = op.user_data(user_data);
            (want, said) = (want.off(user_data), said | 1 << 2);
        }
        Made::new(&op, widened(op.sqe(tag)), want.len(said))
    },
    |b, tag| {
        let (time, count, flags) = (pointer(b), b.u32(), b.u32());
        let op = Timeout::new(time).count(count).flags(TimeoutFlags::from_bits_retain(flags));
        let want = timed(Opcode::TIMEOUT, tag).addr(address(time)).off(u64::from(count));
        Made::new(&op, op.sqe(tag), want.op_flags(flags))
    },
    |b, tag| {
        let (time, flags) = (pointer(b), b.u32());
        let op = LinkTimeout::new(time).flags(TimeoutFlags::from_bits_retain(flags));
        let want = timed(Opcode::LINK_TIMEOUT, tag).addr(address(time)).op_flags(flags);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let other = b.u64();
        let op = TimeoutRemove::new(other);
        let want = on_none(Opcode::TIMEOUT_REMOVE, tag).addr(other);
        Made::new(&op, widened(op.sqe(tag)), want)
    },
    |b, tag| {
        let (other, time, flags, link) = (b.u64(), pointer(b), b.u32(), b.bool());
        // `IORING_TIMEOUT_UPDATE`, and with it `IORING_LINK_TIMEOUT_UPDATE`.
        let (op, which) = if link {
            (TimeoutUpdate::link(other, time), 1 << 1 | 1 << 4)
        } else {
            (TimeoutUpdate::new(other, time), 1 << 1)
        };
        let op = op.flags(TimeoutFlags::from_bits_retain(flags));
        let want = on_none(Opcode::TIMEOUT_REMOVE, tag).addr(other).off(address(time));
        Made::new(&op, op.sqe(tag), want.op_flags(flags | which))
    },
    |b, tag| {
        let (word, value, flags, mask) = (pointer(b), b.u64(), b.u32(), b.u64());
        let op = FutexWait::new(word, value, Futex2Flags::from_bits_retain(flags)).mask(mask);
        let want = Want::new(Opcode::FUTEX_WAIT, tag).put(4, flags.to_ne_bytes());
        Made::new(&op, op.sqe(tag), want.addr(address(word)).off(value).addr3(mask))
    },
    |b, tag| {
        let (word, count, flags) = (pointer(b), b.u64(), b.u32());
        let op = FutexWake::new(word, count, Futex2Flags::from_bits_retain(flags));
        let want = Want::new(Opcode::FUTEX_WAKE, tag).put(4, flags.to_ne_bytes());
        Made::new(&op, op.sqe(tag), want.addr(address(word)).off(count).addr3(0xffff_ffff))
    },
    |b, tag| {
        let (futexes, count) = (pointer(b), b.u32());
        let op = FutexWaitv::new(futexes, count);
        let want = Want::new(Opcode::FUTEX_WAITV, tag).addr(address(futexes)).len(count);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (number, options, info) = (b.u32() >> 1, b.u32(), pointer(b));
        let number = i32::try_from(number).expect("it was halved");
        let pid = Pid::from_raw(number);
        let file = files::opened()[0].as_fd();
        let (who, kind, id) = match (b.below(4), pid) {
            (0, Some(pid)) => (Who::Pid(pid), 1, number),
            (1, _) => (Who::Pgid(pid), 2, number),
            (2, _) => (Who::PidFd(file), 3, file.as_raw_fd()),
            _ => (Who::All, 0, 0),
        };
        let op = WaitId::new(who, WaitIdOptions::from_bits_retain(options), info);
        let want = Want::new(Opcode::WAITID, tag).fd(id).len(kind).off(address(info));
        Made::new(&op, op.sqe(tag), want.file(options))
    },
    |b, tag| {
        let [set, one, _] = files::opened();
        let event = pointer(b);
        let (op, number, event) = match b.below(3) {
            0 => (EpollCtl::add(set, one, event), 1, address(event)),
            1 => (EpollCtl::delete(set, one), 2, 0),
            _ => (EpollCtl::modify(set, one, event), 3, address(event)),
        };
        let want = Want::new(Opcode::EPOLL_CTL, tag).fd(set.as_raw_fd()).len(number);
        let one = u64::try_from(one.as_raw_fd()).expect("descriptors are not negative");
        Made::new(&op, op.sqe(tag), want.off(one).addr(event))
    },
    |b, tag| {
        let (on, events, count) = (target(b), pointer(b), b.u32());
        let op = EpollWait::new(on, events, count);
        let want = Want::new(Opcode::EPOLL_WAIT, tag).on(on).addr(address(events)).len(count);
        Made::new(&op, op.sqe(tag), want)
    },
];

pub(super) const TABLES: &[Make] = &[
    |b, tag| {
        let (which, other, slot, opcode) = (b.below(4), b.u64(), b.u32(), b.u8());
        let (flags, all, also) = (b.u32(), b.bool(), b.bool());
        let code = u32::from(opcode);
        let none = on_none(Opcode::ASYNC_CANCEL, tag);
        let (op, want, said) = match which {
            0 => (AsyncCancel::of_user_data(other), none.addr(other), 0),
            1 => {
                let want = none.put(4, slot.to_ne_bytes());
                (AsyncCancel::of_fixed(Fixed(slot)), want, 1 << 1 | 1 << 3)
            }
            2 => (AsyncCancel::of_opcode(Opcode::from_raw(opcode)), none.len(code), 1 << 5),
            _ => (AsyncCancel::any(), none, 1 << 2),
        };
        let (mut op, mut want) = (op.flags(CancelFlags::from_bits_retain(flags)), want);
        let mut said = said | flags;
        if all {
            (op, said) = (op.all(), said | 1);
        }
        if also {
            op = op.opcode(Opcode::from_raw(opcode));
            (want, said) = (want.len(code), said | 1 << 5);
        }
        Made::new(&op, widened(op.sqe(tag)), want.op_flags(said))
    },
    |b, tag| {
        let (flags, opcode, all, also) = (b.u32(), b.u8(), b.bool(), b.bool());
        let file = &files::opened()[0];
        let mut op = AsyncCancel::of_file(file).flags(CancelFlags::from_bits_retain(flags));
        let mut want = on_none(Opcode::ASYNC_CANCEL, tag).fd(file.as_raw_fd());
        let mut said = flags | 1 << 1;
        if all {
            (op, said) = (op.all(), said | 1);
        }
        if also {
            op = op.opcode(Opcode::from_raw(opcode));
            (want, said) = (want.len(u32::from(opcode)), said | 1 << 5);
        }
        Made::new(&op, op.sqe(tag), want.op_flags(said))
    },
    |b, tag| {
        let (start, len, count, group, id) = (pointer(b), b.u32(), b.u16(), b.u16(), b.u16());
        let op = ProvideBuffers::new(start, len, count, group, id);
        let want = Want::new(Opcode::PROVIDE_BUFFERS, tag).fd(i32::from(count)).len(len);
        let want = want.addr(address(start)).off(u64::from(id)).buf(group);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (count, group) = (b.u16(), b.u16());
        let op = RemoveBuffers::new(count, group);
        let want = Want::new(Opcode::REMOVE_BUFFERS, tag).fd(i32::from(count)).buf(group);
        Made::new(&op, widened(op.sqe(tag)), want)
    },
    |b, tag| {
        let (first, count, alloc) = (b.u32(), b.u32(), b.bool());
        let (slots, fds) = (pointer(b), pointer(b));
        let (op, at, first) = if alloc {
            (FilesUpdate::alloc(fds, count), address(fds), u32::MAX)
        } else {
            (FilesUpdate::new(Fixed(first), slots, count), address(slots), first)
        };
        let want = on_none(Opcode::FILES_UPDATE, tag).addr(at).len(count);
        Made::new(&op, op.sqe(tag), want.off(u64::from(first)))
    },
    |b, tag| {
        let (slot, flags) = (b.u32(), b.u32());
        let op = FixedFdInstall::new(Fixed(slot)).flags(FixedFdFlags::from_bits_retain(flags));
        let want = Want::new(Opcode::FIXED_FD_INSTALL, tag).on(Fixed(slot).into());
        Made::new(&op, widened(op.sqe(tag)), want.op_flags(flags))
    },
];

/// The input of a splice: a descriptor, or a slot with a flag, `SPLICE_F_FD_IN_FIXED`.
fn input(want: Want, input: Target, flags: u32) -> Want {
    match input {
        Target::Fd(fd) => want.put(44, fd.to_ne_bytes()).op_flags(flags),
        Target::Fixed(Fixed(slot)) => want.file(slot).op_flags(flags | 1 << 31),
    }
}

pub(super) const RINGS: &[Make] = &[
    |b, tag| {
        let (told, on, index) = (b.u8(), target(b), b.u16());
        let (extra, result, flags) = ([b.u64(), b.u64()], b.i32(), b.u32());
        let mut op = Nop::new().flags(NopFlags::from_bits_retain(flags));
        let mut want = on_none(Opcode::NOP, tag);
        let mut said = flags;
        if told & 1 != 0 {
            (op, want) = (op.file(on), want.on(on));
            said |= if matches!(on, Target::Fixed(_)) { 1 << 1 | 1 << 2 } else { 1 << 1 };
            // The flag is the operation's own.
            want.bytes[1] = 0;
        }
        if told & 2 != 0 {
            (op, want, said) = (op.fixed_buffer(index), want.buf(index), said | 1 << 3);
        }
        if told & 4 != 0 {
            (op, said) = (op.task_work(), said | 1 << 4);
        }
        if told & 8 != 0 {
            want = want.off(extra[0]).addr(extra[1]);
            (op, said) = (op.cqe32(extra), said | 1 << 5);
        }
        if told & 16 != 0 {
            want = want.put(24, result.to_ne_bytes());
            (op, said) = (op.inject_result(result), said | 1);
        }
        Made::new(&op, widened(op.sqe(tag)), want.op_flags(said))
    },
    |_, tag| {
        let op = Nop128::new();
        Made::new(&op, op.sqe(tag), on_none(Opcode::NOP128, tag))
    },
    |b, tag| {
        let (from, to, len, flags) = (target(b), target(b), b.u32(), b.u32());
        let (told, input_offset, output_offset) = (b.u8(), b.u64(), b.u64());
        let mut op = Splice::new(from, to, len).flags(SpliceFlags::from_bits_retain(flags));
        let want = Want::new(Opcode::SPLICE, tag).on(to).len(len);
        let mut want = input(want.off(u64::MAX).addr(u64::MAX), from, flags);
        if told & 1 != 0 {
            (op, want) = (op.input_offset(input_offset), want.addr(input_offset));
        }
        if told & 2 != 0 {
            (op, want) = (op.output_offset(output_offset), want.off(output_offset));
        }
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (from, to, len, flags) = (target(b), target(b), b.u32(), b.u32());
        let op = Tee::new(from, to, len).flags(SpliceFlags::from_bits_retain(flags));
        let want = input(Want::new(Opcode::TEE, tag).on(to).len(len), from, flags);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (ends, flags, told, slot) = (pointer(b), b.u32(), b.bool(), dest(b));
        let mut op = Pipe::new(ends).flags(PipeFlags::from_bits_retain(flags));
        let mut want = Want::new(Opcode::PIPE, tag).addr(address(ends)).op_flags(flags);
        if told {
            (op, want) = (op.fixed(slot), want.dest(slot));
        }
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (on, result, other, flags) = (target(b), b.i32(), b.u64(), b.u32());
        let (told, passed) = (b.bool(), b.u32());
        let mut op = MsgRing::new(on, result, other);
        op = op.flags(MsgRingFlags::from_bits_retain(flags));
        let want = Want::new(Opcode::MSG_RING, tag).on(on).off(other);
        let mut want = want.put(24, result.to_ne_bytes()).op_flags(flags);
        if told {
            // `IORING_MSG_RING_FLAGS_PASS`.
            want = want.file(passed).op_flags(flags | 1 << 1);
            op = op.cqe_flags(CqeFlags::from_bits_retain(passed));
        }
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let ring = &files::opened()[0];
        let (from, to, other, skip) = (b.u32(), dest(b), b.u64(), b.bool());
        let op = MsgRingFd::new(ring, Fixed(from), to, other);
        let op = if skip { op.skip() } else { op };
        // `IORING_MSG_SEND_FD`, `IORING_MSG_RING_CQE_SKIP`.
        let want = Want::new(Opcode::MSG_RING, tag).fd(ring.as_raw_fd()).addr(1);
        let want = want.addr3(u64::from(from)).dest(to).off(other).op_flags(u32::from(skip));
        Made::new(&op, op.sqe(tag), want)
    },
];
