//! What is lent is encoded as what is named by address: the entries of both forms are the same.

use core::sync::atomic::AtomicU32;
use std::io::{Stdin, Stdout, stdin, stdout};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::epoll::{Event, EventData, EventFlags};
use rustix::fs::{
    Advice, AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags, StatxFlags, XattrFlags,
};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};
use rustix::process::{WaitId as Who, WaitIdOptions};

use crate::entry::Sqe;
use crate::sys::{FsyncFlags, Futex2Flags, Opcode, futex_waitv, open_how};

use super::lent::Makes;
use super::{
    BlockDiscard, ChildInfo, Close, DestSlot, EpollCtl, EpollWait, FGetXattr, FSetXattr, Fadvise,
    Fallocate, Fixed, FixedFdInstall, Fsync, Ftruncate, FutexWait, FutexWaitv, FutexWake,
    FutexWord, GetXattr, LinkAt, MkdirAt, Nop, OpIn, OpenAt, OpenAt2, Pipe, PipeEnds, RenameAt,
    SetXattr, SocketCommand, SocketOption, Splice, Statx, SymlinkAt, SyncFileRange, Tee, UnlinkAt,
    WaitId,
};

/// Fails unless `op` is `entry`, makes nothing, and is not hard-linked.
#[track_caller]
fn is(op: OpIn<'_, '_>, entry: impl Into<Sqe>) {
    makes(op, entry, Makes::Nothing);
}

/// Fails unless `op` is `entry` and makes what is expected.
#[track_caller]
fn makes(op: OpIn<'_, '_>, entry: impl Into<Sqe>, expected: Makes) {
    let (sqe, makes, hard) = op.into_parts();
    assert_eq!(sqe, entry.into());
    assert_eq!(makes, expected);
    assert!(!hard);
}

/// Something with a descriptor, and something with another one, for which Miri opens nothing.
fn files() -> (Stdin, Stdout) {
    (stdin(), stdout())
}

#[test]
fn opening_borrows_a_path_and_makes_a_descriptor_or_takes_a_slot() {
    let (dir, path, flags) = (stdin(), c"x", OFlags::RDWR | OFlags::CREATE);
    let mode = Mode::RUSR;
    let raw = OpenAt::new(&dir, path.as_ptr(), flags).mode(mode);
    let lent = || OpenAt::lent(&dir, path, flags).mode(mode);
    makes(lent().op(), raw.sqe(0), Makes::Descriptor);
    makes(lent().in_slot().op(), raw.fixed(DestSlot::Alloc).sqe(0), Makes::Slot);
    let raw = OpenAt::new(CWD, path.as_ptr(), flags).sqe(0);
    makes(OpenAt::lent(CWD, path, flags).op(), raw, Makes::Descriptor);

    let how = open_how { flags: 1, mode: 2, resolve: 3 };
    let raw = OpenAt2::new(&dir, path.as_ptr(), &how);
    makes(OpenAt2::lent(&dir, path, &how).op(), raw.sqe(0), Makes::Descriptor);
    let in_slot = OpenAt2::lent(&dir, path, &how).in_slot().op();
    makes(in_slot, raw.fixed(DestSlot::Alloc).sqe(0), Makes::Slot);
    makes(
        FixedFdInstall::new(Fixed(3)).op(),
        FixedFdInstall::new(Fixed(3)).sqe(0),
        Makes::Descriptor,
    );
}

#[test]
fn a_close_takes_the_descriptor_out_of_the_value_once() {
    let (one, _other) = UnixStream::pair().expect("two sockets");
    let fd = one.as_raw_fd();
    let mut owned = Some(OwnedFd::from(one));
    is(Close::lent(&mut owned).op(), Close::new(fd).sqe(0));
    assert!(owned.is_none());
    is(Close::lent(&mut owned).op(), Close::new(-1).sqe(0));
}

#[test]
fn names_are_borrowed() {
    let (one, other) = files();
    let (from, to, none) = (c"from", c"to", AtFlags::empty());
    let (from_ptr, to_ptr) = (from.as_ptr(), to.as_ptr());
    is(
        RenameAt::lent(&one, from, &other, to).flags(RenameFlags::NOREPLACE).op(),
        RenameAt::new(&one, from_ptr, &other, to_ptr).flags(RenameFlags::NOREPLACE).sqe(0),
    );
    is(
        LinkAt::lent(&one, from, &other, to).flags(AtFlags::SYMLINK_FOLLOW).op(),
        LinkAt::new(&one, from_ptr, &other, to_ptr).flags(AtFlags::SYMLINK_FOLLOW).sqe(0),
    );
    is(
        UnlinkAt::lent(&one, from, AtFlags::REMOVEDIR).op(),
        UnlinkAt::new(&one, from_ptr, AtFlags::REMOVEDIR).sqe(0),
    );
    is(MkdirAt::lent(&one, from, Mode::RWXU).op(), MkdirAt::new(&one, from_ptr, Mode::RWXU).sqe(0));
    is(SymlinkAt::lent(to, &one, from).op(), SymlinkAt::new(to_ptr, &one, from_ptr).sqe(0));
    let (mut info, mask) = (Statx::ZEROED, StatxFlags::SIZE);
    let raw = Statx::new(&one, from_ptr, none, mask, &mut info).sqe(0);
    is(Statx::lent(&one, from, none, mask, &mut info).op(), raw);
    assert_eq!((info.stx_mask, info.stx_size), (0, 0));
}

#[test]
fn attributes_are_borrowed() {
    let (file, path, name, mut value) = (stdin(), c"x", c"user.x", *b"value");
    let (path_ptr, name_ptr) = (path.as_ptr(), name.as_ptr());
    let (start, flags) = (value.as_mut_ptr().cast(), XattrFlags::CREATE);
    is(
        FSetXattr::lent(&file, name, &value).flags(flags).op(),
        FSetXattr::new(&file, name_ptr, start, 5).flags(flags).sqe(0),
    );
    is(
        SetXattr::lent(path, name, &value).flags(flags).op(),
        SetXattr::new(path_ptr, name_ptr, start, 5).flags(flags).sqe(0),
    );
    let raw = FGetXattr::new(Fixed(2), name_ptr, start, 5).sqe(0);
    is(FGetXattr::lent(Fixed(2), name, &mut value).op(), raw);
    let raw = GetXattr::new(path_ptr, name_ptr, start, 5).sqe(0);
    is(GetXattr::lent(path, name, &mut value).op(), raw);
}

#[test]
fn files_and_slots_are_borrowed() {
    let file = stdout();
    let (mode, advice) = (FallocateFlags::KEEP_SIZE, Advice::WillNeed);
    is(
        Fsync::lent(&file).data_only().range(1, 2).op(),
        Fsync::new(&file).flags(FsyncFlags::DATASYNC).range(1, 2).sqe(0),
    );
    is(Fsync::lent(Fixed(1)).op(), Fsync::new(Fixed(1)).sqe(0));
    is(Fallocate::lent(&file, mode, 1, 2).op(), Fallocate::new(&file, mode, 1, 2).sqe(0));
    is(Ftruncate::lent(&file, 7).op(), Ftruncate::new(&file, 7).sqe(0));
    is(SyncFileRange::lent(&file, 1, 2, 3).op(), SyncFileRange::new(&file, 1, 2, 3).sqe(0));
    let far = 1 << 40;
    is(
        Fadvise::lent(&file, advice).range(1, far).op(),
        Fadvise::new(&file, advice).range(1, far).sqe(0),
    );
    is(BlockDiscard::lent(&file, 512, 1024).op(), BlockDiscard::new(&file, 512, 1024).sqe(0));
    is(Nop::new().inject_result(3).op(), Nop::new().inject_result(3).sqe(0));
}

#[test]
fn pipes_are_borrowed_at_both_ends() {
    let (input, output) = files();
    let flags = SpliceFlags::MORE;
    is(
        Splice::lent(&input, Fixed(4), 9).input_offset(1).flags(flags).op(),
        Splice::new(&input, Fixed(4), 9).input_offset(1).flags(flags).sqe(0),
    );
    is(
        Tee::lent(Fixed(4), &output, 9).flags(flags).op(),
        Tee::new(Fixed(4), &output, 9).flags(flags).sqe(0),
    );
    let mut ends = PipeEnds::new();
    let raw = Pipe::new((&raw mut ends).cast()).flags(PipeFlags::CLOEXEC).sqe(0);
    is(Pipe::lent(&mut ends).flags(PipeFlags::CLOEXEC).op(), raw);
    assert!(ends.take().is_none(), "nothing was started");
}

#[test]
fn words_are_borrowed_and_are_32_bits_wide() {
    let words = [AtomicU32::new(0), AtomicU32::new(1)];
    let [word, other] = &words;
    let private = Futex2Flags::SIZE_U32 | Futex2Flags::PRIVATE;
    let shared = Futex2Flags::SIZE_U32;
    is(
        FutexWait::lent(word, 5).mask(6).op(),
        FutexWait::new(word.as_ptr(), 5, private).mask(6).sqe(0),
    );
    is(FutexWait::lent(word, 5).shared().op(), FutexWait::new(word.as_ptr(), 5, shared).sqe(0));
    is(FutexWake::lent(word, 5).op(), FutexWake::new(word.as_ptr(), 5, private).sqe(0));
    is(FutexWake::lent(word, 5).shared().op(), FutexWake::new(word.as_ptr(), 5, shared).sqe(0));
    let both = [FutexWord::new(word, 0), FutexWord::new(other, 1).shared()];
    let start = both.as_ptr().cast::<futex_waitv>();
    is(FutexWaitv::lent(&both).op(), FutexWaitv::new(start, 2).sqe(0));
}

#[test]
fn a_child_is_waited_for_with_an_empty_value() {
    let mut info = ChildInfo::default();
    let (file, options) = (stdin(), WaitIdOptions::EXITED);
    let who = || Who::PidFd(file.as_fd());
    let raw = WaitId::new(who(), options, &mut info).sqe(0);
    is(WaitId::lent(who(), options, &mut info).op(), raw);
}

#[test]
fn epoll_sets_and_events_are_borrowed() {
    let (set, file) = files();
    let event = Event { flags: EventFlags::IN, data: EventData::new_u64(7) };
    is(EpollCtl::add_lent(&set, &file, &event).op(), EpollCtl::add(&set, &file, &event).sqe(0));
    is(
        EpollCtl::modify_lent(&set, &file, &event).op(),
        EpollCtl::modify(&set, &file, &event).sqe(0),
    );
    is(EpollCtl::delete_lent(&set, &file).op(), EpollCtl::delete(&set, &file).sqe(0));
    let mut events = [event; 3];
    let raw = EpollWait::new(&set, events.as_mut_ptr(), 3).sqe(0);
    is(EpollWait::lent(&set, &mut events).op(), raw);
}

#[test]
fn commands_of_sockets_borrow_the_values_of_options() {
    let socket = stdin();
    is(
        SocketCommand::bytes_to_read_lent(&socket).op(),
        SocketCommand::bytes_to_read(&socket).sqe(0),
    );
    is(
        SocketCommand::bytes_to_send_lent(&socket).op(),
        SocketCommand::bytes_to_send(&socket).sqe(0),
    );
    let mut value = 1_i32.to_ne_bytes();
    let start = value.as_mut_ptr().cast();
    is(
        SocketCommand::set_option_lent(&socket, SocketOption::REUSE_ADDR, &value).op(),
        SocketCommand::set_option(&socket, 1, 2, start, 4).sqe(0),
    );
    let raw = SocketCommand::get_option(&socket, 1, 3, start, 4).sqe(0);
    is(SocketCommand::get_option_lent(&socket, SocketOption::TYPE, &mut value).op(), raw);
}

/// The result of `op` on the running kernel.
fn run(op: OpIn<'_, '_>) -> Result<u32, Errno> {
    let mut ring = crate::IoUring::new(2).expect("a ring");
    let (sqe, ..) = op.into_parts();
    // SAFETY: what the entry names is borrowed for longer than this function, which does not return
    // before the completion is there.
    unsafe { ring.submission().push(sqe) }.expect("room");
    while ring.wait_for(1).is_err() {}
    ring.completion().pop().expect("a completion").result()
}

/// Whether the running kernel has an operation. Prints a line if it does not, or provides no ring.
fn has(opcode: Opcode) -> bool {
    let ring = match crate::IoUring::new(2) {
        Ok(ring) => ring,
        Err(error) => {
            std::eprintln!("skipped: {error}");
            return false;
        }
    };
    let has = ring.registrar().probe().is_ok_and(|probe| probe.supports(opcode));
    if !has {
        std::eprintln!("skipped: kernel lacks {opcode}");
    }
    has
}

#[test]
#[cfg_attr(miri, ignore = "needs a kernel")]
fn the_ends_of_a_pipe_are_taken_once_and_only_if_there_is_one() {
    if !has(Opcode::PIPE) {
        return;
    }
    let mut ends = PipeEnds::new();
    assert_eq!(run(Pipe::lent(&mut ends).flags(PipeFlags::CLOEXEC).op()), Ok(0));
    let (read, write) = ends.take().expect("both ends");
    assert!(ends.take().is_none(), "they were taken");
    assert_eq!(rustix::io::write(&write, b"!"), Ok(1));
    assert_eq!(rustix::io::read(&read, &mut [0; 2]), Ok(1));

    // What nobody takes is closed: by the next pipe, whose failure leaves nothing, and by a drop.
    assert_eq!(run(Pipe::lent(&mut ends).flags(PipeFlags::CLOEXEC).op()), Ok(0));
    let kept = ends.take().expect("both ends");
    let writer = rustix::io::dup(&kept.1).expect("a descriptor");
    drop(kept);
    assert_eq!(rustix::io::write(&writer, b"!"), Err(Errno::PIPE));
    let invalid = PipeFlags::from_bits_retain(1);
    assert_eq!(run(Pipe::lent(&mut ends).flags(invalid).op()), Err(Errno::INVAL));
    assert!(ends.take().is_none(), "it failed");
}

#[test]
#[cfg_attr(miri, ignore = "needs a kernel")]
fn a_close_closes_what_it_has_taken() {
    if !has(Opcode::CLOSE) {
        return;
    }
    let (one, other) = UnixStream::pair().expect("two sockets");
    let mut owned = Some(OwnedFd::from(one));
    assert_eq!(run(Close::lent(&mut owned).op()), Ok(0));
    assert_eq!(rustix::io::read(&other, &mut [0; 1]), Ok(0), "its peer is gone");
    assert_eq!(run(Close::lent(&mut owned).op()), Err(Errno::BADF), "there is none");
}

#[test]
#[cfg_attr(miri, ignore = "needs a kernel")]
fn options_of_a_socket_are_set_and_read() {
    if !has(Opcode::URING_CMD) {
        return;
    }
    let (socket, _other) = UnixStream::pair().expect("two sockets");
    let (on, mut value) = (1_i32.to_ne_bytes(), [0; 4]);
    let set = SocketCommand::set_option_lent(&socket, SocketOption::REUSE_ADDR, &on).op();
    if run(set) == Err(Errno::OPNOTSUPP) {
        std::eprintln!("skipped: kernel lacks commands of sockets");
        return;
    }
    let get = SocketCommand::get_option_lent(&socket, SocketOption::REUSE_ADDR, &mut value).op();
    assert_eq!(run(get), Ok(4));
    assert_eq!(value, on);
}
