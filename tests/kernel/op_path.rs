//! Names: opened as a struct says, changed, removed, and made for directories and links.

use core::ffi::c_char;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use crate::common::{TempDir, complete, require};
use crate::op_common;
use crate::op_common::{AS_OF_5_15, c_path, owned, ring};
use ringbolt::ops::{
    DestSlot, Fixed, LinkAt, MkdirAt, OpenAt2, Read, RenameAt, SymlinkAt, UnlinkAt,
};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, ResolveFlags};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{Opcode, open_how};
use ringbolt::{IoUring, Sqe};

const NONE: AtFlags = AtFlags::empty();
const DONE: Result<u32, Errno> = Ok(0);

/// What an entry comes to whose paths are constants.
fn result(ring: &mut IoUring, sqe: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps paths and directories until this returns, or for ever.
    unsafe { complete(ring, sqe) }.result()
}

/// A directory of the test's own, and its descriptor.
fn dir() -> (TempDir, File) {
    let dir = TempDir::new();
    let file = File::open(dir.path()).expect("it was just made");
    (dir, file)
}

/// Opens `path` as `how` says.
fn open2(ring: &mut IoUring, dir: &File, path: *const c_char, how: open_how) -> Result<u32, Errno> {
    result(ring, OpenAt2::new(dir, path, &how).sqe(1))
}

/// How to open: flags, the mode of a new file, and where the path may lead.
fn how(flags: OFlags, mode: u64, resolve: ResolveFlags) -> open_how {
    open_how { flags: u64::from(flags.bits()), mode, resolve: resolve.bits() }
}

/// Opens to read, with the path held to `resolve`.
fn within(resolve: ResolveFlags) -> open_how {
    how(OFlags::RDONLY | OFlags::CLOEXEC, 0, resolve)
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

#[test]
fn openat2_opens_and_creates_as_the_struct_says() {
    require!(op: Opcode::OPENAT2);
    let (tmp, dir) = dir();
    tmp.file("there", b"abcd");
    let mut ring = ring();
    let plain = within(ResolveFlags::empty());
    let mut text = String::new();
    let mut file = File::from(owned(open2(&mut ring, &dir, c"there".as_ptr(), plain)));
    file.read_to_string(&mut text).expect("text");
    assert_eq!(text, "abcd");

    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let create = how(flags, 0o500, ResolveFlags::empty());
    drop(owned(open2(&mut ring, &dir, c"new".as_ptr(), create)));
    let mode = tmp.join("new").metadata().expect("it was just made").permissions().mode();
    assert_eq!(mode & 0o777, 0o500);
    assert_eq!(open2(&mut ring, &dir, c"new".as_ptr(), create), Err(Errno::EXIST));
    assert_eq!(open2(&mut ring, &dir, c"other".as_ptr(), plain), Err(Errno::NOENT));
}

#[test]
fn openat2_keeps_a_path_where_it_may_lead() {
    require!(op: Opcode::OPENAT2);
    let (tmp, dir) = dir();
    tmp.file("there", b"abcd");
    symlink("there", tmp.join("link")).expect("a symbolic link");
    let mut ring = ring();
    let table = [
        (c"link", ResolveFlags::BENEATH, None),
        (c"link", ResolveFlags::NO_SYMLINKS, Some(Errno::LOOP)),
        (c"../there", ResolveFlags::BENEATH, Some(Errno::XDEV)),
        // The directory is the root then, above which there is nothing.
        (c"../there", ResolveFlags::IN_ROOT, None),
        (c"/there", ResolveFlags::IN_ROOT, None),
        (c"/there", ResolveFlags::BENEATH, Some(Errno::XDEV)),
        (c"there", ResolveFlags::from_bits_retain(1 << 40), Some(Errno::INVAL)),
    ];
    for (path, resolve, errno) in table {
        let result = open2(&mut ring, &dir, path.as_ptr(), within(resolve));
        assert_eq!(result.err(), errno, "{path:?} {resolve:?}");
        if errno.is_none() {
            drop(owned(result));
        }
    }
}

#[test]
fn openat2_fills_a_fixed_slot() {
    require!(op: AS_OF_5_15);
    let (tmp, dir) = dir();
    tmp.file("there", b"abcd");
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY; 3]).expect("three empty slots");
    let how = how(OFlags::RDONLY, 0, ResolveFlags::empty());
    let open = OpenAt2::new(&dir, c"there".as_ptr(), &how).fixed(DestSlot::At(Fixed(2)));
    assert_eq!(result(&mut ring, open.sqe(1)), DONE, "no descriptor is made");
    let mut buf = [0; 4];
    let read = Read::new(Fixed(2), buf.as_mut_ptr(), 4).offset(0).sqe(2);
    assert_eq!((result(&mut ring, read), &buf), (Ok(4), b"abcd"));
    let cloexec = within(ResolveFlags::empty());
    let open = OpenAt2::new(&dir, c"there".as_ptr(), &cloexec).fixed(DestSlot::At(Fixed(1)));
    assert_eq!(result(&mut ring, open.sqe(3)), Err(Errno::INVAL), "O_CLOEXEC with a slot");
}

#[test]
fn a_file_is_renamed_from_one_directory_into_another() {
    require!(op: Opcode::RENAMEAT);
    let ((one, from), (two, to)) = (dir(), dir());
    one.file("old", b"abcd");
    let mut ring = ring();
    let rename = RenameAt::new(&from, c"old".as_ptr(), &to, c"new".as_ptr());
    assert_eq!(result(&mut ring, rename.sqe(1)), DONE);
    assert_eq!((read(&one.join("old")), read(&two.join("new"))), (None, Some(b"abcd".to_vec())));
    assert_eq!(result(&mut ring, rename.sqe(1)), Err(Errno::NOENT), "it is no longer there");
}

#[test]
fn a_rename_replaces_spares_or_exchanges() {
    require!(op: Opcode::RENAMEAT);
    let (tmp, dir) = dir();
    let (a, b) = (tmp.file("a", b"a"), tmp.file("b", b"b"));
    let mut ring = ring();
    let rename = RenameAt::new(&dir, c"a".as_ptr(), &dir, c"b".as_ptr());
    let spare = rename.flags(RenameFlags::NOREPLACE);
    assert_eq!(result(&mut ring, spare.sqe(1)), Err(Errno::EXIST));
    assert_eq!((read(&a), read(&b)), (Some(b"a".to_vec()), Some(b"b".to_vec())));
    let exchange = rename.flags(RenameFlags::EXCHANGE);
    assert_eq!(result(&mut ring, exchange.sqe(2)), DONE);
    assert_eq!((read(&a), read(&b)), (Some(b"b".to_vec()), Some(b"a".to_vec())));
    assert_eq!(result(&mut ring, rename.sqe(3)), DONE);
    assert_eq!((read(&a), read(&b)), (None, Some(b"b".to_vec())));
    let unknown = rename.flags(RenameFlags::from_bits_retain(1 << 20));
    assert_eq!(result(&mut ring, unknown.sqe(4)), Err(Errno::INVAL));
}

#[test]
fn unlink_removes_files_and_with_a_flag_empty_directories() {
    require!(op: Opcode::UNLINKAT);
    let (tmp, dir) = dir();
    let file = tmp.file("file", b"");
    let full = tmp.join("full");
    fs::create_dir(&full).expect("a directory");
    let inner = tmp.file("full/inner", b"");
    let mut ring = ring();
    let table = [
        (c"file", AtFlags::REMOVEDIR, Err(Errno::NOTDIR)),
        (c"file", NONE, DONE),
        (c"file", NONE, Err(Errno::NOENT)),
        (c"full", NONE, Err(Errno::ISDIR)),
        (c"full", AtFlags::REMOVEDIR, Err(Errno::NOTEMPTY)),
        (c"full/inner", NONE, DONE),
        (c"full", AtFlags::REMOVEDIR, DONE),
        (c"full", AtFlags::EMPTY_PATH, Err(Errno::INVAL)),
    ];
    for (path, flags, told) in table {
        let unlink = UnlinkAt::new(&dir, path.as_ptr(), flags);
        assert_eq!(result(&mut ring, unlink.sqe(1)), told, "{path:?} {flags:?}");
    }
    assert!(![file, inner, full].iter().any(|path| path.exists()));
}

#[test]
fn a_directory_is_made_with_its_mode() {
    require!(op: AS_OF_5_15);
    let (tmp, dir) = dir();
    let mut ring = ring();
    // A mode from which no usual umask takes anything.
    let mkdir = |path: &'static core::ffi::CStr| {
        MkdirAt::new(&dir, path.as_ptr(), Mode::RUSR | Mode::XUSR).sqe(1)
    };
    assert_eq!(result(&mut ring, mkdir(c"sub")), DONE);
    let made = tmp.join("sub").metadata().expect("it was just made");
    assert_eq!((made.is_dir(), made.permissions().mode() & 0o777), (true, 0o500));
    assert_eq!(result(&mut ring, mkdir(c"sub")), Err(Errno::EXIST));
    assert_eq!(result(&mut ring, mkdir(c"none/sub")), Err(Errno::NOENT));
}

#[test]
fn a_symbolic_link_leads_where_it_is_told_to() {
    require!(op: AS_OF_5_15);
    let (tmp, dir) = dir();
    let mut ring = ring();
    let link = SymlinkAt::new(c"no/such/place".as_ptr(), &dir, c"link".as_ptr());
    assert_eq!(result(&mut ring, link.sqe(1)), DONE);
    let target = fs::read_link(tmp.join("link"));
    assert_eq!(target.ok().as_deref(), Some(Path::new("no/such/place")));
    assert_eq!(result(&mut ring, link.sqe(1)), Err(Errno::EXIST));
}

#[test]
fn a_further_name_is_the_same_file() {
    require!(op: AS_OF_5_15);
    let ((one, from), (two, to)) = (dir(), dir());
    let old = one.file("old", b"abcd");
    let mut ring = ring();
    let link = LinkAt::new(&from, c"old".as_ptr(), &to, c"new".as_ptr());
    assert_eq!(result(&mut ring, link.sqe(1)), DONE);
    let inode = |path: &Path| path.metadata().map(|told| (told.ino(), told.nlink())).ok();
    let (here, there) = (inode(&old), inode(&two.join("new")));
    assert!(here.is_some_and(|(_, links)| links == 2), "{here:?}");
    assert_eq!(here, there);
    assert_eq!(result(&mut ring, link.sqe(1)), Err(Errno::EXIST));
    let of_dir = LinkAt::new(&from, c".".as_ptr(), &to, c"dir".as_ptr());
    assert_eq!(result(&mut ring, of_dir.sqe(2)), Err(Errno::PERM));
}

#[test]
fn a_link_to_a_link_is_followed_if_told_to() {
    require!(op: AS_OF_5_15);
    let (tmp, dir) = dir();
    tmp.file("file", b"abcd");
    symlink("file", tmp.join("link")).expect("a symbolic link");
    let mut ring = ring();
    for (path, flags, is_link) in
        [(c"as-is", NONE, true), (c"followed", AtFlags::SYMLINK_FOLLOW, false)]
    {
        let link = LinkAt::new(&dir, c"link".as_ptr(), &dir, path.as_ptr()).flags(flags);
        assert_eq!(result(&mut ring, link.sqe(1)), DONE);
        let path = tmp.join(path.to_str().expect("text"));
        let kind = path.symlink_metadata().expect("it was just made").file_type();
        assert_eq!(kind.is_symlink(), is_link, "{path:?}");
    }
}

#[test]
fn an_open_file_without_a_name_gets_one() {
    require!(op: AS_OF_5_15);
    let (tmp, dir) = dir();
    let mut ring = ring();
    let unnamed = how(OFlags::WRONLY | OFlags::TMPFILE, 0o600, ResolveFlags::empty());
    let file = File::from(owned(open2(&mut ring, &dir, c".".as_ptr(), unnamed)));
    assert_eq!(fs::read_dir(tmp.path()).expect("a directory").count(), 0);
    let link = LinkAt::new(&file, c"".as_ptr(), &dir, c"named".as_ptr());
    assert_eq!(result(&mut ring, link.sqe(1)), Err(Errno::NOENT), "an empty path is none");
    assert_eq!(result(&mut ring, link.flags(AtFlags::EMPTY_PATH).sqe(2)), DONE);
    assert!(tmp.join("named").exists());
}

#[test]
fn names_start_at_the_working_directory_and_may_go_after_submit() {
    require!(op: AS_OF_5_15);
    let tmp = TempDir::new();
    let mut ring = ring();
    for round in 0..20 {
        let path = tmp.join(&format!("{round}"));
        let name = c_path(&path);
        let mkdir = MkdirAt::new(CWD, name.as_ptr(), Mode::RWXU).sqe(round);
        // SAFETY: the path stays until taken, which is all that is asked for.
        unsafe { op_common::start(&mut ring, mkdir) };
        let mut bytes = name.into_bytes();
        bytes.fill(b'x');
        assert_eq!(op_common::reap_told(&mut ring, 1), [(round, DONE)]);
        assert!(path.is_dir());
    }
}
