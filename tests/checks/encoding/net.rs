//! Sockets, their messages, and commands to drivers.

use core::num::NonZeroU32;

use ringbolt::ops::{
    Accept, Bind, BlockDiscard, Connect, Listen, Recv, RecvMsg, RecvZc, Send, SendMsg, SendMsgZc,
    SendZc, Shutdown, Socket, SocketCommand, UringCmd, UringCmd80,
};
use ringbolt::rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, Shutdown as How, SocketFlags, SocketType,
};
use ringbolt::sys::{AcceptFlags, Opcode, RecvSendFlags, SharedPtr, UringCmdFlags};

use super::other::{dest, target};
use super::want::Want;
use super::{Bytes, Made, Make, address, pointer};

/// `IORING_RECVSEND_` and `IORING_SEND_`, `IORING_RECV_` flags, by their numbers.
const POLL_FIRST: u16 = 1;
const RECV_MULTISHOT: u16 = 1 << 1;
const FIXED_BUF: u16 = 1 << 2;
const BUNDLE: u16 = 1 << 4;
const VECTORIZED: u16 = 1 << 5;

pub(super) const SOCKETS: &[Make] = &[
    |b, tag| {
        let (family, kind, flags) = (b.u16(), b.u32(), b.u32());
        let (told, protocol, slot) = (b.u8(), b.u32(), dest(b));
        let mut op = Socket::new(AddressFamily::from_raw(family), SocketType::from_raw(kind));
        op = op.flags(SocketFlags::from_bits_retain(flags));
        let mut want = Want::new(Opcode::SOCKET, tag).fd(i32::from(family));
        want = want.off(u64::from(kind | flags));
        if let Some(number) = NonZeroU32::new(protocol) {
            (op, want) = (op.protocol(Protocol::from_raw(number)), want.len(protocol));
        }
        if told & 1 != 0 {
            (op, want) = (op.fixed(slot), want.dest(slot));
        }
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (on, at, len) = (target(b), pointer(b), b.u32());
        let op = Bind::new(on, at, len);
        let want = Want::new(Opcode::BIND, tag).on(on).addr(address(at)).off(u64::from(len));
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (on, at, len) = (target(b), pointer(b), b.u32());
        let op = Connect::new(on, at, len);
        let want = Want::new(Opcode::CONNECT, tag).on(on).addr(address(at)).off(u64::from(len));
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (on, backlog) = (target(b), b.u32());
        let op = Listen::new(on, backlog);
        Made::new(&op, op.sqe(tag), Want::new(Opcode::LISTEN, tag).on(on).len(backlog))
    },
    |b, tag| {
        let (on, told, at, len) = (target(b), b.u8(), pointer(b), pointer(b));
        let (flags, more, slot) = (b.u32(), b.u16(), dest(b));
        let mut op = Accept::new(on).flags(SocketFlags::from_bits_retain(flags));
        op = op.accept_flags(AcceptFlags::from_bits_retain(more));
        let mut want = Want::new(Opcode::ACCEPT, tag).on(on).op_flags(flags);
        if told & 1 != 0 {
            (op, want) = (op.peer(at, len), want.addr(address(at)).off(address(len)));
        }
        if told & 2 != 0 {
            (op, want) = (op.fixed(slot), want.dest(slot));
        }
        let multishot = told & 4 != 0;
        op = if multishot { op.multishot() } else { op };
        let want = want.ioprio(more | u16::from(multishot));
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let hows = [(How::Read, 0), (How::Write, 1), (How::Both, 2)];
        let (on, (how, number)) = (target(b), b.one_of(&hows));
        let op = Shutdown::new(on, how);
        Made::new(&op, op.sqe(tag), Want::new(Opcode::SHUTDOWN, tag).on(on).len(number))
    },
];

/// What each operation on messages can be told: flags of `MSG_` and of io_uring, poll first.
struct Told {
    flags: u32,
    more: u16,
    poll_first: bool,
}

impl Told {
    fn new(b: &mut Bytes<'_>) -> Self {
        Self { flags: b.u32(), more: b.u16(), poll_first: b.bool() }
    }

    fn want(&self, want: Want, already: u16) -> Want {
        let poll_first = if self.poll_first { POLL_FIRST } else { 0 };
        want.op_flags(self.flags).ioprio(already | self.more | poll_first)
    }
}

/// Tells an operation that sends all of it.
macro_rules! sending {
    ($op:expr, $told:expr) => {{
        let op = $op.flags(SendFlags::from_bits_retain($told.flags));
        let op = op.send_flags(RecvSendFlags::from_bits_retain($told.more));
        if $told.poll_first { op.poll_first() } else { op }
    }};
}

/// The same for one that receives.
macro_rules! receiving {
    ($op:expr, $told:expr) => {{
        let op = $op.flags(RecvFlags::from_bits_retain($told.flags));
        let op = op.recv_flags(RecvSendFlags::from_bits_retain($told.more));
        if $told.poll_first { op.poll_first() } else { op }
    }};
}

pub(super) const MESSAGES: &[Make] = &[
    |b, tag| {
        let (on, buf, len, told) = (target(b), pointer(b), b.u32(), Told::new(b));
        let (named, to, to_len) = (b.bool(), pointer(b), b.u16());
        let mut op = sending!(Send::new(on, buf, len), told);
        let want = Want::new(Opcode::SEND, tag).on(on).addr(address(buf)).len(len);
        let mut want = told.want(want, 0);
        if named {
            (op, want) = (op.to(to, to_len), want.off(address(to)));
            want = want.put(44, to_len.to_ne_bytes());
        }
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (on, len, group, told) = (target(b), b.u32(), b.u16(), Told::new(b));
        let op = sending!(Send::bundle(on, len, group), told);
        let want = Want::new(Opcode::SEND, tag).on(on).len(len).group(group);
        Made::new(&op, op.sqe(tag), told.want(want, BUNDLE))
    },
    |b, tag| {
        let (on, vectors, count, told) = (target(b), pointer(b), b.u32(), Told::new(b));
        let op = sending!(Send::vectored(on, vectors, count), told);
        let want = Want::new(Opcode::SEND, tag).on(on).addr(address(vectors)).len(count);
        Made::new(&op, op.sqe(tag), told.want(want, VECTORIZED))
    },
    |b, tag| {
        let (on, buf, len, told) = (target(b), pointer(b), b.u32(), Told::new(b));
        let (to, to_len, index) = (pointer(b), b.u16(), b.u16());
        let op = sending!(SendZc::new(on, buf, len), told);
        let op = op.fixed_buffer(index).to(to, to_len);
        let want = Want::new(Opcode::SEND_ZC, tag).on(on).addr(address(buf)).len(len);
        let want = told.want(want, FIXED_BUF).buf(index).off(address(to));
        Made::new(&op, op.sqe(tag), want.put(44, to_len.to_ne_bytes()))
    },
    |b, tag| {
        let (on, header, told) = (target(b), pointer(b), Told::new(b));
        let op = sending!(SendMsg::new(on, header), told);
        let want = Want::new(Opcode::SENDMSG, tag).on(on).addr(address(header)).len(1);
        Made::new(&op, op.sqe(tag), told.want(want, 0))
    },
    |b, tag| {
        let (on, header, told, index) = (target(b), pointer(b), Told::new(b), b.u16());
        let op = sending!(SendMsgZc::new(on, header), told).fixed_buffer(index);
        let want = Want::new(Opcode::SENDMSG_ZC, tag).on(on).addr(address(header)).len(1);
        Made::new(&op, op.sqe(tag), told.want(want, FIXED_BUF).buf(index))
    },
    |b, tag| {
        let (on, buf, len, told) = (target(b), pointer(b), b.u32(), Told::new(b));
        let op = receiving!(Recv::new(on, buf, len), told);
        let want = Want::new(Opcode::RECV, tag).on(on).addr(address(buf)).len(len);
        Made::new(&op, op.sqe(tag), told.want(want, 0))
    },
    |b, tag| {
        let (on, group, told) = (target(b), b.u16(), Told::new(b));
        let op = receiving!(Recv::provided(on, group), told).multishot().bundle();
        let want = Want::new(Opcode::RECV, tag).on(on).group(group);
        Made::new(&op, op.sqe(tag), told.want(want, RECV_MULTISHOT | BUNDLE))
    },
    |b, tag| {
        let (on, header, told) = (target(b), pointer(b), Told::new(b));
        let op = receiving!(RecvMsg::new(on, header), told);
        let want = Want::new(Opcode::RECVMSG, tag).on(on).addr(address(header)).len(1);
        Made::new(&op, op.sqe(tag), told.want(want, 0))
    },
    |b, tag| {
        let (on, header, group, told) = (target(b), pointer(b), b.u16(), Told::new(b));
        let op = receiving!(RecvMsg::multishot(on, header, group), told);
        let want = Want::new(Opcode::RECVMSG, tag).on(on).addr(address(header)).len(1);
        Made::new(&op, op.sqe(tag), told.want(want.group(group), RECV_MULTISHOT))
    },
    |b, tag| {
        let (on, queue, len) = (target(b), b.u32(), b.u32());
        let op = RecvZc::new(on, queue).len(len);
        let want = Want::new(Opcode::RECV_ZC, tag).on(on).ioprio(RECV_MULTISHOT);
        Made::new(&op, op.sqe(tag), want.file(queue).len(len))
    },
];

/// A command with a code.
fn command(opcode: Opcode, tag: u64, on: ringbolt::ops::Target, code: u32) -> Want {
    Want::new(opcode, tag).on(on).put(8, code.to_ne_bytes())
}

/// A socket command about the option `name` of `level`.
fn option(want: Want, level: u32, name: u32, value: u64, len: u32) -> Want {
    want.put(16, level.to_ne_bytes()).put(20, name.to_ne_bytes()).addr3(value).file(len)
}

/// `IORING_URING_CMD_FIXED`.
const CMD_FIXED: u32 = 1;

pub(super) const COMMANDS: &[Make] = &[
    |b, tag| {
        let (on, code, payload) = (target(b), b.u32(), b.array());
        let (flags, index, addr, len) = (b.u32(), b.u16(), b.u64(), b.u32());
        let op = UringCmd::new(on, code).payload(payload);
        let op = op.flags(UringCmdFlags::from_bits_retain(flags)).fixed_buffer(index);
        let op = op.addr(SharedPtr::without_provenance(addr)).len(len);
        let want = command(Opcode::URING_CMD, tag, on, code).put(48, payload);
        let want = want.op_flags(flags | CMD_FIXED).buf(index).addr(addr).len(len);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (on, code, payload, flags) = (target(b), b.u32(), b.array::<80>(), b.u32());
        let (op, opcode) = if b.bool() {
            (UringCmd80::mixed(on, code, payload), Opcode::URING_CMD128)
        } else {
            (UringCmd80::new(on, code, payload), Opcode::URING_CMD)
        };
        let op = op.flags(UringCmdFlags::from_bits_retain(flags));
        let want = command(opcode, tag, on, code).put(48, payload).op_flags(flags);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        // Always the opcode of mixed rings, so that each opcode is made without arguments.
        let (on, code, payload) = (target(b), b.u32(), b.array::<80>());
        let op = UringCmd80::mixed(on, code, payload);
        let want = command(Opcode::URING_CMD128, tag, on, code).put(48, payload);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let on = target(b);
        let (op, code) = match b.below(3) {
            0 => (SocketCommand::bytes_to_read(on), 0),
            1 => (SocketCommand::bytes_to_send(on), 1),
            _ => (SocketCommand::tx_timestamps(on), 4),
        };
        Made::new(&op, op.sqe(tag), command(Opcode::URING_CMD, tag, on, code))
    },
    |b, tag| {
        let (on, level, name) = (target(b), b.u32(), b.u32());
        let (value, len) = (pointer(b), b.u32());
        let (op, code) = if b.bool() {
            (SocketCommand::get_option(on, level, name, value, len), 2)
        } else {
            (SocketCommand::set_option(on, level, name, value, len), 3)
        };
        let want = command(Opcode::URING_CMD, tag, on, code);
        Made::new(&op, op.sqe(tag), option(want, level, name, address(value), len))
    },
    |b, tag| {
        let (on, at, len, peer) = (target(b), pointer(b), pointer(b), b.bool());
        let op = if peer {
            SocketCommand::peer_address(on, at, len)
        } else {
            SocketCommand::own_address(on, at, len)
        };
        let want = command(Opcode::URING_CMD, tag, on, 5).addr(address(at));
        Made::new(&op, op.sqe(tag), want.addr3(address(len)).file(u32::from(peer)))
    },
    |b, tag| {
        let (on, offset, len) = (target(b), b.u64(), b.u64());
        let op = BlockDiscard::new(on, offset, len);
        // `BLOCK_URING_CMD_DISCARD`, `_IO(0x12, 0)`.
        let want = command(Opcode::URING_CMD, tag, on, 0x1200).addr(offset).addr3(len);
        Made::new(&op, op.sqe(tag), want)
    },
];
