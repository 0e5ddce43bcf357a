//! What `cat` does.

use core::time::Duration;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use ringbolt::sys::Opcode;

use crate::common::{TempDir, require};
use crate::{
    SIZES, assert_fails, assert_prints, command, files_of_another_size, finish, forget, name,
    noise, run, text,
};

#[test]
fn copies_files_of_every_size() {
    require!(op: Opcode::READ);
    let dir = TempDir::new();
    for size in SIZES {
        let bytes = noise(size);
        let file = dir.file("file", &bytes);
        assert_prints(&run("cat", &[name(&file)]), &bytes);
        assert_prints(&run("cat", &["--depth=1", name(&file)]), &bytes);
        assert_prints(&run("cat", &["--depth=5", "--block=4099", name(&file)]), &bytes);
    }
    let bytes = noise(1000);
    let file = dir.file("file", &bytes);
    assert_prints(&run("cat", &["--depth=1024", "--block=1", name(&file)]), &bytes);
}

#[test]
fn copies_a_large_file_to_a_file() {
    require!(op: Opcode::READ);
    let dir = TempDir::new();
    let bytes = noise(64 << 20);
    let file = dir.file("file", &bytes);
    let copy = File::create(dir.join("copy")).unwrap();
    let output = finish(command("cat", &[name(&file)]).stdout(copy).spawn().unwrap());
    assert_prints(&output, b"");
    assert!(fs::read(dir.join("copy")).unwrap() == bytes);
}

#[test]
fn writes_in_order_what_is_read_out_of_order() {
    require!(op: Opcode::READ);
    let dir = TempDir::new();
    let bytes = noise(4 << 20);
    let file = dir.file("file", &bytes);
    for block in [65_536, 131_072] {
        // All but the first block is in the page cache: that one comes last.
        forget(&file);
        let mut rest = vec![0; bytes.len() - block];
        File::open(&file).unwrap().read_exact_at(&mut rest, block as u64).unwrap();
        assert_prints(&run("cat", &[&format!("--block={block}"), name(&file)]), &bytes);
    }
}

#[test]
fn copies_several_files_and_a_pipe_in_their_order() {
    require!(op: Opcode::READ);
    let dir = TempDir::new();
    let (first, second, third) = (noise(300_001), noise(200_000), noise(7));
    let [a, c] = [dir.file("a", &first), dir.file("c", &third)];
    let args = [name(&a), "-", name(&c)];
    let mut child = command("cat", &args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let to_pipe = second.clone();
    let writer = thread::spawn(move || stdin.write_all(&to_pipe).unwrap());
    assert_prints(&finish(child), &[first, second, third].concat());
    writer.join().unwrap();
}

#[test]
fn hands_on_what_a_pipe_has_before_it_ends() {
    require!(op: Opcode::READ);
    let mut child = command("cat", &[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    for line in ["one\n", "two\n", "three\n"] {
        stdin.write_all(line.as_bytes()).unwrap();
        let mut copy = String::new();
        lines.read_line(&mut copy).unwrap();
        assert_eq!(copy, line);
    }
    drop(stdin);
    assert_prints(&finish(child), b"");
}

#[test]
fn goes_on_where_standard_input_stands_and_leaves_it_at_its_end() {
    require!(op: Opcode::READ);
    let dir = TempDir::new();
    let bytes = noise(500_000);
    let mut file = File::open(dir.file("file", &bytes)).unwrap();
    file.seek(SeekFrom::Start(1234)).unwrap();
    let child = command("cat", &[]).stdin(file.try_clone().unwrap()).spawn().unwrap();
    assert_prints(&finish(child), &bytes[1234..]);
    assert_eq!(file.stream_position().unwrap(), 500_000);
}

#[test]
fn copies_files_whose_size_is_not_what_stat_says() {
    require!(op: Opcode::READ);
    for file in files_of_another_size() {
        assert_prints(&run("cat", &[file]), &fs::read(file).unwrap());
    }
    let status = run("cat", &["/proc/self/status"]);
    assert!(text(&status.stdout).starts_with("Name:\tcat\n"), "{}", text(&status.stdout));
}

/// Starts a cat of four megabytes that stands still early on, as nobody reads what it writes.
/// Changes the file, reads, and returns what was copied in the end.
fn cat_while(change: impl FnOnce(&File)) -> Vec<u8> {
    let dir = TempDir::new();
    let path = dir.file("file", &noise(4 << 20));
    let args = ["--depth=2", "--block=4096", name(&path)];
    let child = command("cat", &args).spawn().unwrap();
    // A pipe takes 64 KiB, most often; the cat is long done with that.
    thread::sleep(Duration::from_millis(300));
    change(&OpenOptions::new().append(true).open(&path).unwrap());
    let output = finish(child);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    output.stdout
}

#[test]
fn copies_what_is_added_to_a_file_meanwhile() {
    require!(op: Opcode::READ);
    let copied = cat_while(|mut file| file.write_all(&[7; 100_000]).unwrap());
    assert!(copied == [noise(4 << 20), vec![7; 100_000]].concat());
}

#[test]
fn ends_where_a_file_is_cut_meanwhile() {
    require!(op: Opcode::READ);
    let copied = cat_while(|file| file.set_len(3_777_777).unwrap());
    assert!(copied == noise(3_777_777));
}

#[test]
fn reports_what_it_cannot_read_and_goes_on() {
    require!(op: Opcode::READ);
    let dir = TempDir::new();
    let (missing, file) = (dir.join("missing"), dir.file("file", b"still here"));
    for (bad, reason) in [(missing.as_path(), "No such file"), (dir.path(), "Is a directory")] {
        let output = run("cat", &[name(bad), name(&file)]);
        assert_fails(&output, 1, &format!("cat: {}: {reason}", bad.display()));
        assert_eq!(text(&output.stdout), "still here");
    }
    let locked = dir.file("locked", b"");
    fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
    require!(machine: File::open(&locked).is_err(), "a user who may not read everything");
    assert_fails(&run("cat", &[name(&locked)]), 1, "Permission denied");
}

#[test]
fn refuses_to_copy_a_file_to_itself() {
    require!(op: Opcode::READ);
    let dir = TempDir::new();
    let path = dir.file("file", b"once");
    let file = OpenOptions::new().append(true).open(&path).unwrap();
    let output = finish(command("cat", &[name(&path)]).stdout(file).spawn().unwrap());
    assert_fails(&output, 1, "input file is output file");
    assert_eq!(fs::read(&path).unwrap(), b"once");
}

#[test]
fn ends_quietly_when_nobody_reads_its_output() {
    require!(op: Opcode::READ);
    let dir = TempDir::new();
    let file = dir.file("file", &noise(1 << 20));
    let mut child = command("cat", &[name(&file)]).spawn().unwrap();
    drop(child.stdout.take());
    let output = finish(child);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(128 + 13), ""));
}

#[test]
fn cancels_its_read_when_the_output_is_gone() {
    require!(op: Opcode::READ);
    let (stdin, mut to_cat) = UnixStream::pair().unwrap();
    let mut child = command("cat", &[]).stdin(OwnedFd::from(stdin)).spawn().unwrap();
    drop(child.stdout.take());
    // The next read is in flight when this has been read, and never gets anything.
    to_cat.write_all(b"nobody wants this").unwrap();
    let begin = Instant::now();
    assert_eq!(finish(child).status.code(), Some(128 + 13));
    // The engine would wait for 5 seconds, and then give its memory up.
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[test]
fn waits_for_sockets_that_are_non_blocking() {
    require!(op: Opcode::READ);
    let bytes = noise(3 << 20);
    let [(stdin, mut to_cat), (stdout, mut from_cat)] =
        [(); 2].map(|()| UnixStream::pair().unwrap());
    for end in [&stdin, &stdout] {
        end.set_nonblocking(true).unwrap();
    }
    let mut command = command("cat", &[]);
    command.stdin(OwnedFd::from(stdin)).stdout(OwnedFd::from(stdout));
    let child = command.spawn().unwrap();
    // It holds the example's ends.
    drop(command);
    let to_send = bytes.clone();
    let writer = thread::spawn(move || to_cat.write_all(&to_send).unwrap());
    thread::sleep(Duration::from_millis(50));
    let mut copied = Vec::new();
    from_cat.read_to_end(&mut copied).unwrap();
    assert!(copied == bytes);
    writer.join().unwrap();
    assert_prints(&finish(child), b"");
}
