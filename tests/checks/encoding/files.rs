//! Reading, writing, and what else is done to files and their names.

use std::fs::File;
use std::sync::OnceLock;

use ringbolt::ops::{
    Close, FGetXattr, FSetXattr, Fadvise, Fallocate, Fsync, Ftruncate, GetXattr, LinkAt, Madvise,
    MkdirAt, OpenAt, OpenAt2, Read, ReadFixed, ReadMultishot, Readv, ReadvFixed, RenameAt,
    SetXattr, Statx, SymlinkAt, SyncFileRange, UnlinkAt, Write, WriteFixed, Writev, WritevFixed,
};
use ringbolt::rustix::fd::AsRawFd as _;
use ringbolt::rustix::fs::{
    Advice, AtFlags, FallocateFlags, Mode, OFlags, RenameFlags, StatxFlags, XattrFlags,
};
use ringbolt::rustix::mm::Advice as MemoryAdvice;
use ringbolt::sys::{Opcode, RwFlags};

use super::other::{dest, fixed, target};
use super::want::Want;
use super::{Made, Make, address, directory, pointer};

/// Files that are open for as long as the program runs.
pub(super) fn opened() -> &'static [File; 3] {
    static FILES: OnceLock<[File; 3]> = OnceLock::new();
    let open = |_| File::open(".").expect("the working directory");
    FILES.get_or_init(|| [0; 3].map(open))
}

/// Where no offset was told, the position in the file is used.
fn no_offset(want: Want) -> Want {
    want.off(u64::MAX)
}

/// One transfer with what it can be told, each of it or not.
macro_rules! transfer {
    ($Op:ident, $opcode:ident, $made:expr) => {
        |b, tag| {
            let on = target(b);
            let (buf, len, index) = (pointer(b), b.u32(), b.u16());
            let mut op: $Op = $made(on, buf, len, index);
            let mut want = no_offset(Want::new(Opcode::$opcode, tag)).on(on).addr(address(buf));
            want = want.len(len);
            if stringify!($opcode).ends_with("FIXED") {
                want = want.buf(index);
            }
            let told = b.u8();
            let (offset, flags, information) = (b.u64(), b.u32(), pointer(b));
            let ioprio = b.u16();
            if told & 1 != 0 {
                (op, want) = (op.offset(offset), want.off(offset));
            }
            if told & 2 != 0 {
                (op, want) = (op.flags(RwFlags::from_bits_retain(flags)), want.op_flags(flags));
            }
            if told & 4 != 0 {
                (op, want) = (op.protection(information), want.addr3(address(information)).last(1));
            }
            if told & 8 != 0 {
                (op, want) = (op.ioprio(ioprio), want.ioprio(ioprio));
            }
            Made::new(&op, op.sqe(tag), want)
        }
    };
}

/// A write on a stream.
macro_rules! streamed {
    ($Op:ident, $opcode:ident, $made:expr) => {
        |b, tag| {
            let (on, buf, len, stream) = (target(b), pointer(b), b.u32(), b.u8());
            let op: $Op = $made(on, buf, len, 0);
            let op = op.stream(stream);
            let want = no_offset(Want::new(Opcode::$opcode, tag)).on(on).addr(address(buf));
            Made::new(&op, op.sqe(tag), want.len(len).put(44, [stream]))
        }
    };
}

pub(super) const TRANSFERS: &[Make] = &[
    transfer!(Read, READ, |on, buf, len, _| Read::new(on, buf, len)),
    transfer!(Write, WRITE, |on, buf, len, _| Write::new(on, buf, len)),
    transfer!(Readv, READV, |on, buf, len, _| Readv::new(on, buf, len)),
    transfer!(Writev, WRITEV, |on, buf, len, _| Writev::new(on, buf, len)),
    transfer!(ReadFixed, READ_FIXED, ReadFixed::new),
    transfer!(WriteFixed, WRITE_FIXED, |on, buf: *mut u8, len, index| {
        WriteFixed::new(on, buf, len, index)
    }),
    transfer!(ReadvFixed, READV_FIXED, |on, buf, len, index| {
        ReadvFixed::new(on, buf, len, index)
    }),
    transfer!(WritevFixed, WRITEV_FIXED, |on, buf, len, index| {
        WritevFixed::new(on, buf, len, index)
    }),
    streamed!(Write, WRITE, |on, buf, len, _| Write::new(on, buf, len)),
    streamed!(Writev, WRITEV, |on, buf, len, _| Writev::new(on, buf, len)),
    |b, tag| {
        let (on, len, group) = (target(b), b.u32(), b.u16());
        let op = Read::provided(on, len, group);
        let want = no_offset(Want::new(Opcode::READ, tag)).on(on).len(len).group(group);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (on, group) = (target(b), b.u16());
        let op = ReadMultishot::new(on, group);
        let want = no_offset(Want::new(Opcode::READ_MULTISHOT, tag)).on(on).group(group);
        Made::new(&op, op.sqe(tag), want)
    },
];

/// Advice by the numbers of `<fcntl.h>` and `<sys/mman.h>`, those of s390 left out.
const FILE_ADVICE: [(Advice, u32); 4] =
    [(Advice::Normal, 0), (Advice::Random, 1), (Advice::Sequential, 2), (Advice::WillNeed, 3)];
const MEMORY_ADVICE: [(MemoryAdvice, u32); 4] = [
    (MemoryAdvice::Normal, 0),
    (MemoryAdvice::Sequential, 2),
    (MemoryAdvice::LinuxDontNeed, 4),
    (MemoryAdvice::LinuxDontFork, 10),
];

/// A length that goes where 32 bits do, or where 64 do if it needs them.
fn either(want: Want, len: u64, wide: fn(Want, u64) -> Want) -> Want {
    match u32::try_from(len) {
        Ok(len) => want.len(len),
        Err(_) => wide(want, len),
    }
}

pub(super) const FILES: &[Make] = &[
    |b, tag| {
        let (on, told, offset, len) = (target(b), b.u8(), b.u64(), b.u32());
        let (mut op, mut want) = (Fsync::new(on), Want::new(Opcode::FSYNC, tag).on(on));
        if told & 1 != 0 {
            (op, want) = (op.data_only(), want.op_flags(1));
        }
        if told & 2 != 0 {
            (op, want) = (op.range(offset, len), want.off(offset).len(len));
        }
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let fd = b.i32();
        let op = Close::new(fd);
        Made::new(&op, op.sqe(tag), Want::new(Opcode::CLOSE, tag).fd(fd))
    },
    |b, tag| {
        let slot = fixed(b);
        let (op, want) = (Close::fixed(slot), Want::new(Opcode::CLOSE, tag));
        Made::new(&op, op.sqe(tag), want.dest(ringbolt::ops::DestSlot::At(slot)))
    },
    |b, tag| {
        let (on, mode, offset, len) = (target(b), b.u32(), b.u64(), b.u64());
        let op = Fallocate::new(on, FallocateFlags::from_bits_retain(mode), offset, len);
        let want = Want::new(Opcode::FALLOCATE, tag).on(on).off(offset).addr(len).len(mode);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (on, len) = (target(b), b.u64());
        let op = Ftruncate::new(on, len);
        Made::new(&op, op.sqe(tag), Want::new(Opcode::FTRUNCATE, tag).on(on).off(len))
    },
    |b, tag| {
        let (on, offset, len, flags) = (target(b), b.u64(), b.u32(), b.u32());
        let op = SyncFileRange::new(on, offset, len, flags);
        let want = Want::new(Opcode::SYNC_FILE_RANGE, tag).on(on).off(offset).len(len);
        Made::new(&op, op.sqe(tag), want.op_flags(flags))
    },
    |b, tag| {
        let (on, (advice, number)) = (target(b), b.one_of(&FILE_ADVICE));
        let (told, offset, len) = (b.bool(), b.u64(), b.u64());
        let mut op = Fadvise::new(on, advice);
        let mut want = Want::new(Opcode::FADVISE, tag).on(on).op_flags(number);
        if told {
            (op, want) = (op.range(offset, len), either(want.off(offset), len, Want::addr));
        }
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (start, len, (advice, number)) = (pointer(b), b.u64(), b.one_of(&MEMORY_ADVICE));
        // Short lengths are as likely as long ones.
        let len = if b.bool() { len & 0xffff_ffff } else { len };
        let op = Madvise::new(start, len, advice);
        let want = Want::new(Opcode::MADVISE, tag).fd(-1).addr(address(start));
        Made::new(&op, op.sqe(tag), either(want.op_flags(number), len, Want::off))
    },
];

/// An operation on the name at `path`, from directory `dir` on.
fn named(opcode: Opcode, tag: u64, dir: i32, path: *const core::ffi::c_char) -> Want {
    Want::new(opcode, tag).fd(dir).addr(address(path))
}

pub(super) const PATHS: &[Make] = &[
    |b, tag| {
        let (dir, path, flags, mode) = (directory(b), pointer(b), b.u32(), b.u32());
        let (told, slot) = (b.bool(), dest(b));
        let op = OpenAt::new(dir, path, OFlags::from_bits_retain(flags));
        let mut op = op.mode(Mode::from_bits_retain(mode));
        let mut want = named(Opcode::OPENAT, tag, dir.as_raw_fd(), path);
        want = want.op_flags(flags).len(mode);
        if told {
            (op, want) = (op.fixed(slot), want.dest(slot));
        }
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (dir, path, how, slot) = (directory(b), pointer(b), pointer(b), dest(b));
        let op = OpenAt2::new(dir, path, how).fixed(slot);
        let want = named(Opcode::OPENAT2, tag, dir.as_raw_fd(), path).off(address(how));
        // `sizeof(struct open_how)`.
        Made::new(&op, op.sqe(tag), want.len(24).dest(slot))
    },
    |b, tag| {
        let (dir, path, flags, mask) = (directory(b), pointer(b), b.u32(), b.u32());
        let (at, which) = (AtFlags::from_bits_retain(flags), StatxFlags::from_bits_retain(mask));
        let buf = pointer(b);
        let op = Statx::new(dir, path, at, which, buf);
        let want = named(Opcode::STATX, tag, dir.as_raw_fd(), path).off(address(buf));
        Made::new(&op, op.sqe(tag), want.len(mask).op_flags(flags))
    },
    |b, tag| {
        let (from, to, flags) = (directory(b), directory(b), b.u32());
        let (old, new) = (pointer(b), pointer(b));
        let op = RenameAt::new(from, old, to, new);
        let op = op.flags(RenameFlags::from_bits_retain(flags));
        let want = named(Opcode::RENAMEAT, tag, from.as_raw_fd(), old).off(address(new));
        let want = want.put(24, to.as_raw_fd().to_ne_bytes()).op_flags(flags);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (from, to, flags) = (directory(b), directory(b), b.u32());
        let (old, new) = (pointer(b), pointer(b));
        let op = LinkAt::new(from, old, to, new).flags(AtFlags::from_bits_retain(flags));
        let want = named(Opcode::LINKAT, tag, from.as_raw_fd(), old).off(address(new));
        let want = want.put(24, to.as_raw_fd().to_ne_bytes()).op_flags(flags);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (dir, path, flags) = (directory(b), pointer(b), b.u32());
        let op = UnlinkAt::new(dir, path, AtFlags::from_bits_retain(flags));
        let want = named(Opcode::UNLINKAT, tag, dir.as_raw_fd(), path).op_flags(flags);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (dir, path, mode) = (directory(b), pointer(b), b.u32());
        let op = MkdirAt::new(dir, path, Mode::from_bits_retain(mode));
        let want = named(Opcode::MKDIRAT, tag, dir.as_raw_fd(), path).len(mode);
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (dir, target, path) = (directory(b), pointer(b), pointer(b));
        let op = SymlinkAt::new(target, dir, path);
        let want = named(Opcode::SYMLINKAT, tag, dir.as_raw_fd(), target).off(address(path));
        Made::new(&op, op.sqe(tag), want)
    },
    |b, tag| {
        let (on, name, value, len, flags) = (target(b), pointer(b), pointer(b), b.u32(), b.u32());
        let op = FSetXattr::new(on, name, value, len);
        let op = op.flags(XattrFlags::from_bits_retain(flags));
        let want = Want::new(Opcode::FSETXATTR, tag).on(on).addr(address(name));
        Made::new(&op, op.sqe(tag), want.off(address(value)).len(len).op_flags(flags))
    },
    |b, tag| {
        let (path, name, value, len, flags) =
            (pointer(b), pointer(b), pointer(b), b.u32(), b.u32());
        let op = SetXattr::new(path, name, value, len);
        let op = op.flags(XattrFlags::from_bits_retain(flags));
        let want = Want::new(Opcode::SETXATTR, tag).addr3(address(path)).addr(address(name));
        Made::new(&op, op.sqe(tag), want.off(address(value)).len(len).op_flags(flags))
    },
    |b, tag| {
        let (on, name, value, len) = (target(b), pointer(b), pointer(b), b.u32());
        let op = FGetXattr::new(on, name, value, len);
        let want = Want::new(Opcode::FGETXATTR, tag).on(on).addr(address(name));
        Made::new(&op, op.sqe(tag), want.off(address(value)).len(len))
    },
    |b, tag| {
        let (path, name, value, len) = (pointer(b), pointer(b), pointer(b), b.u32());
        let op = GetXattr::new(path, name, value, len);
        let want = Want::new(Opcode::GETXATTR, tag).addr3(address(path)).addr(address(name));
        Made::new(&op, op.sqe(tag), want.off(address(value)).len(len))
    },
];
