//! What `grep` does.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use ringbolt::sys::Opcode;

use crate::common::{TempDir, require};
use crate::{assert_fails, command, finish, name, noise, run, text};

/// Fails unless the example found something, and printed `lines` in any order.
#[track_caller]
fn assert_finds(output: &Output, lines: &[String]) {
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let mut found: Vec<&str> = text(&output.stdout).lines().collect();
    let mut wanted: Vec<&str> = lines.iter().map(String::as_str).collect();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

/// A tree of `files` files in directories of directories, and the lines of it that have "needle".
fn tree(dir: &TempDir, files: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..files {
        let parent = dir.join(&format!("{}/{}", number % 7, number % 11));
        fs::create_dir_all(&parent).unwrap();
        let path = parent.join(format!("file{number}"));
        let mut content = "hay and straw\n".repeat(number % 50);
        if number % 3 == 0 {
            let line = format!("a needle, number {number}");
            content = format!("{content}{line}\n{content}{line}, again");
            lines.push(format!("{}:{line}", name(&path)));
            lines.push(format!("{}:{line}, again", name(&path)));
        }
        fs::write(path, content).unwrap();
    }
    lines
}

#[test]
fn finds_every_line_of_a_tree() {
    require!(op: Opcode::OPENAT);
    let dir = TempDir::new();
    let lines = tree(&dir, 1000);
    let root = name(dir.path());
    assert_finds(&run("grep", &["needle", root]), &lines);
    // With few places, and with lines that are longer than what is read at once.
    assert_finds(&run("grep", &["--depth=1", "needle", root]), &lines);
    assert_finds(&run("grep", &["--depth=7", "--block=1", "needle", root]), &lines);
    assert_finds(&run("grep", &["--depth=4096", "--block=17", "needle", root]), &lines);
}

#[test]
fn prints_names_and_counts() {
    require!(op: Opcode::OPENAT);
    let dir = TempDir::new();
    let file = dir.file("file", b"one\ntwo one\nthree\none");
    dir.file("other", b"nothing of it");
    let (path, root) = (name(&file), name(dir.path()));
    assert_finds(&run("grep", &["-l", "one", root]), &[path.to_owned()]);
    for block in ["--block=2", "--block=100"] {
        assert_finds(&run("grep", &["-c", block, "one", root]), &[format!("{path}:3")]);
    }
}

#[test]
fn finds_what_begins_in_one_block_and_ends_in_another() {
    require!(op: Opcode::OPENAT);
    let dir = TempDir::new();
    let mut bytes: Vec<u8> = noise(300_000).iter().map(|byte| b'a' + byte % 16).collect();
    for at in (4_000..bytes.len()).step_by(5_003) {
        bytes[at - 9..at].copy_from_slice(b"\nabc xyz\n");
    }
    let count = bytes.windows(7).filter(|window| *window == b"abc xyz").count();
    let path = dir.file("file", &bytes);
    for block in ["--block=4096", "--block=4099", "--block=1000000"] {
        let output = run("grep", &["-c", block, "abc xyz", name(&path)]);
        assert_finds(&output, &[format!("{}:{count}", name(&path))]);
    }
}

#[test]
fn reads_files_whose_size_is_not_what_stat_says() {
    require!(op: Opcode::OPENAT);
    let output = run("grep", &["Name:", "/proc/self/status"]);
    assert_finds(&output, &["/proc/self/status:Name:\tgrep".to_owned()]);
}

#[test]
fn follows_links_that_are_named_and_no_others() {
    require!(op: Opcode::OPENAT);
    let dir = TempDir::new();
    let inside = dir.join("inside");
    fs::create_dir(&inside).unwrap();
    dir.file("file", b"a needle");
    symlink("../file", inside.join("link")).unwrap();
    symlink("..", inside.join("loop")).unwrap();
    assert_eq!(run("grep", &["needle", name(&inside)]).status.code(), Some(1));
    let link = inside.join("link");
    let line = format!("{}:a needle", name(&link));
    assert_finds(&run("grep", &["needle", name(&link)]), &[line]);
}

#[test]
fn finds_nothing_without_a_word() {
    require!(op: Opcode::OPENAT);
    let dir = TempDir::new();
    dir.file("file", b"hay");
    for _ in 0..20 {
        // An empty tree, too, must end it.
        let empty = dir.join("empty");
        fs::create_dir_all(&empty).unwrap();
        for path in [dir.path(), &empty] {
            let output = run("grep", &["needle", name(path)]);
            assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
            assert_eq!(text(&output.stderr), "");
        }
    }
}

#[test]
fn reports_what_it_cannot_read_and_goes_on() {
    require!(op: Opcode::OPENAT);
    let dir = TempDir::new();
    let missing = dir.join("missing");
    let file = dir.file("file", b"a needle");
    let output = run("grep", &["needle", name(&missing), name(&file)]);
    assert_fails(&output, 2, &format!("grep: {}: No such file", name(&missing)));
    assert_eq!(text(&output.stdout), format!("{}:a needle\n", name(&file)));
    // Opens well, and fails to be read: nothing is mapped at its start.
    assert_fails(&run("grep", &["needle", "/proc/self/mem"]), 2, "/proc/self/mem: ");
}

#[test]
fn ends_quietly_when_nobody_reads_its_output() {
    require!(op: Opcode::OPENAT);
    let dir = TempDir::new();
    let file = dir.file("file", "a needle\n".repeat(100_000).as_bytes());
    let mut child = command("grep", &["needle", name(&file)]).spawn().unwrap();
    drop(child.stdout.take());
    let output = finish(child);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(128 + 13), ""));
}
