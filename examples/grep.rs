//! `grep` on the safe front: a tree of files, with many of them in flight at once.
//!
//! Shows how to
//!
//! - make the steps of one task (open, read, search, read again) the states of one job;
//! - take a descriptor from a completion, which is closed with the value that it goes into;
//! - have as many jobs in flight as there are places, and ask for work when one is free;
//! - be woken by another thread, which walks the tree ([`Waker`]).
//!
//! Lines of one file come in their order; files come in the order in which they are read. A file
//! needs an open and a read, and another read for each `--block` bytes.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use ringbolt::jobs::{Cause, Done, OwnedJobs, SafeRing, Waker};
use ringbolt::ops::{Op, OpenAt, Read};
use ringbolt::rustix::fs::{CWD, OFlags};
use ringbolt::rustix::io::Errno;

const HELP: &str = "\
Usage: grep [OPTION]... PATTERN [PATH]...
Prints the lines that contain the text PATTERN, of the files PATH and of all files in the
directories PATH, through io_uring. Without PATH, the working directory is searched. Symbolic
links in directories are not followed.

  -c, --count        prints how many lines of each file contain PATTERN, if any does
  -l, --list         prints the names of files that contain PATTERN
      --depth N      files in flight at once (1 to 4096; 256)
      --block BYTES  bytes to read at once (1 to 1073741824; 16384); longer lines take more
  -h, --help         shows this text

The exit code is 0 if a line was found, 1 if not, and 2 after an error.
";

/// What the command line asks for.
struct Options {
    pattern: Vec<u8>,
    paths: Vec<PathBuf>,
    show: Show,
    depth: u32,
    block: usize,
}

/// What is printed.
#[derive(Clone, Copy, PartialEq)]
enum Show {
    Lines,
    Counts,
    Names,
}

fn main() -> ExitCode {
    let options = match parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            return match io::stdout().write_all(HELP.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::from(2),
            };
        }
        Err(error) => {
            report(format_args!("{error} (try 'grep --help')"));
            return ExitCode::from(2);
        }
    };
    match grep(options) {
        Ok(Outcome { failed: true, .. }) => ExitCode::from(2),
        Ok(Outcome { found: true, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::from(ENDED_BY_PIPE)
        }
        Err(Trouble::Output(error)) => {
            report(format_args!("standard output: {error}"));
            ExitCode::from(2)
        }
        Err(Trouble::Ring(error)) => {
            report(error);
            ExitCode::from(2)
        }
    }
}

/// The exit code that shells report for a process that SIGPIPE ended, as it ends other greps.
const ENDED_BY_PIPE: u8 = 128 + 13;

/// The options, or `None` if help is asked for.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let (mut show, mut depth, mut block) = (Show::Lines, 256, 16 << 10);
    let mut pattern: Option<OsString> = None;
    let mut paths = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Short('c') | Long("count") => show = Show::Counts,
            Short('l') | Long("list") => show = Show::Names,
            Long("depth") => depth = parser.value()?.parse()?,
            Long("block") => block = parser.value()?.parse()?,
            Value(value) if pattern.is_none() => pattern = Some(value),
            Value(path) => paths.push(PathBuf::from(path)),
            _ => return Err(arg.unexpected()),
        }
    }
    if !(1..=4096).contains(&depth) {
        return Err("--depth is from 1 to 4096".into());
    }
    if !(1..=1 << 30).contains(&block) {
        return Err("--block is from 1 to 1073741824 bytes".into());
    }
    let pattern = pattern.ok_or("PATTERN is needed")?.into_vec();
    if pattern.is_empty() || pattern.contains(&b'\n') {
        return Err("PATTERN is a part of one line".into());
    }
    if paths.is_empty() {
        paths.push(PathBuf::from("."));
    }
    Ok(Some(Options { pattern, paths, show, depth, block }))
}

/// Prints one line on standard error. If that fails, nothing else can be done.
fn report(line: impl core::fmt::Display) {
    let _ = writeln!(io::stderr(), "grep: {line}");
}

/// What a search came to.
#[derive(Default)]
struct Outcome {
    /// Whether a line was found.
    found: bool,
    /// Whether something could not be read.
    failed: bool,
}

/// Why a search ended early, and what failed.
enum Trouble {
    Output(io::Error),
    Ring(String),
}

fn of_ring(error: impl Into<Cause>) -> Trouble {
    Trouble::Ring(format!("the ring: {}", error.into()))
}

/// Walks the tree in one thread, and searches in this one.
fn grep(options: Options) -> Result<Outcome, Trouble> {
    let Options { pattern, paths, show, depth, block } = options;
    let ring = SafeRing::new(depth).map_err(|error| Trouble::Ring(error.to_string()))?;
    let mut jobs = ring.into_jobs(depth);
    let waker = jobs.waker().map_err(|errno| Trouble::Ring(format!("a waker: {errno}")))?;
    let (files, found) = channel();
    let walker = thread::spawn(move || Walk { files, waker }.all(paths));
    let output = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let mut search = Search { pattern, show, output, outcome: Outcome::default() };
    let found = Found { files: found, next: Vec::new().into_iter(), is_closed: false };
    search.run(jobs, found, block)?;
    search.output.flush().map_err(Trouble::Output)?;
    // It has ended: the channel is closed.
    search.outcome.failed |= walker.join().unwrap_or(true);
    Ok(search.outcome)
}

/// The walk through the tree.
struct Walk {
    files: Sender<Vec<CString>>,
    waker: Waker,
}

impl Walk {
    /// Sends the files of all paths. Returns whether something could not be read.
    fn all(self, paths: Vec<PathBuf>) -> bool {
        let mut failed = false;
        let mut dirs = Vec::new();
        for path in paths.into_iter().rev() {
            // A path that is named is followed if it is a link.
            match fs::metadata(&path) {
                Ok(stat) if stat.is_dir() => dirs.push(path),
                Ok(_) => self.send(vec![path]),
                Err(error) => {
                    report(format_args!("{}: {error}", path.display()));
                    failed = true;
                }
            }
        }
        while let Some(dir) = dirs.pop() {
            if let Err(error) = self.directory(&dir, &mut dirs) {
                report(format_args!("{}: {error}", dir.display()));
                failed = true;
            }
        }
        let Self { files, waker } = self;
        drop(files);
        waker.wake();
        failed
    }

    /// Sends the files of one directory, and adds its directories to `dirs`.
    fn directory(&self, dir: &Path, dirs: &mut Vec<PathBuf>) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
                if files.len() == 256 {
                    self.send(core::mem::take(&mut files));
                }
            }
        }
        self.send(files);
        Ok(())
    }

    /// Hands files over to the other thread. If that has ended, so does the process.
    fn send(&self, files: Vec<PathBuf>) {
        let path = |path: PathBuf| CString::new(path.into_os_string().into_vec());
        let files = files.into_iter().map(path).map(|path| path.expect("a path has no NUL"));
        if self.files.send(files.collect()).is_ok() {
            self.waker.wake();
        }
    }
}

/// A file on its way. Its memory is used for the next file.
struct Task {
    path: CString,
    /// Absent until it has been opened.
    file: Option<OwnedFd>,
    /// What has been read: the first `kept` bytes earlier, and searched without a result, since
    /// their line may go on.
    bytes: Vec<u8>,
    kept: usize,
    /// How many bytes of the file have been read.
    offset: u64,
    /// How many lines have been found.
    lines: u64,
}

impl Task {
    fn new(path: CString, bytes: Vec<u8>) -> Self {
        Self { path, file: None, bytes, kept: 0, offset: 0, lines: 0 }
    }

    /// Opens the file, or reads on.
    fn step(&mut self) -> Op<'_> {
        match &self.file {
            None => OpenAt::lent(CWD, &self.path, OFlags::RDONLY | OFlags::CLOEXEC).op(),
            Some(file) => {
                let room = self.bytes.get_mut(self.kept..).unwrap_or_default();
                Read::lent(file, room).offset(self.offset).op()
            }
        }
    }
}

/// Files that the other thread has found.
struct Found {
    files: Receiver<Vec<CString>>,
    /// What has been received and not been started.
    next: std::vec::IntoIter<CString>,
    /// The other thread has ended.
    is_closed: bool,
}

impl Found {
    /// The next file, if one is known now.
    fn next(&mut self) -> Option<CString> {
        loop {
            if let Some(path) = self.next.next() {
                return Some(path);
            }
            match self.files.try_recv() {
                Ok(files) => self.next = files.into_iter(),
                Err(error) => {
                    self.is_closed = error == TryRecvError::Disconnected;
                    return None;
                }
            }
        }
    }
}

/// A search through many files.
struct Search<W: io::Write> {
    pattern: Vec<u8>,
    show: Show,
    output: W,
    outcome: Outcome,
}

impl<W: io::Write> Search<W> {
    /// Searches everything that is found.
    fn run(
        &mut self,
        mut jobs: OwnedJobs<Task>,
        mut found: Found,
        block: usize,
    ) -> Result<(), Trouble> {
        let mut spare = Vec::new();
        loop {
            while !jobs.is_full() {
                let Some(path) = found.next() else { break };
                let bytes = spare.pop().unwrap_or_else(|| vec![0; block]);
                jobs.start(Task::new(path, bytes), Task::step).map_err(of_ring)?;
            }
            if jobs.is_empty() && found.is_closed {
                return Ok(());
            }
            // `None` if the other thread has found something, or has ended.
            let Some(event) = jobs.wait_next().map_err(of_ring)? else { continue };
            let mut done = event.expect_done();
            let goes_on = match done.file {
                None => self.opened(&mut done),
                Some(_) => self.read(&mut done)?,
            };
            if goes_on {
                done.restart(Task::step).map_err(of_ring)?;
            } else {
                let task = done.finish();
                self.end(&task)?;
                spare.push(task.bytes);
            }
        }
    }

    /// The file is open. Returns whether it is to be read.
    fn opened(&mut self, task: &mut Done<'_, '_, '_, Task>) -> bool {
        task.file = task.descriptor();
        if let Err(errno) = task.result() {
            self.fails(&task.path, errno);
        }
        task.file.is_some()
    }

    /// A part of the file has been read. Returns whether more is to be read.
    fn read(&mut self, task: &mut Done<'_, '_, '_, Task>) -> Result<bool, Trouble> {
        let result = task.result();
        let task = &mut **task;
        let len = match result {
            Ok(len) => len as usize,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
            Err(errno) => {
                self.fails(&task.path, errno);
                return Ok(false);
            }
        };
        let filled = task.kept + len;
        task.offset += len as u64;
        // Up to the end of the last line that is whole; at the end of the file, everything.
        let new = task.bytes.get(task.kept..filled).unwrap_or_default();
        let whole = match new.iter().rposition(|byte| *byte == b'\n') {
            _ if len == 0 => filled,
            Some(last) => task.kept + last + 1,
            None => 0,
        };
        if whole > 0 {
            self.search(task, whole)?;
            task.bytes.copy_within(whole..filled, 0);
        }
        task.kept = filled - whole;
        if task.kept == task.bytes.len() {
            // A long line.
            task.bytes.resize(2 * task.kept, 0);
        }
        Ok(len > 0 && (self.show != Show::Names || task.lines == 0))
    }

    /// Searches the first `len` bytes of what has been read, which are whole lines.
    fn search(&mut self, task: &mut Task, len: usize) -> Result<(), Trouble> {
        let mut text = task.bytes.get(..len).unwrap_or_default();
        while let Some(at) = find(text, &self.pattern) {
            let (before, after) = text.split_at(at);
            let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            let end = after.iter().position(|byte| *byte == b'\n').map_or(len, |last| at + last);
            let line = text.get(start..end.min(text.len())).unwrap_or_default();
            task.lines += 1;
            if self.show == Show::Lines {
                self.print(&[task.path.as_bytes(), b":", line])?;
            }
            text = text.get(end + 1..).unwrap_or_default();
        }
        Ok(())
    }

    /// A file has been searched, and is closed.
    fn end(&mut self, task: &Task) -> Result<(), Trouble> {
        if task.lines == 0 {
            return Ok(());
        }
        self.outcome.found = true;
        match self.show {
            Show::Lines => Ok(()),
            Show::Names => self.print(&[task.path.as_bytes()]),
            Show::Counts => {
                self.print(&[task.path.as_bytes(), b":", task.lines.to_string().as_bytes()])
            }
        }
    }

    /// Prints a line.
    fn print(&mut self, parts: &[&[u8]]) -> Result<(), Trouble> {
        for part in parts.iter().chain([&&b"\n"[..]]) {
            self.output.write_all(part).map_err(Trouble::Output)?;
        }
        Ok(())
    }

    fn fails(&mut self, path: &CStr, errno: Errno) {
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        report(format_args!("{}: {}", path.display(), io::Error::from(errno)));
        self.outcome.failed = true;
    }
}

/// Where in `text` the pattern begins, which is not empty.
fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    let (first, rest) = pattern.split_first()?;
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|byte| byte == first)?;
        from = at + 1;
        if text.get(from..)?.starts_with(rest) {
            return Some(at);
        }
    }
}
