//! `cp` over io_uring: reads linked to writes, in registered memory, between registered files.
//!
//! Shows how to
//!
//! - link a write to the read before it, and push both together or neither;
//! - pick up a chain that broke: a short read cancels the write behind it;
//! - register buffers and files, so that the kernel need not look them up each time;
//! - have a kernel thread take the entries (`--sqpoll`);
//! - put an fsync behind everything before it, by draining;
//! - keep memory for as long as the kernel uses it, on every way out: see `common/mod.rs`.
//!
//! A job is a block on its way from the source to the same place in the destination. As many
//! as `--depth` are under way up to the size that the source was said to have. What is beyond,
//! if the source has grown, is looked for by one job at a time, until one finds nothing.
#![allow(clippy::indexing_slicing, reason = "jobs are named by index; a wrong one is a bug here")]

mod common;

use core::fmt;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use common::Engine;
use ringbolt::IoUring;
use ringbolt::ops::{Fixed, Fsync, ReadFixed, WriteFixed};
use ringbolt::rustix::io::Errno;

const HELP: &str = "\
Usage: cp [OPTION]... SOURCE DEST
Copies the regular file SOURCE through io_uring: to DEST, or into it if it is a directory. The
permissions of SOURCE (rwx) are copied, too.

      --depth N           blocks under way at once (1 to 1024; 8)
      --block BYTES       bytes for each of them (1 to 1073741824; 262144)
      --fsync             has the copy on its device before the end
      --sqpoll[=IDLE_MS]  has a kernel thread take the entries, which sleeps after IDLE_MS
                          milliseconds without any (50)
  -h, --help              shows this text
";

/// What the command line asks for.
struct Options {
    source: PathBuf,
    dest: PathBuf,
    depth: u16,
    block: u32,
    fsync: bool,
    sqpoll: Option<u32>,
}

/// Whose fault it is that the copy ended early.
enum Trouble {
    Source(io::Error),
    Dest(io::Error),
    Ring(String),
}

fn main() -> ExitCode {
    let options = match parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            return match io::stdout().write_all(HELP.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        Err(error) => {
            report(format_args!("{error} (try 'cp --help')"));
            return ExitCode::from(2);
        }
    };
    let begin = Instant::now();
    match cp(&options) {
        Ok(bytes) => {
            let seconds = begin.elapsed().as_secs_f64();
            // Precise to 2^53, which is enough for a rate.
            #[expect(clippy::cast_precision_loss, reason = "as said")]
            let rate = bytes as f64 / 1e6 / seconds;
            report(format_args!("{bytes} bytes in {seconds:.3} s, {rate:.1} MB/s"));
            ExitCode::SUCCESS
        }
        Err(line) => {
            report(line);
            ExitCode::FAILURE
        }
    }
}

/// The options, or `None` if help is asked for.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let (mut depth, mut block, mut fsync, mut sqpoll) = (8, 256 << 10, false, None);
    let mut names: Vec<OsString> = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("depth") => depth = parser.value()?.parse()?,
            Long("block") => block = parser.value()?.parse()?,
            Long("fsync") => fsync = true,
            Long("sqpoll") => {
                sqpoll = Some(parser.optional_value().map_or(Ok(50), |idle| idle.parse())?);
            }
            Value(name) if names.len() < 2 => names.push(name),
            _ => return Err(arg.unexpected()),
        }
    }
    if !(1..=1024).contains(&depth) {
        return Err("--depth is from 1 to 1024".into());
    }
    if !(1..=1 << 30).contains(&block) {
        return Err("--block is from 1 to 1073741824 bytes".into());
    }
    let mut names = names.into_iter().map(PathBuf::from);
    let (Some(source), Some(dest)) = (names.next(), names.next()) else {
        return Err("SOURCE and DEST are needed".into());
    };
    Ok(Some(Options { source, dest, depth, block, fsync, sqpoll }))
}

/// One line on standard error. If even that fails, there is nobody to tell.
fn report(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "cp: {line}");
}

/// Copies, or returns a line to report. Returns how many bytes were copied.
fn cp(options: &Options) -> Result<u64, String> {
    let of_source = |error| format!("{}: {error}", options.source.display());
    let source = File::open(&options.source).map_err(of_source)?;
    let stat = source.metadata().map_err(of_source)?;
    if !stat.is_file() {
        let kind = if stat.is_dir() { "is a directory" } else { "not a regular file" };
        return Err(of_source(io::Error::other(kind)));
    }
    // Before the destination is touched: whether there can be a ring at all.
    let engine = engine(options)?;
    let dest = Dest::open(options, &stat)?;
    let copied = copy(engine, options, &source, stat.len(), &dest.file);
    copied.map_err(|trouble| {
        let left = dest.give_up();
        match trouble {
            Trouble::Source(error) => format!("{}; {left}", of_source(error)),
            Trouble::Dest(error) => format!("{}: {error}; {left}", dest.path.display()),
            Trouble::Ring(error) => format!("{error}; {left}"),
        }
    })
}

/// A ring with room for all that is ever in flight, and pinned memory for the jobs.
fn engine(options: &Options) -> Result<Engine, String> {
    let Options { depth, block, .. } = options;
    // A read and a write for each job, and an fsync.
    let entries = 2 * u32::from(*depth) + 1;
    let ring = match options.sqpoll {
        Some(idle_ms) => IoUring::builder().sqpoll(idle_ms).build_local(entries),
        None => IoUring::local(entries),
    };
    let ring = ring.map_err(|error| error.to_string())?;
    let size = usize::try_from(*block).map_err(|error| error.to_string())?;
    let what = format!("{depth} blocks of {block} bytes");
    let engine = Engine::new(ring, usize::from(*depth), size)
        .map_err(|errno| format!("no memory for {what}: {errno}"))?;
    engine.register_blocks().map_err(|errno| match errno {
        Errno::NOMEM => {
            format!("{what} are more than may be pinned: raise ulimit -l, or ask for less")
        }
        _ => format!("{what} could not be registered: {errno}"),
    })?;
    Ok(engine)
}

/// The file that is copied to.
struct Dest {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl Dest {
    /// Opens the destination, empty and with the permissions of `source`.
    fn open(options: &Options, source: &fs::Metadata) -> Result<Self, String> {
        let mut path = options.dest.clone();
        if path.is_dir() {
            path.push(options.source.file_name().unwrap_or_default());
        }
        let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        // Opening a pipe would wait for somebody to read it.
        if fs::metadata(&path).is_ok_and(|stat| !stat.is_file()) {
            return Err(failed(&path, io::Error::other("not a regular file")));
        }
        // Nobody else may read it before it has the permissions of the source.
        let mut create = OpenOptions::new();
        create.write(true).create_new(true).mode(0o600);
        let (file, is_new) = match create.open(&path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = OpenOptions::new().write(true).open(&path);
                (file.map_err(|error| failed(&path, error))?, false)
            }
            Err(error) => return Err(failed(&path, error)),
        };
        let dest = Self { path, file, is_new };
        dest.prepare(source).map_err(|error| {
            let line = failed(&dest.path, error);
            if dest.is_new { format!("{line}; {}", dest.give_up()) } else { line }
        })?;
        Ok(dest)
    }

    fn prepare(&self, source: &fs::Metadata) -> io::Result<()> {
        // Asked of the open file, and before it is emptied: nobody can change it meanwhile.
        let stat = self.file.metadata()?;
        if !stat.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if (stat.dev(), stat.ino()) == (source.dev(), source.ino()) {
            return Err(io::Error::other("is the same file as the source"));
        }
        self.file.set_len(0)?;
        self.file.set_permissions(Permissions::from_mode(source.mode() & 0o777))
    }

    /// Leaves no half of a file behind, or says that it does.
    fn give_up(&self) -> String {
        let name = self.path.display();
        if !self.is_new {
            return format!("{name} is incomplete, and what it was is lost");
        }
        match fs::remove_file(&self.path) {
            Ok(()) => format!("{name} was removed again"),
            Err(error) => format!("{name} is incomplete, and could not be removed: {error}"),
        }
    }
}

/// Fixed slots of the two files.
const SOURCE: Fixed = Fixed(0);
const DEST: Fixed = Fixed(1);

/// The `user_data` of the fsync. A read has twice the index of its job, a write one more.
const FSYNC: u64 = u64::MAX - 1;

/// A block on its way.
#[derive(Default)]
struct Job {
    /// Where in both files it starts.
    offset: u64,
    /// How many bytes it should have.
    len: u32,
    /// Bytes read, and bytes written.
    read: u32,
    written: u32,
    /// Pushed after the fsync, which does not cover it.
    is_late: bool,
    /// Entries in flight, and what those that have completed came to.
    in_flight: u32,
    read_result: Option<Result<u32, Errno>>,
    write_result: Option<Result<u32, Errno>>,
}

/// All jobs of a copy.
struct Copy<'a> {
    engine: Engine,
    dest: &'a File,
    block_size: u32,
    jobs: Vec<Job>,
    free: Vec<u16>,
    /// Where the next job starts.
    next: u64,
    /// The size that the source was said to have.
    known_end: u64,
    /// Where a read found nothing.
    end: Option<u64>,
    /// The last byte written, and one.
    written_end: u64,
    fsync: FsyncState,
}

#[derive(PartialEq)]
enum FsyncState {
    NotAskedFor,
    /// To be pushed behind the last job that is known of; or at the end, if the source ends
    /// before that.
    ToDo,
    /// Covers every write so far.
    Pushed,
    /// Something was written after it.
    Stale,
}

fn copy(
    engine: Engine,
    options: &Options,
    source: &File,
    size: u64,
    dest: &File,
) -> Result<u64, Trouble> {
    engine
        .register_files(&[source.into(), dest.into()])
        .map_err(|errno| Trouble::Ring(format!("the files could not be registered: {errno}")))?;
    let copy = Copy {
        engine,
        dest,
        block_size: options.block,
        jobs: (0..options.depth).map(|_| Job::default()).collect(),
        free: (0..options.depth).rev().collect(),
        next: 0,
        known_end: size,
        end: None,
        written_end: 0,
        fsync: if options.fsync { FsyncState::ToDo } else { FsyncState::NotAskedFor },
    };
    copy.run()
}

impl Copy<'_> {
    /// Copies everything, and returns how many bytes that was. On an early return the engine
    /// is dropped, which cancels what is in flight: nobody writes when this has returned.
    fn run(mut self) -> Result<u64, Trouble> {
        self.pump()?;
        let end = self.end.unwrap_or(self.written_end);
        if self.written_end > end {
            // The source was cut and grew again meanwhile: only what is contiguous counts.
            self.dest.set_len(end).map_err(Trouble::Dest)?;
            self.mark_stale();
        }
        if matches!(self.fsync, FsyncState::ToDo | FsyncState::Stale) {
            self.push_fsync()?;
            self.pump()?;
        }
        Ok(end)
    }

    /// Starts jobs and carries them on until there is nothing left to do.
    fn pump(&mut self) -> Result<(), Trouble> {
        loop {
            self.start_jobs()?;
            if self.engine.in_flight() == 0 {
                return Ok(());
            }
            self.engine.submit_and_wait().map_err(of_ring)?;
            while let Some(cqe) = self.engine.pop() {
                if cqe.user_data() == FSYNC {
                    cqe.result().map_err(of_dest)?;
                } else {
                    self.complete(cqe.user_data(), cqe.result())?;
                }
            }
        }
    }

    fn start_jobs(&mut self) -> Result<(), Trouble> {
        while self.end.is_none() {
            let ahead = self.known_end.saturating_sub(self.next);
            if ahead == 0 && self.fsync == FsyncState::ToDo {
                self.push_fsync()?;
            }
            if ahead == 0 && self.free.len() < self.jobs.len() {
                return Ok(());
            }
            let Some(index) = self.free.pop() else { return Ok(()) };
            // The last block is as long as it should be, or its read would be a short one.
            let len = match u32::try_from(ahead) {
                Ok(ahead) if ahead > 0 => ahead.min(self.block_size),
                _ => self.block_size,
            };
            self.jobs[usize::from(index)] = Job { offset: self.next, len, ..Job::default() };
            self.next += u64::from(len);
            self.push_read_and_write(index)?;
        }
        Ok(())
    }

    /// Has the rest of a job read, and linked to that, written.
    fn push_read_and_write(&mut self, index: u16) -> Result<(), Trouble> {
        let job = &mut self.jobs[usize::from(index)];
        job.in_flight = 2;
        job.is_late = self.fsync != FsyncState::ToDo;
        let buf = self.engine.block(index.into(), job.read);
        let len = job.len - job.read;
        let offset = job.offset + u64::from(job.read);
        let read = ReadFixed::new(SOURCE, buf, len, index).offset(offset);
        let write = WriteFixed::new(DEST, buf, len, index).offset(offset);
        let user_data = 2 * u64::from(index);
        let chain = [read.sqe(user_data).link(), write.sqe(user_data + 1)];
        // SAFETY:
        // 1. The memory lies in block `index`: `len` ends where the job does, and a job is at
        //    most as long as a block.
        // 2. A job uses its own block alone. It has nothing in flight: it has just been
        //    started, or both entries of its last chain have completed. The write uses what
        //    the read fills, and is linked behind it.
        // 3. The files are registered: the ring keeps them open by itself.
        unsafe { self.engine.push(&chain) }.map_err(of_ring)
    }

    /// Has what was read of a job and not yet written, written.
    fn push_write(&mut self, index: u16) -> Result<(), Trouble> {
        let job = &mut self.jobs[usize::from(index)];
        job.in_flight = 1;
        job.is_late = self.fsync != FsyncState::ToDo;
        let buf = self.engine.block(index.into(), job.written);
        let offset = job.offset + u64::from(job.written);
        let write = WriteFixed::new(DEST, buf, job.read - job.written, index).offset(offset);
        let entry = write.sqe(2 * u64::from(index) + 1);
        // SAFETY:
        // 1. The memory lies in block `index`: at most `len` bytes of a job have been read.
        // 2. The job has nothing else in flight, and the kernel only reads its block.
        // 3. The file is registered: the ring keeps it open by itself.
        unsafe { self.engine.push(&[entry]) }.map_err(of_ring)
    }

    /// Has the destination synchronised when everything pushed before has completed.
    fn push_fsync(&mut self) -> Result<(), Trouble> {
        self.fsync = FsyncState::Pushed;
        // SAFETY: no memory is named, and the file is registered.
        unsafe { self.engine.push(&[Fsync::new(DEST).sqe(FSYNC).drain().into()]) }.map_err(of_ring)
    }

    fn mark_stale(&mut self) {
        if self.fsync == FsyncState::Pushed {
            self.fsync = FsyncState::Stale;
        }
    }

    /// An entry of a job has completed. With the last one in flight, the job is carried on.
    fn complete(&mut self, user_data: u64, result: Result<u32, Errno>) -> Result<(), Trouble> {
        let index = u16::try_from(user_data / 2).expect("the index that was pushed");
        let job = &mut self.jobs[usize::from(index)];
        let is_read = user_data % 2 == 0;
        *(if is_read { &mut job.read_result } else { &mut job.write_result }) = Some(result);
        job.in_flight -= 1;
        if job.in_flight == 0 { self.carry_on(index) } else { Ok(()) }
    }

    /// Looks at what a job's entries came to, and pushes those that are needed next.
    fn carry_on(&mut self, index: u16) -> Result<(), Trouble> {
        let job = &mut self.jobs[usize::from(index)];
        let mut found_end = false;
        match job.read_result.take() {
            // A write alone; or try again.
            None | Some(Err(Errno::INTR | Errno::AGAIN)) => {}
            Some(Ok(0)) => found_end = true,
            Some(Ok(count)) => job.read += count,
            Some(Err(errno)) => return Err(Trouble::Source(errno.into())),
        }
        match job.write_result.take() {
            // Cancelled, because the read was short or failed; or try again.
            None | Some(Err(Errno::CANCELED | Errno::INTR | Errno::AGAIN)) => {}
            Some(Ok(0)) => return Err(Trouble::Dest(io::ErrorKind::WriteZero.into())),
            Some(Ok(count)) => {
                job.written += count;
                let (end, is_late) = (job.offset + u64::from(job.written), job.is_late);
                self.written_end = self.written_end.max(end);
                if is_late {
                    self.mark_stale();
                }
            }
            Some(Err(errno)) => return Err(of_dest(errno)),
        }
        let job = &self.jobs[usize::from(index)];
        if job.written < job.read {
            return self.push_write(index);
        }
        if job.read < job.len && !found_end {
            return self.push_read_and_write(index);
        }
        if found_end {
            let end = job.offset + u64::from(job.read);
            self.end = Some(self.end.map_or(end, |other| other.min(end)));
        }
        self.free.push(index);
        Ok(())
    }
}

fn of_ring(errno: Errno) -> Trouble {
    Trouble::Ring(format!("the ring: {errno}"))
}

fn of_dest(errno: Errno) -> Trouble {
    Trouble::Dest(errno.into())
}
