//! Reading, writing, and what else is done to files and their names.

use core::ffi::c_char;

use ringbolt::ops::{
    Close, DestSlot, FGetXattr, FSetXattr, Fadvise, Fallocate, Fixed, Fsync, Ftruncate, GetXattr,
    LinkAt, Madvise, MkdirAt, OpenAt, OpenAt2, Read, ReadFixed, ReadMultishot, Readv, ReadvFixed,
    RenameAt, SetXattr, Statx, SymlinkAt, SyncFileRange, Target, UnlinkAt, Write, WriteFixed,
    Writev, WritevFixed,
};
use ringbolt::rustix::fs::{
    Advice, AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags, StatxFlags, XattrFlags,
};
use ringbolt::rustix::mm::Advice as MemoryAdvice;
use ringbolt::sys::RwFlags;

use super::{Case, LONG, OFFSET, SEVEN, SLOT, TAG, at, case};

pub(super) fn rw() -> Vec<Case> {
    let (vectors, fixed) = (at(0x7f11_0000_1000), at(0x7f11_0000_2000));
    let buf: *mut u8 = at(0x7f11_0000_2000);
    let (readv, writev) = (Readv::new(SEVEN, vectors, 3), Writev::new(SEVEN, vectors, 3));
    let (readv, writev) = (readv.offset(OFFSET), writev.offset(OFFSET));
    let read = Read::new(SEVEN, buf, 4096);
    let write = Write::new(SEVEN, buf, 4096);
    let tied = write.offset(0).sqe(TAG).link().drain().force_async().skip_success();
    let hard = write.offset(0).sqe(TAG).hard_link().with_personality(3);
    vec![
        case("readv", readv.sqe(TAG)),
        case("readv_rwf", readv.flags(RwFlags::NOWAIT).sqe(TAG)),
        case("writev", writev.sqe(TAG)),
        case("writev_rwf", writev.flags(RwFlags::DSYNC | RwFlags::APPEND).sqe(TAG)),
        case("read_fixed", ReadFixed::new(SEVEN, buf, 4096, 5).offset(OFFSET).sqe(TAG)),
        case("write_fixed", WriteFixed::new(SEVEN, buf, 4096, 5).offset(OFFSET).sqe(TAG)),
        case("readv_fixed", ReadvFixed::new(SEVEN, fixed, 2, 5).offset(OFFSET).sqe(TAG)),
        case("writev_fixed", WritevFixed::new(SEVEN, fixed, 2, 5).offset(OFFSET).sqe(TAG)),
        case("read", read.offset(OFFSET).sqe(TAG)),
        case("read_current_position", read.sqe(TAG)),
        case("read_fixed_file", Read::new(Fixed(7), buf, 4096).offset(0).sqe(TAG)),
        case("read_buffer_select", Read::provided(SEVEN, 4096, 9).offset(0).sqe(TAG)),
        case("read_multishot", ReadMultishot::new(SEVEN, 9).sqe(TAG)),
        case("write", write.offset(OFFSET).sqe(TAG)),
        case("write_linked_drain_async_skip", tied),
        case("write_hardlink_personality", hard),
    ]
}

pub(super) fn fs() -> Vec<Case> {
    let path = at(0x7f11_0000_7000);
    let how = at(0x7f11_0000_8000);
    let create = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let rdonly = OpenAt::new(CWD, path, OFlags::RDONLY);
    let in_dir = OpenAt::new(SEVEN, path, OFlags::RDONLY).fixed(DestSlot::At(SLOT));
    let openat2 = OpenAt2::new(CWD, path, how);
    let mask = StatxFlags::SIZE | StatxFlags::MTIME;
    let stat = Statx::new(CWD, path, AtFlags::SYMLINK_NOFOLLOW, mask, at(0x7f11_0000_8000));
    vec![
        case("fsync", Fsync::new(SEVEN).sqe(TAG)),
        case("fsync_datasync", Fsync::new(SEVEN).data_only().sqe(TAG)),
        case("openat", OpenAt::new(CWD, path, create).mode(Mode::from(0o644)).sqe(TAG)),
        case("openat_fixed_slot", in_dir.sqe(TAG)),
        case("openat_fixed_alloc", rdonly.fixed(DestSlot::Alloc).sqe(TAG)),
        case("openat2", openat2.sqe(TAG)),
        case("openat2_fixed_slot", openat2.fixed(DestSlot::At(SLOT)).sqe(TAG)),
        case("close", Close::new(7).sqe(TAG)),
        case("close_fixed_slot", Close::fixed(SLOT).sqe(TAG)),
        case("statx", stat.sqe(TAG)),
    ]
}

pub(super) fn path() -> Vec<Case> {
    let (path, other): (*const c_char, *const c_char) =
        (at(0x7f11_0000_7000), at(0x7f11_0000_8000));
    let value = at(0x7f11_0000_8000);
    let named = at(0x7f11_0000_9000);
    let (from, to) = (Target::Fd(5), Target::Fd(6));
    let rename = RenameAt::new(from, path, to, other).flags(RenameFlags::NOREPLACE);
    let link = LinkAt::new(from, path, to, other).flags(AtFlags::SYMLINK_FOLLOW);
    let unlink = UnlinkAt::new(SEVEN, path, AtFlags::REMOVEDIR);
    let create = XattrFlags::CREATE;
    vec![
        case("renameat", rename.sqe(TAG)),
        case("linkat", link.sqe(TAG)),
        case("unlinkat", unlink.sqe(TAG)),
        case("mkdirat", MkdirAt::new(CWD, path, Mode::from(0o755)).sqe(TAG)),
        case("symlinkat", SymlinkAt::new(path, SEVEN, other).sqe(TAG)),
        case("fsetxattr", FSetXattr::new(SEVEN, path, value, 32).flags(create).sqe(TAG)),
        case("setxattr", SetXattr::new(named, path, value, 32).flags(create).sqe(TAG)),
        case("fgetxattr", FGetXattr::new(SEVEN, path, value, 32).sqe(TAG)),
        case("getxattr", GetXattr::new(named, path, value, 32).sqe(TAG)),
    ]
}

pub(super) fn range() -> Vec<Case> {
    let buf = at(0x7f11_0000_2000);
    let keep = FallocateFlags::KEEP_SIZE;
    let advise = Fadvise::new(SEVEN, Advice::WillNeed);
    let unneeded = MemoryAdvice::LinuxDontNeed;
    vec![
        case("fallocate", Fallocate::new(SEVEN, keep, OFFSET, LONG).sqe(TAG)),
        case("ftruncate", Ftruncate::new(SEVEN, LONG).sqe(TAG)),
        case("sync_file_range", SyncFileRange::new(SEVEN, OFFSET, 8192, 2).sqe(TAG)),
        case("fadvise", advise.range(OFFSET, 8192).sqe(TAG)),
        case("fadvise64", advise.range(OFFSET, LONG).sqe(TAG)),
        case("madvise", Madvise::new(buf, 8192, unneeded).sqe(TAG)),
        case("madvise64", Madvise::new(buf, LONG, unneeded).sqe(TAG)),
    ]
}
