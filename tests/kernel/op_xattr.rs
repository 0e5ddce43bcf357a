//! Extended attributes, of open files and by path.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::ffi::CStr;
use std::ffi::CString;
use std::fs::File;

use crate::common::{TempDir, complete, require};
use crate::op_common;
use crate::op_common::{c_path, pipe, ring};
use ringbolt::ops::{FGetXattr, FSetXattr, Fixed, GetXattr, SetXattr, Target};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fs::XattrFlags;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{Opcode, RegisterOp};
use ringbolt::{IoUring, Sqe};

const NAME: &CStr = c"user.ringbolt";
const DONE: Result<u32, Errno> = Ok(0);

/// A file of the test's own: its directory, itself, and its path.
fn file() -> (TempDir, File, CString) {
    let dir = TempDir::new();
    let path = dir.file("data", b"");
    let file = File::open(&path).expect("it was just made");
    (dir, file, c_path(path))
}

/// What the system call of old reads of an attribute.
fn value_of(path: &CStr, name: &CStr) -> Option<Vec<u8>> {
    let mut value = vec![0; 100];
    let (at, room) = (value.as_mut_ptr().cast(), value.len());
    // SAFETY: two strings with their NUL, and room for as many bytes as said.
    let len = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), at, room) };
    value.truncate(usize::try_from(len).ok()?);
    Some(value)
}

/// Whether temporary files can have attributes of the user's.
fn has_attributes() -> bool {
    let (_dir, _file, path) = file();
    let (at, len) = (b"x".as_ptr().cast(), 1);
    // SAFETY: two strings with their NUL, and as many bytes as said.
    unsafe { libc::setxattr(path.as_ptr(), NAME.as_ptr(), at, len, 0) == 0 }
}

/// What an entry comes to.
fn result(ring: &mut IoUring, sqe: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps all that the entry names until this returns.
    unsafe { complete(ring, sqe) }.result()
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a few")
}

/// Sets the attribute of an open file.
fn fset(target: impl Into<Target>, value: &[u8]) -> FSetXattr {
    FSetXattr::new(target.into(), NAME.as_ptr(), value.as_ptr().cast(), len(value))
}

fn set(path: &CStr, value: &[u8]) -> SetXattr {
    SetXattr::new(path.as_ptr(), NAME.as_ptr(), value.as_ptr().cast(), len(value))
}

/// Reads the attribute of an open file.
fn fget(target: impl Into<Target>, value: &mut [u8]) -> FGetXattr {
    let len = len(value);
    FGetXattr::new(target.into(), NAME.as_ptr(), value.as_mut_ptr().cast(), len)
}

fn get(path: &CStr, value: &mut [u8]) -> GetXattr {
    let len = len(value);
    GetXattr::new(path.as_ptr(), NAME.as_ptr(), value.as_mut_ptr().cast(), len)
}

#[test]
fn an_attribute_is_set_of_a_file_and_by_path() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(op: Opcode::FSETXATTR);
    require!(machine: has_attributes(), "attributes of temporary files");
    let (_dir, file, path) = file();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a slot");
    for (value, entry) in [
        (&b"one"[..], fset(&file, b"one").sqe(1)),
        (b"three", set(&path, b"three").sqe(2)),
        (b"", set(&path, b"").sqe(3)),
        (b"slot", fset(Fixed(0), b"slot").sqe(4)),
    ] {
        assert_eq!(result(&mut ring, entry), DONE);
        assert_eq!(value_of(&path, NAME).as_deref(), Some(value));
    }
}

#[test]
fn an_attribute_is_read_of_a_file_and_by_path() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(op: Opcode::FGETXATTR);
    require!(machine: has_attributes(), "attributes of temporary files");
    let (_dir, file, path) = file();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a slot");
    assert_eq!(result(&mut ring, set(&path, b"value").sqe(1)), DONE);
    let mut room = [b'-'; 8];
    let read = |room: &mut [u8; 8], which| match which {
        0 => fget(&file, room).sqe(1),
        1 => fget(Fixed(0), room).sqe(1),
        _ => get(&path, room).sqe(1),
    };
    for which in 0..3 {
        room.fill(b'-');
        let entry = read(&mut room, which);
        assert_eq!((result(&mut ring, entry), &room), (Ok(5), b"value---"), "{which}");
    }
    // Without room, it tells how much there must be.
    assert_eq!(result(&mut ring, fget(&file, &mut []).sqe(2)), Ok(5));
    assert_eq!(result(&mut ring, get(&path, &mut []).sqe(2)), Ok(5));
    assert_eq!(result(&mut ring, fget(&file, &mut room[..4]).sqe(3)), Err(Errno::RANGE));
    assert_eq!(result(&mut ring, get(&path, &mut room[..4]).sqe(3)), Err(Errno::RANGE));
}

#[test]
fn an_attribute_is_created_or_replaced_as_told() {
    require!(op: Opcode::FSETXATTR);
    require!(machine: has_attributes(), "attributes of temporary files");
    let (_dir, file, path) = file();
    let mut ring = ring();
    let (create, replace) = (XattrFlags::CREATE, XattrFlags::REPLACE);
    let table = [
        (fset(&file, b"1").flags(replace).sqe(1), Err(Errno::NODATA)),
        (set(&path, b"2").flags(replace).sqe(1), Err(Errno::NODATA)),
        (fset(&file, b"3").flags(create).sqe(1), DONE),
        (fset(&file, b"4").flags(create).sqe(1), Err(Errno::EXIST)),
        (set(&path, b"5").flags(create).sqe(1), Err(Errno::EXIST)),
        (set(&path, b"6").flags(replace).sqe(1), DONE),
    ];
    for (entry, told) in table {
        assert_eq!(result(&mut ring, entry), told, "{entry:?}");
    }
    assert_eq!(value_of(&path, NAME).as_deref(), Some(&b"6"[..]));
}

#[test]
fn attributes_that_cannot_be_say_why() {
    require!(op: Opcode::FSETXATTR);
    require!(machine: has_attributes(), "attributes of temporary files");
    let (_dir, file, path) = file();
    let (reader, _writer) = pipe();
    let mut ring = ring();
    let mut room = [0; 4];
    let unknown = XattrFlags::from_bits_retain(1 << 20);
    let other = c"nowhere.name";
    let of_other = FSetXattr::new(&file, other.as_ptr(), b"x".as_ptr().cast(), 1);
    let nowhere = core::ptr::without_provenance(8);
    let table = [
        (fget(&file, &mut room).sqe(1), Errno::NODATA),
        (get(&path, &mut room).sqe(1), Errno::NODATA),
        (get(c"/no/such/file", &mut room).sqe(1), Errno::NOENT),
        (set(c"/no/such/file", b"x").sqe(1), Errno::NOENT),
        (of_other.sqe(1), Errno::OPNOTSUPP),
        (fset(&file, b"x").flags(unknown).sqe(1), Errno::INVAL),
        (fset(&reader, b"x").sqe(1), Errno::PERM),
        (fset(Target::Fd(-1), b"x").sqe(1), Errno::BADF),
        (fget(Fixed(0), &mut room).sqe(1), Errno::BADF),
        (FSetXattr::new(&file, c"".as_ptr(), nowhere, 0).sqe(1), Errno::RANGE),
        (FSetXattr::new(&file, NAME.as_ptr(), nowhere, 4).sqe(1), Errno::FAULT),
    ];
    for (entry, errno) in table {
        assert_eq!(result(&mut ring, entry), Err(errno), "{entry:?}");
    }
    assert_eq!(value_of(&path, NAME), None);
}

#[test]
fn names_and_values_may_go_away_right_after_submit() {
    require!(op: Opcode::SETXATTR);
    require!(machine: has_attributes(), "attributes of temporary files");
    let (_dir, _file, path) = file();
    let mut ring = ring();
    for round in 0..20 {
        let (mut place, mut value) = (path.clone().into_bytes_with_nul(), [b'0' + round; 4]);
        let at = place.as_ptr().cast();
        let entry = SetXattr::new(at, NAME.as_ptr(), value.as_ptr().cast(), 4).sqe(1);
        // SAFETY: path and value stay until taken, which is all that is asked for.
        unsafe { op_common::start(&mut ring, entry) };
        place.fill(b'x');
        value.fill(b'x');
        assert_eq!((place[0], value[0]), (b'x', b'x'));
        assert_eq!(op_common::reap_told(&mut ring, 1), [(1, DONE)]);
        assert_eq!(value_of(&path, NAME), Some(vec![b'0' + round; 4]));
    }
}
