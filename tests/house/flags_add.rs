//! Every method of an operation that takes flags adds them to those that are set.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ringbolt::ops::{
    Accept, AsyncCancel, FSetXattr, Fixed, FixedFdInstall, Fsync, LinkAt, LinkTimeout, MsgRing,
    Nop, Pipe, PollAdd, PollUpdate, Read, ReadFixed, Readv, ReadvFixed, Recv, RecvMsg, RenameAt,
    Send, SendMsg, SendMsgZc, SendZc, SetXattr, Socket, Splice, Target, Tee, Timeout,
    TimeoutUpdate, UringCmd, UringCmd80, Write, WriteFixed, Writev, WritevFixed,
};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::fs::{AtFlags, CWD, RenameFlags, XattrFlags};
use ringbolt::rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use ringbolt::rustix::pipe::{PipeFlags, SpliceFlags};
use ringbolt::sys::{
    AcceptFlags, CancelFlags, CqeFlags, FixedFdFlags, FsyncFlags, MsgRingFlags, NopFlags,
    PollFlags, RecvSendFlags, RwFlags, TimeoutFlags, UringCmdFlags,
};
use ringbolt::{Sqe, Sqe128, SqeMixed};

/// A descriptor that is never used.
const SEVEN: Target = Target::Fd(7);

/// A pointer that is never used.
fn null<T>() -> *mut T {
    core::ptr::null_mut()
}

/// What the kernel would read.
fn bytes(entry: impl Into<SqeMixed>) -> ([u8; 64], [u8; 64]) {
    let mixed = entry.into();
    let Sqe128 { sqe, payload } = mixed.as_wide();
    (Sqe::to_bytes(sqe), *payload)
}

/// The names of the types whose methods were tried, with the names of the methods.
type Tried = BTreeSet<(String, String)>;

/// Calls a method with two sets of flags in every way, and notes that it was tried.
macro_rules! adds {
    ($tried:ident: $method:ident, $one:expr, $two:expr; $($op:ident: $new:expr),+ $(,)?) => {$(
        let (op, one, two): ($op, _, _) = ($new, $one, $two);
        let name = concat!(stringify!($op), "::", stringify!($method));
        let both = bytes(op.$method(one | two).sqe(1));
        assert_ne!(both, bytes(op.$method(one).sqe(1)), "{name}: one set does not show");
        assert_ne!(both, bytes(op.$method(two).sqe(1)), "{name}: one set does not show");
        assert_eq!(both, bytes(op.$method(one).$method(two).sqe(1)), "{name} replaces");
        assert_eq!(both, bytes(op.$method(two).$method(one).sqe(1)), "{name} replaces");
        $tried.insert((stringify!($op).into(), stringify!($method).into()));
    )+};
}

fn files(tried: &mut Tried) {
    adds!(tried: flags, RwFlags::NOWAIT, RwFlags::APPEND;
        Read: Read::new(SEVEN, null(), 1),
        Write: Write::new(SEVEN, null(), 1),
        Readv: Readv::new(SEVEN, null(), 1),
        Writev: Writev::new(SEVEN, null(), 1),
        ReadFixed: ReadFixed::new(SEVEN, null(), 1, 1),
        WriteFixed: WriteFixed::new(SEVEN, null(), 1, 1),
        ReadvFixed: ReadvFixed::new(SEVEN, null(), 1, 1),
        WritevFixed: WritevFixed::new(SEVEN, null(), 1, 1),
    );
    // There is one flag: the other bits are kept as well.
    adds!(tried: flags, FsyncFlags::DATASYNC, FsyncFlags::from_bits_retain(1 << 9);
        Fsync: Fsync::new(SEVEN));
    adds!(tried: flags, RenameFlags::NOREPLACE, RenameFlags::EXCHANGE;
        RenameAt: RenameAt::new(CWD, null(), CWD, null()));
    adds!(tried: flags, AtFlags::SYMLINK_FOLLOW, AtFlags::EMPTY_PATH;
        LinkAt: LinkAt::new(CWD, null(), CWD, null()));
    adds!(tried: flags, XattrFlags::CREATE, XattrFlags::REPLACE;
        FSetXattr: FSetXattr::new(SEVEN, null(), null(), 1),
        SetXattr: SetXattr::new(null(), null(), null(), 1),
    );
    adds!(tried: flags, SpliceFlags::NONBLOCK, SpliceFlags::MORE;
        Splice: Splice::new(SEVEN, SEVEN, 1),
        Splice: Splice::new(Fixed(7), SEVEN, 1),
        Tee: Tee::new(SEVEN, SEVEN, 1),
    );
    adds!(tried: flags, PipeFlags::CLOEXEC, PipeFlags::NONBLOCK; Pipe: Pipe::new(null()));
    adds!(tried: flags, FixedFdFlags::NO_CLOEXEC, FixedFdFlags::from_bits_retain(1 << 9);
        FixedFdInstall: FixedFdInstall::new(Fixed(7)));
}

fn sockets(tried: &mut Tried) {
    adds!(tried: flags, SocketFlags::CLOEXEC, SocketFlags::NONBLOCK;
        Accept: Accept::new(SEVEN),
        Socket: Socket::new(AddressFamily::INET, SocketType::STREAM),
    );
    adds!(tried: accept_flags, AcceptFlags::DONTWAIT, AcceptFlags::POLL_FIRST;
        Accept: Accept::new(SEVEN));
    adds!(tried: flags, RecvFlags::PEEK, RecvFlags::WAITALL;
        Recv: Recv::new(SEVEN, null(), 1),
        RecvMsg: RecvMsg::new(SEVEN, null()),
    );
    let (first, bundle) = (RecvSendFlags::RECVSEND_POLL_FIRST, RecvSendFlags::RECVSEND_BUNDLE);
    adds!(tried: recv_flags, first, bundle;
        Recv: Recv::new(SEVEN, null(), 1),
        RecvMsg: RecvMsg::new(SEVEN, null()),
    );
    adds!(tried: flags, SendFlags::MORE, SendFlags::NOSIGNAL;
        Send: Send::new(SEVEN, null(), 1),
        SendMsg: SendMsg::new(SEVEN, null()),
        SendZc: SendZc::new(SEVEN, null(), 1),
        SendMsgZc: SendMsgZc::new(SEVEN, null()),
    );
    adds!(tried: send_flags, first, RecvSendFlags::SEND_ZC_REPORT_USAGE;
        Send: Send::new(SEVEN, null(), 1),
        SendMsg: SendMsg::new(SEVEN, null()),
        SendZc: SendZc::new(SEVEN, null(), 1),
        SendMsgZc: SendMsgZc::new(SEVEN, null()),
    );
}

fn others(tried: &mut Tried) {
    adds!(tried: flags, PollFlags::ADD_MULTI, PollFlags::ADD_LEVEL;
        PollAdd: PollAdd::new(SEVEN, EventFlags::IN),
        PollUpdate: PollUpdate::new(1),
    );
    adds!(tried: flags, TimeoutFlags::ABS, TimeoutFlags::REALTIME;
        Timeout: Timeout::new(null()),
        LinkTimeout: LinkTimeout::new(null()),
        TimeoutUpdate: TimeoutUpdate::new(1, null()),
    );
    adds!(tried: flags, CancelFlags::ALL, CancelFlags::USERDATA;
        AsyncCancel: AsyncCancel::of_user_data(1));
    type CancelFile = ringbolt::ops::CancelFile;
    adds!(tried: flags, CancelFlags::ALL, CancelFlags::USERDATA;
        CancelFile: AsyncCancel::of_file(CWD));
    adds!(tried: flags, MsgRingFlags::CQE_SKIP, MsgRingFlags::FLAGS_PASS;
        MsgRing: MsgRing::new(SEVEN, 1, 1));
    adds!(tried: cqe_flags, CqeFlags::MORE, CqeFlags::NOTIF; MsgRing: MsgRing::new(SEVEN, 1, 1));
    adds!(tried: flags, UringCmdFlags::FIXED, UringCmdFlags::MULTISHOT;
        UringCmd: UringCmd::new(SEVEN, 1),
        UringCmd80: UringCmd80::mixed(SEVEN, 1, [0; 80]),
    );
    adds!(tried: flags, NopFlags::TW, NopFlags::INJECT_RESULT; Nop: Nop::new());
}

#[test]
fn a_method_that_takes_flags_adds_them_in_every_operation() {
    let mut tried = Tried::new();
    files(&mut tried);
    sockets(&mut tried);
    others(&mut tried);
    let declared = declared();
    let left_out: Vec<_> = declared.difference(&tried).collect();
    assert!(left_out.is_empty(), "methods that take flags, and are not tried: {left_out:?}");
    assert_eq!(tried, declared, "methods that the sources do not have");
}

/// The methods that take flags, by the sources: those of an `impl`, and those that a macro gives
/// to the types that it is called with.
fn declared() -> Tried {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let (mut methods, mut of_macros) = (Tried::new(), Vec::new());
    let entries = fs::read_dir(folder).expect("the folder of the operations");
    let paths = entries.map(|entry| entry.expect("an entry of a folder").path());
    let texts: Vec<String> =
        paths.map(|path| fs::read_to_string(path).expect("a source")).collect();
    for text in &texts {
        let mut owner = String::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("macro_rules! ") {
                owner = format!("{}!(", name.trim_end_matches([' ', '{']));
            } else if line.starts_with("impl") {
                let name = line.trim_start_matches("impl").trim_end_matches([' ', '{']);
                owner = name.rsplit("> ").next().unwrap_or(name).trim().into();
                owner.truncate(owner.find('<').unwrap_or(owner.len()));
            }
            let Some((_, rest)) = line.split_once("pub const fn ") else { continue };
            let Some((name, rest)) = rest.split_once("(") else { continue };
            if rest.contains("self, flags: ") {
                if owner.ends_with("!(") {
                    of_macros.push((owner.clone(), name.to_owned()));
                } else {
                    methods.insert((owner.clone(), name.into()));
                }
            }
        }
    }
    for (call, name) in of_macros {
        let lines = texts.iter().flat_map(|text| text.lines());
        let calls: Vec<_> = lines.filter_map(|line| line.strip_prefix(&call)).collect();
        assert!(!calls.is_empty(), "nobody calls {call}");
        for list in calls {
            let list = list.split(')').next().expect("the end of a call");
            let types = list.split(", ").map(|op| op.split('<').next().expect("a name"));
            methods.extend(types.map(|op| (op.to_owned(), name.clone())));
        }
    }
    methods
}
