//! Each kind of entry, and what is owed to it.

use core::ffi::CStr;

use ringbolt::ops::{
    Accept, AsyncCancel, Close, Connect, DestSlot, Fadvise, Fallocate, Fixed, FixedFdInstall,
    Fsync, Ftruncate, FutexWait, FutexWake, MsgRing, Nop, OpenAt, PollAdd, PollRemove, PollUpdate,
    ProvideBuffers, Read, ReadFixed, ReadMultishot, Readv, Recv, RecvMsg, RemoveBuffers, Send,
    SendMsg, SendZc, Shutdown, Socket, Splice, Statx, SyncFileRange, Target, Tee, Timeout,
    TimeoutRemove, TimeoutUpdate, Write, WriteFixed, Writev,
};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::fd::{AsFd as _, BorrowedFd};
use ringbolt::rustix::fs::{Advice, AtFlags, CWD, FallocateFlags, OFlags, StatxFlags};
use ringbolt::rustix::net::{AddressFamily, SendFlags, Shutdown as How, SocketFlags, SocketType};
use ringbolt::sys::{Futex2Flags, Opcode, TimeoutFlags};
use ringbolt::{Sqe, Timespec};

use super::account::Kind;
use super::world::{Memory, PLACE, World};
use crate::checks::bytes::Bytes;

/// How long timeouts may take: no time, two short ones, and for ever, as far as an input goes.
pub(super) static SPANS: [Timespec; 4] = [
    Timespec::new(0, 0),
    Timespec::new(0, 20_000),
    Timespec::new(0, 200_000),
    Timespec::new(3600, 0),
];

/// The group of provided buffers.
const GROUP: u16 = 1;
/// What an entry is made of: its arguments, files to act on, and a place in memory.
pub(super) struct Maker<'m> {
    pub(super) world: &'m mut World,
    pub(super) ring: BorrowedFd<'m>,
    pub(super) memory: Memory,
    pub(super) place: usize,
    /// The entry's own `user_data`, one that may be an earlier entry's, and its message's.
    pub(super) id: u64,
    pub(super) other: u64,
    pub(super) message: u64,
    /// Whether entries may drain.
    pub(super) drains: bool,
    /// Whether nothing is to be tied behind this entry: it is left to the kernel which of its
    /// failures are failures to those behind.
    pub(super) ends_chain: bool,
    pub(super) arguments: Bytes<'m>,
}

pub(super) type Make = fn(&mut Maker<'_>) -> (Sqe, Kind);

/// Entries that can be tied to others.
pub(super) const TIED: &[Make] = &[
    nop,
    injected,
    read,
    write,
    readv,
    writev,
    read_fixed,
    write_fixed,
    read_pipe,
    write_pipe,
    timeout,
    timeout_of_count,
    poll,
    cancel,
    timeout_remove,
    timeout_update,
    poll_remove,
    poll_update,
    send,
    recv,
    sendmsg,
    recvmsg,
    send_zc,
    recv_datagram,
    accept,
    accept_fixed,
    connect,
    splice_in,
    splice_out,
    tee,
    open,
    close,
    sync,
    space,
    statx,
    provide,
    remove,
    message,
    socket,
    shutdown,
    futex_wait,
    futex_wake,
    install,
];

/// Entries that stand alone: they complete more than once, or with what a buffer holds.
pub(super) const ALONE: &[Make] = &[
    timeout_multishot,
    poll_multishot,
    accept_multishot,
    recv_multishot,
    read_multishot,
    read_provided,
    recv_provided,
];

impl Maker<'_> {
    /// Bytes to transfer: most often as many as there are in a place, or in the file.
    fn len(&mut self) -> u32 {
        u32::from(self.arguments.u16()) % (PLACE + 1)
    }

    fn offset(&mut self) -> u64 {
        u64::from(self.arguments.u16()) % 5000
    }

    /// The file, by descriptor or by slot.
    fn file(&mut self) -> Target {
        let fixed = self.arguments.bool();
        self.world.target(&self.world.file, 0, fixed)
    }

    fn socket(&mut self) -> Target {
        let fixed = self.arguments.bool();
        self.world.target(&self.world.sockets.0, 3, fixed)
    }

    fn buffer(&self) -> *mut u8 {
        self.memory.bytes(self.place)
    }

    fn span(&mut self) -> *const Timespec {
        &raw const SPANS[usize::from(self.arguments.u8()) % SPANS.len()]
    }
}

fn plain(sqe: impl Into<Sqe>) -> (Sqe, Kind) {
    (sqe.into(), Kind::Plain)
}

pub(super) fn nop(m: &mut Maker<'_>) -> (Sqe, Kind) {
    plain(Nop::new().sqe(m.id))
}

fn injected(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let result = i32::from(m.arguments.u8()) - 128;
    let op = Nop::new().inject_result(result);
    plain(op.sqe(m.id))
}

fn read(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (file, len, offset) = (m.file(), m.len(), m.offset());
    (Read::new(file, m.buffer(), len).offset(offset).sqe(m.id), Kind::Transfer(len))
}

fn write(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (file, len, offset) = (m.file(), m.len(), m.offset());
    (Write::new(file, m.buffer(), len).offset(offset).sqe(m.id), Kind::Transfer(len))
}

fn readv(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (file, offset) = (m.file(), m.offset());
    let op = Readv::new(file, m.memory.vectors(m.place), 2).offset(offset);
    (op.sqe(m.id), Kind::Transfer(PLACE))
}

fn writev(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (file, offset) = (m.file(), m.offset());
    let op = Writev::new(file, m.memory.vectors(m.place), 2).offset(offset);
    (op.sqe(m.id), Kind::Transfer(PLACE))
}

fn read_fixed(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (file, len, offset) = (m.file(), m.len(), m.offset());
    (ReadFixed::new(file, m.buffer(), len, 0).offset(offset).sqe(m.id), Kind::Transfer(len))
}

fn write_fixed(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (file, len, offset) = (m.file(), m.len(), m.offset());
    (WriteFixed::new(file, m.buffer(), len, 0).offset(offset).sqe(m.id), Kind::Transfer(len))
}

fn read_pipe(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (len, fixed) = (m.len(), m.arguments.bool());
    let pipe = m.world.target(&m.world.pipe.0, 1, fixed);
    (Read::new(pipe, m.buffer(), len).sqe(m.id), Kind::Transfer(len))
}

fn write_pipe(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (len, fixed) = (m.len(), m.arguments.bool());
    let pipe = m.world.target(&m.world.pipe.1, 2, fixed);
    (Write::new(pipe, m.buffer(), len).sqe(m.id), Kind::Transfer(len))
}

fn timeout(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (span, is_success) = (m.span(), m.arguments.bool());
    let flags = if is_success { TimeoutFlags::ETIME_SUCCESS } else { TimeoutFlags::empty() };
    (Timeout::new(span).flags(flags).sqe(m.id), Kind::Timer { is_success })
}

fn timeout_of_count(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let count = 1 + u32::from(m.arguments.below(4));
    (Timeout::new(m.span()).count(count).sqe(m.id), Kind::Timer { is_success: false })
}

fn poll(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let events = m.arguments.one_of(&[EventFlags::IN, EventFlags::OUT]);
    let of_pipe = m.arguments.bool();
    let target = if of_pipe { (&m.world.pipe.0).into() } else { m.socket() };
    plain(PollAdd::new(target, events).sqe(m.id))
}

fn cancel(m: &mut Maker<'_>) -> (Sqe, Kind) {
    // The first argument says which entry.
    let _ = m.arguments.u8();
    let op = match m.arguments.below(5) {
        0 => AsyncCancel::any(),
        1 => AsyncCancel::any().all(),
        2 => return plain(AsyncCancel::of_file(&m.world.pipe.0).all().sqe(m.id)),
        3 => AsyncCancel::of_opcode(m.arguments.one_of(&[Opcode::READ, Opcode::POLL_ADD])),
        _ => AsyncCancel::of_user_data(m.other),
    };
    plain(op.sqe(m.id))
}

fn timeout_remove(m: &mut Maker<'_>) -> (Sqe, Kind) {
    plain(TimeoutRemove::new(m.other).sqe(m.id))
}

fn timeout_update(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let _ = m.arguments.u8();
    let (span, of_link) = (m.span(), m.arguments.bool());
    let op = if of_link {
        TimeoutUpdate::link(m.other, span)
    } else {
        TimeoutUpdate::new(m.other, span)
    };
    plain(op.sqe(m.id))
}

fn poll_remove(m: &mut Maker<'_>) -> (Sqe, Kind) {
    plain(PollRemove::new(m.other).sqe(m.id))
}

fn poll_update(m: &mut Maker<'_>) -> (Sqe, Kind) {
    plain(PollUpdate::new(m.other).events(EventFlags::IN | EventFlags::OUT).sqe(m.id))
}

fn send(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let len = m.len();
    plain(Send::new(m.socket(), m.buffer(), len).flags(SendFlags::NOSIGNAL).sqe(m.id))
}

fn recv(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (len, poll_first) = (m.len(), m.arguments.bool());
    let op = Recv::new(&m.world.sockets.1, m.buffer(), len);
    plain((if poll_first { op.poll_first() } else { op }).sqe(m.id))
}

fn sendmsg(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let header = m.memory.header(m.place);
    plain(SendMsg::new(&m.world.sockets.1, header).flags(SendFlags::NOSIGNAL).sqe(m.id))
}

fn recvmsg(m: &mut Maker<'_>) -> (Sqe, Kind) {
    plain(RecvMsg::new(m.socket(), m.memory.header(m.place)).sqe(m.id))
}

fn send_zc(m: &mut Maker<'_>) -> (Sqe, Kind) {
    if m.drains {
        // It never starts, nor does what drains after it: the kernel waits for the notification,
        // which is there from the start, to go (seen on 6.18).
        return send(m);
    }
    let (len, fixed, by_unix) = (m.len(), m.arguments.bool(), m.arguments.below(8) == 0);
    // A local socket has no such thing, and says so.
    let socket = if by_unix { m.socket() } else { (&m.world.udp.0).into() };
    let op = SendZc::new(socket, m.buffer(), len).flags(SendFlags::NOSIGNAL);
    let op = if fixed { op.fixed_buffer(0) } else { op };
    (op.sqe(m.id), Kind::ZeroCopy)
}

fn recv_datagram(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let len = m.len();
    plain(Recv::new(&m.world.udp.1, m.buffer(), len).sqe(m.id))
}

const OPENS: Kind = Kind::Opens { multishot: false };

fn accept(m: &mut Maker<'_>) -> (Sqe, Kind) {
    (Accept::new(&m.world.listener).flags(SocketFlags::CLOEXEC).sqe(m.id), OPENS)
}

fn accept_fixed(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let slot = m.arguments.one_of(&[DestSlot::Alloc, DestSlot::At(Fixed(6))]);
    plain(Accept::new(&m.world.listener).fixed(slot).sqe(m.id))
}

fn connect(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (address, len) = m.world.address;
    plain(Connect::new(m.world.client(), address, *len).sqe(m.id))
}

fn splice_in(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (len, offset) = (m.len(), m.offset());
    let op = Splice::new(&m.world.file, &m.world.pipe.1, len).input_offset(offset);
    (op.sqe(m.id), Kind::Transfer(len))
}

fn splice_out(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (len, offset) = (m.len(), m.offset());
    let op = Splice::new(&m.world.pipe.0, &m.world.file, len).output_offset(offset);
    (op.sqe(m.id), Kind::Transfer(len))
}

fn tee(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let len = m.len();
    (Tee::new(&m.world.pipe.0, &m.world.other_pipe.1, len).sqe(m.id), Kind::Transfer(len))
}

fn open(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let missing: &CStr = c"/none/such";
    let path = if m.arguments.below(4) == 0 { missing } else { c"/dev/null" };
    (OpenAt::new(CWD, path.as_ptr(), OFlags::RDONLY | OFlags::CLOEXEC).sqe(m.id), OPENS)
}

fn close(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let fd = m.world.spare();
    (Close::new(fd).sqe(m.id), Kind::Closes(fd))
}

fn sync(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let file = m.file();
    plain(match m.arguments.below(3) {
        0 => Fsync::new(file).data_only().sqe(m.id),
        1 => Fadvise::new(file, Advice::WillNeed).sqe(m.id),
        _ => SyncFileRange::new(file, 0, 4096, 2).sqe(m.id),
    })
}

fn space(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (file, len) = (m.file(), m.offset() + 1);
    plain(match m.arguments.below(2) {
        0 => Fallocate::new(file, FallocateFlags::empty(), 0, len).sqe(m.id),
        _ => Ftruncate::new(file, len).sqe(m.id),
    })
}

fn statx(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let (flags, buf) = (AtFlags::empty(), m.memory.statx(m.place));
    plain(Statx::new(CWD, c"/".as_ptr(), flags, StatxFlags::SIZE, buf).sqe(m.id))
}

fn provide(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let id = u16::try_from(m.place).expect("a small number");
    plain(ProvideBuffers::new(m.buffer(), PLACE, 1, GROUP, id).sqe(m.id))
}

fn remove(m: &mut Maker<'_>) -> (Sqe, Kind) {
    plain(RemoveBuffers::new(1 + u16::from(m.arguments.below(3)), GROUP).sqe(m.id))
}

fn message(m: &mut Maker<'_>) -> (Sqe, Kind) {
    (MsgRing::new(m.ring, 7, m.message).sqe(m.id), Kind::Message)
}

fn socket(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let op = Socket::new(AddressFamily::UNIX, SocketType::STREAM);
    if m.arguments.bool() {
        return (op.flags(SocketFlags::CLOEXEC).sqe(m.id).into(), OPENS);
    }
    // That there is no free slot is none on 6.18.
    m.ends_chain = true;
    plain(op.fixed(DestSlot::Alloc).sqe(m.id))
}

fn shutdown(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let how = m.arguments.one_of(&[How::Read, How::Write, How::Both]);
    plain(Shutdown::new(m.socket(), how).sqe(m.id))
}

const FUTEX: Futex2Flags = Futex2Flags::SIZE_U32.union(Futex2Flags::PRIVATE);

fn futex_wait(m: &mut Maker<'_>) -> (Sqe, Kind) {
    // That it is cancelled is none on 6.18.
    m.ends_chain = true;
    plain(FutexWait::new(m.memory.word(m.place), 0, FUTEX).sqe(m.id))
}

fn futex_wake(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let count = u64::from(m.arguments.below(3));
    plain(FutexWake::new(m.memory.word(m.place), count, FUTEX).sqe(m.id))
}

fn install(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let slot = Fixed(u32::from(m.arguments.below(6)));
    (FixedFdInstall::new(slot).sqe(m.id).into(), OPENS)
}

fn timeout_multishot(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let op = Timeout::new(&raw const SPANS[1]).flags(TimeoutFlags::MULTISHOT);
    (op.count(1 + u32::from(m.arguments.below(3))).sqe(m.id), Kind::Multishot)
}

fn poll_multishot(m: &mut Maker<'_>) -> (Sqe, Kind) {
    (PollAdd::new(&m.world.pipe.0, EventFlags::IN).multishot().sqe(m.id), Kind::Multishot)
}

fn accept_multishot(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let op = Accept::new(&m.world.listener).flags(SocketFlags::CLOEXEC).multishot();
    (op.sqe(m.id), Kind::Opens { multishot: true })
}

fn recv_multishot(m: &mut Maker<'_>) -> (Sqe, Kind) {
    let op = Recv::provided(&m.world.sockets.1, GROUP).multishot();
    (op.sqe(m.id), Kind::Multishot)
}

fn read_multishot(m: &mut Maker<'_>) -> (Sqe, Kind) {
    (ReadMultishot::new(m.world.pipe.0.as_fd(), GROUP).sqe(m.id), Kind::Multishot)
}

fn read_provided(m: &mut Maker<'_>) -> (Sqe, Kind) {
    plain(Read::provided(&m.world.pipe.0, PLACE, GROUP).sqe(m.id))
}

fn recv_provided(m: &mut Maker<'_>) -> (Sqe, Kind) {
    plain(Recv::provided(&m.world.sockets.1, GROUP).sqe(m.id))
}
