//! What `cp` does.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Output;

use ringbolt::sys::{Opcode, SetupFlags};

use crate::common::{TempDir, require};
use crate::{SIZES, assert_fails, files_of_another_size, forget, name, noise, run, text};

/// Fails unless a copy ended well, and its last words tell the number of bytes.
#[track_caller]
fn assert_copied(output: &Output, bytes: usize) {
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{stderr}");
    assert!(stderr.starts_with(&format!("cp: {bytes} bytes in ")), "{stderr}");
    assert!(stderr.ends_with(" MB/s\n"), "{stderr}");
}

#[test]
fn copies_files_of_every_size() {
    require!(op: Opcode::READ_FIXED);
    let dir = TempDir::new();
    let ways: [&[&str]; 4] =
        [&[], &["--fsync"], &["--depth=1", "--block=65536"], &["--depth=3", "--block=40009"]];
    for size in SIZES {
        let bytes = noise(size);
        let source = dir.file("source", &bytes);
        let dest = dir.join("dest");
        for way in ways {
            let output = run("cp", &[way, &[name(&source), name(&dest)]].concat());
            assert_copied(&output, size);
            assert!(fs::read(&dest).unwrap() == bytes, "{way:?}, {size} bytes");
            fs::remove_file(&dest).unwrap();
        }
    }
}

#[test]
fn writes_nothing_before_it_has_been_read() {
    require!(op: Opcode::READ_FIXED);
    let dir = TempDir::new();
    let bytes = noise(8 << 20);
    let (source, dest) = (dir.file("source", &bytes), dir.join("dest"));
    for block in ["--block=65536", "--block=1000000"] {
        // From the device: a write that does not wait for its read is there first.
        forget(&source);
        assert_copied(&run("cp", &[block, name(&source), name(&dest)]), bytes.len());
        assert!(fs::read(&dest).unwrap() == bytes, "{block}");
    }
}

#[test]
fn copies_by_a_polling_thread() {
    require!(setup: SetupFlags::SQPOLL);
    let dir = TempDir::new();
    let dest = dir.join("dest");
    for size in [0, 1, 1_000_003, 16 << 20] {
        let bytes = noise(size);
        let source = dir.file("source", &bytes);
        for sqpoll in ["--sqpoll", "--sqpoll=1"] {
            let args = [sqpoll, "--fsync", "--block=10007", name(&source), name(&dest)];
            assert_copied(&run("cp", &args), size);
            assert!(fs::read(&dest).unwrap() == bytes, "{sqpoll}, {size} bytes");
        }
    }
}

#[test]
fn copies_a_large_file_over_a_larger_one() {
    require!(op: Opcode::READ_FIXED);
    let dir = TempDir::new();
    let bytes = noise((64 << 20) + 17);
    let (source, dest) = (dir.file("source", &bytes), dir.file("dest", &[]));
    File::options().write(true).open(&dest).unwrap().set_len(100 << 20).unwrap();
    assert_copied(&run("cp", &[name(&source), name(&dest)]), bytes.len());
    assert!(fs::read(&dest).unwrap() == bytes);
}

#[test]
fn copies_files_whose_size_is_not_what_stat_says() {
    require!(op: Opcode::READ_FIXED);
    let dir = TempDir::new();
    let dest = dir.join("dest");
    for file in files_of_another_size() {
        let bytes = fs::read(file).unwrap();
        assert_copied(&run("cp", &["--fsync", file, name(&dest)]), bytes.len());
        assert_eq!(text(&fs::read(&dest).unwrap()), text(&bytes), "{file}");
    }
}

#[test]
fn copies_permissions_and_into_directories() {
    require!(op: Opcode::READ_FIXED);
    let dir = TempDir::new();
    let source = dir.file("source", b"bytes");
    let inside = dir.join("inside");
    fs::create_dir(&inside).unwrap();
    let dest = inside.join("source");
    for mode in [0o400, 0o640, 0o755, 0o777] {
        fs::set_permissions(&source, Permissions::from_mode(mode)).unwrap();
        assert_copied(&run("cp", &[name(&source), name(&inside)]), 5);
        assert_eq!(dest.metadata().unwrap().permissions().mode() & 0o7777, mode);
        assert_eq!(fs::read(&dest).unwrap(), b"bytes");
        fs::remove_file(&dest).unwrap();
    }
}

#[test]
fn refuses_to_copy_a_file_to_itself() {
    require!(op: Opcode::READ_FIXED);
    let dir = TempDir::new();
    let source = dir.file("source", b"once");
    let (soft, hard) = (dir.join("soft"), dir.join("hard"));
    symlink(&source, &soft).unwrap();
    fs::hard_link(&source, &hard).unwrap();
    for dest in [source.as_path(), &soft, &hard, dir.path()] {
        assert_fails(&run("cp", &[name(&source), name(dest)]), 1, "is the same file");
        assert_eq!(fs::read(&source).unwrap(), b"once");
    }
}

#[test]
fn makes_no_copy_of_what_it_cannot_read() {
    require!(op: Opcode::READ_FIXED);
    let dir = TempDir::new();
    let (missing, dest) = (dir.join("missing"), dir.join("dest"));
    assert_fails(&run("cp", &[name(&missing), name(&dest)]), 1, "No such file");
    assert_fails(&run("cp", &[name(dir.path()), name(&dest)]), 1, "is a directory");
    assert_fails(&run("cp", &["/dev/null", name(&dest)]), 1, "not a regular file");
    assert!(!dest.exists());
}

#[test]
fn leaves_no_half_of_a_file_without_saying_so() {
    require!(op: Opcode::READ_FIXED);
    // Opens well, and fails to be read: nothing is mapped at its start.
    const UNREADABLE: &str = "/proc/self/mem";
    let dir = TempDir::new();
    let dest = dir.join("dest");
    assert_fails(&run("cp", &[UNREADABLE, name(&dest)]), 1, "dest was removed again");
    assert!(!dest.exists());
    dir.file("dest", b"what was there");
    assert_fails(&run("cp", &[UNREADABLE, name(&dest)]), 1, "dest is incomplete");
    assert!(dest.exists());
}
