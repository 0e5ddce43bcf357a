//! `cp` on the safe front: reads linked to writes, in registered memory, and no `unsafe`.
//!
//! Shows how to
//!
//! - link a write to the read before it: one job, one event, two results;
//! - continue a chain that broke: a short read cancels the write after it;
//! - register buffers, so that the kernel need not look them up each time: a [`Lease`] is a field
//!   of the job's value;
//! - have a kernel thread take the entries (`--sqpoll`);
//! - stop early: dropping the jobs cancels what is in flight and waits for it, so that nothing
//!   writes to the destination after that.
//!
//! A job is a block on its way from the source to the same place in the destination. As many
//! as `--depth` are under way up to the size that the source was said to have. If the source has
//! grown, one job at a time looks for what is beyond, until one finds nothing.
#![forbid(unsafe_code)]

use core::fmt;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use ringbolt::IoUring;
use ringbolt::jobs::{Cause, Done, Lease, OwnedJobs, Pages, SafeRing};
use ringbolt::ops::{FixedSpan, Fsync, Op, ReadFixed, WriteFixed};
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

/// Why the copy ended early, and what failed.
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

/// Prints one line on standard error. If that fails, nothing else can be done.
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
    let (jobs, leases) = ring(options)?;
    let dest = Dest::open(options, &stat)?;
    let files = Rc::new((source, dest.file.try_clone().map_err(|error| error.to_string())?));
    let copy =
        Copy { jobs, files, leases, next: 0, known_end: stat.len(), end: None, written_end: 0 };
    copy.run(options.fsync).map_err(|trouble| {
        let left = dest.give_up();
        match trouble {
            Trouble::Source(error) => format!("{}; {left}", of_source(error)),
            Trouble::Dest(error) => format!("{}: {error}; {left}", dest.path.display()),
            Trouble::Ring(error) => format!("{error}; {left}"),
        }
    })
}

/// Jobs with room for everything that is ever in flight, and pinned memory for each.
fn ring(options: &Options) -> Result<(OwnedJobs<Block>, Vec<Lease>), String> {
    let Options { depth, block, .. } = options;
    // A read and a write for each job.
    let entries = 2 * u32::from(*depth);
    let ring = match options.sqpoll {
        Some(idle_ms) => SafeRing::build_local(&IoUring::builder().sqpoll(idle_ms), entries),
        None => SafeRing::new(entries),
    };
    let mut jobs = ring.map_err(|error| error.to_string())?.into_jobs(u32::from(*depth));
    let size = usize::try_from(*block).map_err(|error| error.to_string())?;
    let what = format!("{depth} blocks of {block} bytes");
    let leases = jobs.lease(*depth, size, Pages::Usual).map_err(|errno| match errno {
        Errno::NOMEM => {
            format!("{what} are more than may be pinned: raise ulimit -l, or ask for less")
        }
        _ => format!("{what} could not be registered: {errno}"),
    })?;
    Ok((jobs, leases.collect()))
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

/// A block on its way.
struct Block {
    /// The source and the destination.
    files: Rc<(File, File)>,
    lease: Lease,
    /// Where in both files it starts.
    offset: u64,
    /// How many bytes it should have.
    len: usize,
    /// Bytes read, and bytes written.
    read: usize,
    written: usize,
    step: Step,
}

/// What is in flight for a block.
enum Step {
    ReadAndWrite,
    Write,
    Fsync,
}

impl Block {
    /// The rest of the block is read, and then, if the read was not short, written.
    fn read_and_write(&mut self) -> [Op<'_>; 2] {
        self.step = Step::ReadAndWrite;
        let offset = self.offset + self.read as u64;
        let rest = FixedSpan::from(&mut self.lease).first(self.len).after(self.read);
        [
            ReadFixed::lent(&self.files.0, rest).offset(offset).op(),
            WriteFixed::lent(&self.files.1, rest).offset(offset).op(),
        ]
    }

    /// What was read and has not been written is written.
    fn write(&mut self) -> Op<'_> {
        self.step = Step::Write;
        let offset = self.offset + self.written as u64;
        let rest = FixedSpan::from(&mut self.lease).first(self.read).after(self.written);
        WriteFixed::lent(&self.files.1, rest).offset(offset).op()
    }

    fn fsync(&mut self) -> Op<'_> {
        self.step = Step::Fsync;
        Fsync::lent(&self.files.1).op()
    }
}

/// A copy and its jobs.
struct Copy {
    jobs: OwnedJobs<Block>,
    files: Rc<(File, File)>,
    /// The memory that no job has.
    leases: Vec<Lease>,
    /// Where the next block starts.
    next: u64,
    /// The size that the source was said to have.
    known_end: u64,
    /// Where a read found nothing.
    end: Option<u64>,
    /// The offset after the last byte written.
    written_end: u64,
}

/// What is to be done for a block next.
enum Next {
    ReadAndWrite,
    Write,
    Nothing,
}

impl Copy {
    /// Copies everything, and returns how many bytes that was. On an early return the jobs are
    /// dropped, which cancels what is in flight: nothing is written after this has returned.
    fn run(mut self, fsync: bool) -> Result<u64, Trouble> {
        self.pump()?;
        let end = self.end.unwrap_or(self.written_end);
        if self.written_end > end {
            // The source was cut and grew again meanwhile: only what is contiguous counts.
            self.files.1.set_len(end).map_err(Trouble::Dest)?;
        }
        if fsync {
            let block = self.block(0).ok_or_else(|| Trouble::Ring("no block is free".into()))?;
            self.jobs.start(block, Block::fsync).map_err(of_ring)?;
            self.pump()?;
        }
        Ok(end)
    }

    /// Starts jobs and carries them on until there is nothing left to do.
    fn pump(&mut self) -> Result<(), Trouble> {
        loop {
            self.start_jobs()?;
            let Some(event) = self.jobs.wait_next().map_err(of_ring)? else { return Ok(()) };
            let mut done = event.expect_done();
            let next = note(&mut done, &mut self.end, &mut self.written_end)?;
            match next {
                Next::ReadAndWrite => {
                    done.restart_chain(Block::read_and_write).map_err(of_ring)?;
                }
                Next::Write => {
                    done.restart(Block::write).map_err(of_ring)?;
                }
                Next::Nothing => self.leases.push(done.finish().lease),
            }
        }
    }

    fn start_jobs(&mut self) -> Result<(), Trouble> {
        while self.end.is_none() {
            let ahead = self.known_end.saturating_sub(self.next);
            if ahead == 0 && !self.jobs.is_empty() {
                return Ok(());
            }
            let Some(block) = self.block(ahead) else { return Ok(()) };
            self.next += block.len as u64;
            self.jobs.start_chain(block, Block::read_and_write).map_err(of_ring)?;
        }
        Ok(())
    }

    /// The next block, if there is memory for it. `ahead` bytes are known to follow.
    fn block(&mut self, ahead: u64) -> Option<Block> {
        let lease = self.leases.pop()?;
        // The last block is as long as it should be, or its read would be a short one.
        let len = match usize::try_from(ahead) {
            Ok(ahead) if ahead > 0 => ahead.min(lease.len()),
            _ => lease.len(),
        };
        let files = Rc::clone(&self.files);
        let (offset, step) = (self.next, Step::ReadAndWrite);
        Some(Block { files, lease, offset, len, read: 0, written: 0, step })
    }
}

/// Notes what the operations of a block returned, and what is to be done next.
fn note(
    block: &mut Done<'_, '_, '_, Block>,
    end: &mut Option<u64>,
    written_end: &mut u64,
) -> Result<Next, Trouble> {
    let (read, written) = match block.step {
        Step::ReadAndWrite => (Some(block.result_of(0)), block.result_of(1)),
        Step::Write => (None, block.result()),
        Step::Fsync => return block.result().map(|_| Next::Nothing).map_err(of_dest),
    };
    let mut found_end = false;
    match read {
        None | Some(Err(Errno::INTR | Errno::AGAIN)) => {}
        Some(Ok(0)) => found_end = true,
        Some(Ok(count)) => block.read += count as usize,
        Some(Err(errno)) => return Err(Trouble::Source(errno.into())),
    }
    match written {
        // Cancelled, because the read was short or failed; or to be tried again.
        Err(Errno::CANCELED | Errno::INTR | Errno::AGAIN) => {}
        Ok(0) => return Err(Trouble::Dest(io::ErrorKind::WriteZero.into())),
        Ok(count) => {
            block.written += count as usize;
            *written_end = (*written_end).max(block.offset + block.written as u64);
        }
        Err(errno) => return Err(of_dest(errno)),
    }
    if block.written < block.read {
        return Ok(Next::Write);
    }
    if block.read < block.len && !found_end {
        return Ok(Next::ReadAndWrite);
    }
    if found_end {
        let found = block.offset + block.read as u64;
        *end = Some(end.map_or(found, |other| other.min(found)));
    }
    Ok(Next::Nothing)
}

fn of_ring(error: impl Into<Cause>) -> Trouble {
    Trouble::Ring(format!("the ring: {}", error.into()))
}

fn of_dest(errno: Errno) -> Trouble {
    Trouble::Dest(errno.into())
}
