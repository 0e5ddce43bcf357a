//! The operations that have arguments in memory, those about messages aside.

use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::process::Command;

use ringbolt::ops::{
    Accept, Bind, Connect, EpollCtl, EpollWait, FGetXattr, FSetXattr, FilesUpdate, FutexWait,
    FutexWaitv, FutexWake, GetXattr, IoVec, LinkAt, LinkTimeout, MkdirAt, OpenAt, OpenAt2, Pipe,
    Read, Readv, ReadvFixed, RenameAt, SetXattr, SocketCommand, Statx, SymlinkAt, Timeout,
    TimeoutUpdate, UnlinkAt, WaitId, Write, Writev, WritevFixed,
};
use ringbolt::register::FileSlot;
use ringbolt::rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use ringbolt::rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx as StatxBuf, StatxFlags};
use ringbolt::rustix::net::addr::SocketAddrStorage;
use ringbolt::rustix::net::{AddressFamily, SocketType, socket};
use ringbolt::rustix::process::{Pid, WaitId as Who, WaitIdOptions};
use ringbolt::sys::{Futex2Flags, SharedPtr, futex_waitv, io_uring_attr_pi, open_how};
use ringbolt::{Sqe, Timespec};

use super::Until::{Completion, Taken};
use super::{Case, ID, Stage};
use crate::op_common::{connect, leaked, pipe};

/// The address of `port` on this machine.
pub(crate) fn address(port: u16) -> SocketAddrStorage {
    let local = libc::sockaddr_in {
        sin_family: u16::try_from(libc::AF_INET).expect("a small number"),
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    let mut storage = SocketAddrStorage::zeroed();
    let place = (&raw mut storage).cast::<libc::sockaddr_in>();
    // SAFETY: a storage has room for every kind of address, and its alignment.
    unsafe { place.write(local) };
    storage
}

/// A listener that stays.
fn listener(stage: &mut Stage) -> (&'static TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    (stage.keep(listener), port)
}

const SHARED: Futex2Flags = Futex2Flags::SIZE_U32;
const SOL_SOCKET: u32 = 1;
const SO_REUSEADDR: u32 = 2;

pub(crate) const PATHS: &[Case] = &[
    Case {
        arguments: &[("OpenAt::new path", Taken)],
        make: |s| vec![OpenAt::new(CWD, s.path("a"), OFlags::RDONLY).sqe(ID)],
    },
    Case {
        arguments: &[("OpenAt2::new path", Taken), ("OpenAt2::new how", Taken)],
        make: |s| vec![OpenAt2::new(CWD, s.path("a"), s.put(open_how::ZEROED)).sqe(ID)],
    },
    Case {
        arguments: &[("Statx::new path", Taken), ("Statx::new buf", Completion)],
        make: |s| {
            let (path, buf) = (s.path("a"), s.put([0_u8; 256]).cast::<StatxBuf>());
            vec![Statx::new(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS, buf).sqe(ID)]
        },
    },
    Case {
        arguments: &[("MkdirAt::new path", Taken)],
        make: |s| vec![MkdirAt::new(CWD, s.path("new"), Mode::RWXU).sqe(ID)],
    },
    Case {
        arguments: &[("RenameAt::new from", Taken), ("RenameAt::new to", Taken)],
        make: |s| vec![RenameAt::new(CWD, s.path("b"), CWD, s.path("new")).sqe(ID)],
    },
    Case {
        arguments: &[("UnlinkAt::new path", Taken)],
        make: |s| vec![UnlinkAt::new(CWD, s.path("c"), AtFlags::empty()).sqe(ID)],
    },
    Case {
        arguments: &[("SymlinkAt::new target", Taken), ("SymlinkAt::new path", Taken)],
        make: |s| vec![SymlinkAt::new(s.text("a"), CWD, s.path("new")).sqe(ID)],
    },
    Case {
        arguments: &[("LinkAt::new from", Taken), ("LinkAt::new to", Taken)],
        make: |s| vec![LinkAt::new(CWD, s.path("a"), CWD, s.path("new")).sqe(ID)],
    },
    Case {
        arguments: &[
            ("SetXattr::new path", Taken),
            ("SetXattr::new name", Taken),
            ("SetXattr::new value", Taken),
        ],
        make: |s| {
            let (path, name, value) = (s.path("a"), s.text("user.k"), s.put([7_u8; 16]));
            vec![SetXattr::new(path, name, value.cast(), 16).sqe(ID)]
        },
    },
    Case {
        arguments: &[("FSetXattr::new name", Taken), ("FSetXattr::new value", Taken)],
        make: |s| {
            let file = s.open("a");
            let (name, value) = (s.text("user.k"), s.put([7_u8; 16]));
            vec![FSetXattr::new(s.keep(file), name, value.cast(), 16).sqe(ID)]
        },
    },
    Case {
        arguments: &[
            ("GetXattr::new path", Taken),
            ("GetXattr::new name", Taken),
            ("GetXattr::new value", Completion),
        ],
        make: |s| {
            set_attribute(s);
            let (path, name, value) = (s.path("a"), s.text("user.k"), s.put([0_u8; 16]));
            vec![GetXattr::new(path, name, value.cast(), 16).sqe(ID)]
        },
    },
    Case {
        arguments: &[("FGetXattr::new name", Taken), ("FGetXattr::new value", Completion)],
        make: |s| {
            set_attribute(s);
            let file = s.open("a");
            let (name, value) = (s.text("user.k"), s.put([0_u8; 16]));
            vec![FGetXattr::new(s.keep(file), name, value.cast(), 16).sqe(ID)]
        },
    },
];

fn set_attribute(stage: &Stage) {
    use ringbolt::rustix::fs::{XattrFlags, fsetxattr};
    // Where there are none, the kernel looks at the name nevertheless.
    let _ = fsetxattr(stage.open("a"), "user.k", b"value", XattrFlags::empty());
}

pub(crate) const FILES: &[Case] = &[
    Case {
        arguments: &[("Read::new buf", Completion)],
        make: |s| {
            let (file, buf) = (s.open("a"), s.put([0_u8; 4]));
            vec![Read::new(s.keep(file), buf.cast(), 4).offset(0).sqe(ID)]
        },
    },
    Case {
        arguments: &[("Write::new buf", Completion)],
        make: |s| {
            let (file, buf) = (s.open("a"), s.put([0_u8; 4]));
            vec![Write::new(s.keep(file), buf.cast(), 4).offset(0).sqe(ID)]
        },
    },
    Case {
        arguments: &[("Readv (buffers)", Completion), ("Readv::new vectors", Taken)],
        make: |s| {
            let (file, buf) = (s.open("a"), s.put([0_u8; 4]));
            let vectors = s.put([IoVec::new(buf.cast(), 4); 20]);
            vec![Readv::new(s.keep(file), vectors.cast(), 20).offset(0).sqe(ID)]
        },
    },
    Case {
        arguments: &[("Writev (buffers)", Completion), ("Writev::new vectors", Taken)],
        make: |s| {
            let (file, buf) = (s.open("a"), s.put([0_u8; 4]));
            let vectors = s.put([IoVec::new(buf.cast(), 4); 20]);
            vec![Writev::new(s.keep(file), vectors.cast(), 20).offset(0).sqe(ID)]
        },
    },
    Case {
        arguments: &[("ReadvFixed::new vectors", Taken)],
        make: |s| {
            let (file, vector) = (s.open("a"), IoVec::new(s.registered, 4));
            let vectors = s.put([vector; 20]);
            vec![ReadvFixed::new(s.keep(file), vectors.cast(), 20, 0).offset(0).sqe(ID)]
        },
    },
    Case {
        arguments: &[("WritevFixed::new vectors", Taken)],
        make: |s| {
            let (file, vector) = (s.open("a"), IoVec::new(s.registered, 4));
            let vectors = s.put([vector; 20]);
            vec![WritevFixed::new(s.keep(file), vectors.cast(), 20, 0).offset(0).sqe(ID)]
        },
    },
    Case {
        arguments: &[("protection information", Taken)],
        make: |s| {
            let (file, information) = (s.open("a"), s.put(io_uring_attr_pi::ZEROED));
            let read = Read::new(s.keep(file), leaked::<4>().as_mut_ptr(), 4).offset(0);
            vec![read.protection(information).sqe(ID)]
        },
    },
    Case {
        arguments: &[("FilesUpdate::new slots", Completion)],
        make: |s| {
            let slots = s.put([FileSlot::EMPTY; 2]);
            vec![FilesUpdate::new(ringbolt::ops::Fixed(0), slots.cast(), 2).sqe(ID)]
        },
    },
    Case {
        arguments: &[("FilesUpdate::alloc fds", Completion)],
        make: |s| {
            let file = s.open("a");
            let fd = s.keep(file).as_raw_fd();
            let fds = s.put([fd]);
            vec![FilesUpdate::alloc(fds.cast(), 1).sqe(ID)]
        },
    },
    Case {
        arguments: &[("Pipe::new ends", Completion)],
        make: |s| vec![Pipe::new(s.put([-1; 2])).sqe(ID)],
    },
];

/// A time that does not come.
fn far() -> &'static Timespec {
    Box::leak(Box::new(Timespec::new(3600, 0)))
}

/// A read that does not complete.
fn never(stage: &mut Stage, id: u64) -> Sqe {
    let ends = pipe();
    let (reader, _writer) = stage.keep(ends);
    Read::new(reader, leaked::<1>().as_mut_ptr(), 1).sqe(id)
}

pub(crate) const WAITS: &[Case] = &[
    Case {
        arguments: &[("Timeout::new timespec", Taken)],
        make: |s| vec![Timeout::new(s.put(Timespec::new(0, 1000))).sqe(ID)],
    },
    Case {
        arguments: &[("LinkTimeout::new timespec", Taken)],
        make: |s| {
            let time = s.put(Timespec::new(0, 1000));
            vec![never(s, 2).link(), LinkTimeout::new(time).sqe(ID)]
        },
    },
    Case {
        arguments: &[("TimeoutUpdate::new timespec", Taken)],
        make: |s| {
            s.before.push(vec![Timeout::new(far()).sqe(7)]);
            vec![TimeoutUpdate::new(7, s.put(Timespec::new(900, 0))).sqe(ID)]
        },
    },
    Case {
        arguments: &[("TimeoutUpdate::link timespec", Taken)],
        make: |s| {
            let chain = vec![never(s, 6).link(), LinkTimeout::new(far()).sqe(7)];
            s.before.push(chain);
            vec![TimeoutUpdate::link(7, s.put(Timespec::new(900, 0))).sqe(ID)]
        },
    },
    Case {
        arguments: &[("FutexWait::new word", Completion)],
        make: |s| vec![FutexWait::new(s.put(1_u32), 2, SHARED).sqe(ID)],
    },
    Case {
        arguments: &[("FutexWake::new word", Completion)],
        make: |s| vec![FutexWake::new(s.put(1_u32), 1, SHARED).sqe(ID)],
    },
    Case {
        arguments: &[("FutexWaitv (words)", Completion), ("FutexWaitv::new futexes", Taken)],
        make: |s| {
            let uaddr = SharedPtr::new(s.put(1_u32).cast_const());
            let futex = futex_waitv { val: 2, uaddr, flags: SHARED, ..futex_waitv::ZEROED };
            vec![FutexWaitv::new(s.put(futex), 1).sqe(ID)]
        },
    },
    Case {
        arguments: &[("WaitId::new info", Completion)],
        make: |s| {
            let child = s.keep(Command::new("true").spawn().expect("a child"));
            let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a number");
            let info = s.put([0_u8; 256]).cast();
            vec![WaitId::new(Who::Pid(child), WaitIdOptions::EXITED, info).sqe(ID)]
        },
    },
    Case {
        arguments: &[("EpollWait::new events", Completion)],
        make: |s| {
            let set = epoll::create(CreateFlags::CLOEXEC).expect("a set");
            let ends = pipe();
            let (_reader, writer) = s.keep(ends);
            let data = EventData::new_u64(1);
            epoll::add(&set, writer, data, EventFlags::OUT).expect("it is added");
            let events = s.put([0_u8; 64]).cast::<Event>();
            vec![EpollWait::new(s.keep(set), events, 1).sqe(ID)]
        },
    },
];

fn event() -> Event {
    Event { flags: EventFlags::OUT, data: EventData::new_u64(1) }
}

pub(crate) const SOCKETS: &[Case] = &[
    Case {
        arguments: &[("EpollCtl::add event", Taken)],
        make: |s| {
            let set = epoll::create(CreateFlags::CLOEXEC).expect("a set");
            let ends = pipe();
            let (_reader, writer) = s.keep(ends);
            vec![EpollCtl::add(s.keep(set), writer, s.put(event())).sqe(ID)]
        },
    },
    Case {
        arguments: &[("EpollCtl::modify event", Taken)],
        make: |s| {
            let set = epoll::create(CreateFlags::CLOEXEC).expect("a set");
            let ends = pipe();
            let (_reader, writer) = s.keep(ends);
            let data = EventData::new_u64(1);
            epoll::add(&set, writer, data, EventFlags::IN).expect("it is added");
            vec![EpollCtl::modify(s.keep(set), writer, s.put(event())).sqe(ID)]
        },
    },
    Case {
        arguments: &[("Bind::new address", Taken)],
        make: |s| {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
            vec![Bind::new(s.keep(socket), s.put(address(0)), 16).sqe(ID)]
        },
    },
    Case {
        arguments: &[("Connect::new address", Taken)],
        make: |s| {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
            let (_listener, port) = listener(s);
            vec![Connect::new(s.keep(socket), s.put(address(port)), 16).sqe(ID)]
        },
    },
    Case {
        arguments: &[("Accept::peer address", Completion), ("Accept::peer len", Completion)],
        make: |s| {
            let (listener, _) = listener(s);
            let stream = connect(listener.local_addr().expect("it is bound"));
            s.keep(stream);
            let (address, len) = (s.put(SocketAddrStorage::zeroed()), s.put(128));
            vec![Accept::new(listener).peer(address, len).sqe(ID)]
        },
    },
    Case {
        arguments: &[("SocketCommand::get_option value", Completion)],
        make: |s| {
            let (socket, _) = listener(s);
            let value = s.put(0_u32).cast();
            let command = SocketCommand::get_option(socket, SOL_SOCKET, SO_REUSEADDR, value, 4);
            vec![command.sqe(ID)]
        },
    },
    Case {
        arguments: &[("SocketCommand::set_option value", Completion)],
        make: |s| {
            let (socket, _) = listener(s);
            let value = s.put(0_u32).cast_const().cast();
            let command = SocketCommand::set_option(socket, SOL_SOCKET, SO_REUSEADDR, value, 4);
            vec![command.sqe(ID)]
        },
    },
];
