//! `cat` on the safe front: several reads in flight, output in order, and no `unsafe`.
//!
//! Shows how to
//!
//! - make a ring for a thread ([`SafeRing::new`]), and report why it cannot be made;
//! - use one ring for several inputs, each in a [scope](SafeRing::scope) of its own, whose end
//!   cancels what is in flight, on every way out;
//! - keep several reads of a file in flight, at offsets, and put their results in order;
//! - read what has no offsets (pipes, terminals, most of `/proc`) at its own position, one read
//!   at a time;
//! - continue after short reads and short writes, in place.
//!
//! A job is a block of the file. It is read, then written, and its memory is used for another
//! block: at most `--depth` blocks of `--block` bytes exist, however long the file is.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::ExitCode;

use ringbolt::jobs::{Cause, Done, Jobs, Place, SafeRing};
use ringbolt::ops::{Op, Read, Write};
use ringbolt::rustix::fs::{FileType, SeekFrom, Stat, fstat, seek, tell};
use ringbolt::rustix::io::Errno;

const HELP: &str = "\
Usage: cat [OPTION]... [FILE]...
Copies files to standard output through io_uring. Without FILE, or where FILE is -, standard
input is copied.

      --depth N      reads in flight at once (1 to 1024; 8)
      --block BYTES  bytes for each of them (1 to 1073741824; 131072)
  -h, --help         shows this text
";

/// What the command line asks for.
struct Options {
    depth: usize,
    block: usize,
    files: Vec<OsString>,
}

/// Why a copy ended early, and what failed.
enum Trouble {
    Input(io::Error),
    Output(Errno),
    Ring(String),
}

/// The exit code that shells report for a process that SIGPIPE ended, as it ends other cats.
const ENDED_BY_PIPE: u8 = 128 + 13;

fn main() -> ExitCode {
    match parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => run(&options),
        Ok(None) => match io::stdout().write_all(HELP.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            report(format_args!("{error} (try 'cat --help')"));
            ExitCode::from(2)
        }
    }
}

/// The options, or `None` if help is asked for.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut options = Options { depth: 8, block: 128 << 10, files: Vec::new() };
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("depth") => options.depth = parser.value()?.parse()?,
            Long("block") => options.block = parser.value()?.parse()?,
            Value(file) => options.files.push(file),
            _ => return Err(arg.unexpected()),
        }
    }
    if !(1..=1024).contains(&options.depth) {
        return Err("--depth is from 1 to 1024".into());
    }
    if !(1..=1 << 30).contains(&options.block) {
        return Err("--block is from 1 to 1073741824 bytes".into());
    }
    if options.files.is_empty() {
        options.files.push("-".into());
    }
    Ok(Some(options))
}

/// Prints one line on standard error. If that fails, nothing else can be done.
fn report(line: impl core::fmt::Display) {
    let _ = writeln!(io::stderr(), "cat: {line}");
}

fn run(options: &Options) -> ExitCode {
    // As many reads, and one write.
    let entries = u32::try_from(options.depth + 1).expect("--depth is at most 1024");
    let mut ring = match SafeRing::new(entries) {
        Ok(ring) => ring,
        Err(cause) => {
            report(cause);
            return ExitCode::FAILURE;
        }
    };
    let mut places: Vec<_> = (0..options.depth).map(|_| Place::new()).collect();
    let stdout = io::stdout();
    let mut code = ExitCode::SUCCESS;
    for name in &options.files {
        match cat(&mut ring, &mut places, options, name, stdout.as_fd()) {
            Ok(()) => {}
            Err(Trouble::Output(Errno::PIPE)) => return ExitCode::from(ENDED_BY_PIPE),
            Err(Trouble::Output(errno)) => {
                report(format_args!("standard output: {errno}"));
                return ExitCode::FAILURE;
            }
            Err(Trouble::Ring(error)) => {
                report(error);
                return ExitCode::FAILURE;
            }
            Err(Trouble::Input(error)) => {
                let name = if name == "-" { "standard input".as_ref() } else { Path::new(name) };
                report(format_args!("{}: {error}", name.display()));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Copies one input. On return, nothing of it is in flight.
fn cat(
    ring: &mut SafeRing,
    places: &mut [Place<Block>],
    options: &Options,
    name: &OsString,
    output: BorrowedFd<'_>,
) -> Result<(), Trouble> {
    let (stdin, file);
    let input = if name == "-" {
        stdin = io::stdin();
        stdin.as_fd()
    } else {
        file = File::open(name).map_err(Trouble::Input)?;
        file.as_fd()
    };
    let mut copy = Copy::new(options, input, output)?;
    // If the output or the ring fails, a read of a terminal may be in flight. The scope cancels it.
    ring.scope(places, |jobs| copy.pump(jobs))?;
    copy.end()
}

/// A part of the input, on its way to the output.
struct Block {
    bytes: Vec<u8>,
    /// Blocks are numbered in the order of the input.
    number: u64,
    /// Where in the input it starts; without a meaning for inputs without offsets.
    offset: u64,
    /// How many bytes of it have been read, and how many of these have been written.
    filled: usize,
    written: usize,
    /// Whether it is read or written now.
    is_writing: bool,
    /// The input ends in this block, regularly or by an error.
    end: Option<Result<(), Errno>>,
}

impl Block {
    fn is_full(&self) -> bool {
        self.filled == self.bytes.len()
    }
}

/// One input on its way to the output.
struct Copy<'f> {
    input: BorrowedFd<'f>,
    output: BorrowedFd<'f>,
    block: usize,
    /// Whether reads have an offset; otherwise there is one read at a time.
    has_offsets: bool,
    /// Blocks that have been read and wait for those before them, in the order of the input. The
    /// first is block `front`; `None` is one that is still being read.
    waiting: VecDeque<Option<Block>>,
    front: u64,
    /// Memory of blocks that have been written.
    spare: Vec<Vec<u8>>,
    /// Where the next block starts.
    next: u64,
    /// Up to this offset the input is known to go: reads are in flight side by side up to here.
    /// Beyond it, one read at a time looks for more.
    known_end: u64,
    /// Blocks that are being read.
    reading: usize,
    /// The end has been seen: no further block is begun.
    has_ended: bool,
    is_writing: bool,
    /// How the input ended, once everything before that has been written: where, or by which error.
    outcome: Option<Result<u64, Errno>>,
}

impl<'f> Copy<'f> {
    fn new(
        options: &Options,
        input: BorrowedFd<'f>,
        output: BorrowedFd<'f>,
    ) -> Result<Self, Trouble> {
        let failed = |errno: Errno| Trouble::Input(errno.into());
        let stat = fstat(input).map_err(failed)?;
        if is_same_file(&stat, &fstat(output).map_err(Trouble::Output)?) {
            return Err(Trouble::Input(io::Error::other("input file is output file")));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        // A size of 0 says nothing: files in /proc have it, and some have no offsets.
        let has_offsets = is_regular(&stat) && size > 0;
        // Standard input may have been read from before.
        let start = if has_offsets { tell(input).map_err(failed)? } else { 0 };
        Ok(Self {
            input,
            output,
            block: options.block,
            has_offsets,
            waiting: VecDeque::with_capacity(options.depth),
            front: 0,
            spare: Vec::new(),
            next: start,
            known_end: if has_offsets { size } else { 0 },
            reading: 0,
            has_ended: false,
            is_writing: false,
            outcome: None,
        })
    }

    /// Copies everything.
    fn pump<'s>(&mut self, jobs: &mut Jobs<'s, 'f, Block>) -> Result<(), Trouble>
    where
        'f: 's,
    {
        loop {
            self.start_reads(jobs)?;
            self.write_front(jobs)?;
            // The front may have made room for a read.
            self.start_reads(jobs)?;
            let Some(event) = jobs.wait_next().map_err(of_ring)? else { return Ok(()) };
            let done = event.expect_done();
            if done.is_writing { self.wrote(done)? } else { self.read(done)? }
        }
    }

    fn start_reads<'s>(&mut self, jobs: &mut Jobs<'s, 'f, Block>) -> Result<(), Trouble>
    where
        'f: 's,
    {
        while !self.has_ended && (self.reading == 0 || self.next < self.known_end) {
            if self.waiting.len() as u64 == u64::from(jobs.capacity()) {
                return Ok(());
            }
            let block = Block {
                bytes: self.spare.pop().map_or_else(|| memory(self.block), Ok)?,
                number: self.front + self.waiting.len() as u64,
                offset: self.next,
                filled: 0,
                written: 0,
                is_writing: false,
                end: None,
            };
            self.next += self.block as u64;
            self.waiting.push_back(None);
            self.reading += 1;
            let (input, has_offsets) = (self.input, self.has_offsets);
            jobs.start(block, |block| read(block, input, has_offsets)).map_err(of_ring)?;
        }
        Ok(())
    }

    /// A read has completed. Reads the rest of the block, or puts the block into its place.
    fn read(&mut self, mut block: Reaped<'_, '_, 'f>) -> Result<(), Trouble> {
        match block.result() {
            Ok(0) => block.end = Some(Ok(())),
            Ok(count) => block.filled += count as usize,
            Err(Errno::INTR) => {}
            Err(errno) => block.end = Some(Err(errno)),
        }
        // Without offsets, a short read is all that there is for now: it is written at once.
        let is_over = block.is_full() || !self.has_offsets && block.filled > 0;
        if block.end.is_none() && !is_over {
            let (input, has_offsets) = (self.input, self.has_offsets);
            block.restart(|block| read(block, input, has_offsets)).map_err(of_ring)?;
            return Ok(());
        }
        self.has_ended |= block.end.is_some();
        self.reading -= 1;
        let block = block.finish();
        let place = usize::try_from(block.number - self.front).ok();
        let place = place.and_then(|place| self.waiting.get_mut(place));
        *place.expect("a block that is read has a place") = Some(block);
        Ok(())
    }

    /// Writes the block in front, if it has been read. Frees blocks that need no writing.
    fn write_front<'s>(&mut self, jobs: &mut Jobs<'s, 'f, Block>) -> Result<(), Trouble>
    where
        'f: 's,
    {
        while !self.is_writing {
            let Some(block) = self.waiting.front_mut().and_then(Option::take) else { break };
            // After the end there is nothing: a file that has grown since is not looked at.
            if self.outcome.is_some() || block.filled == 0 {
                self.retire(block);
                continue;
            }
            self.is_writing = true;
            let output = self.output;
            let block = Block { is_writing: true, ..block };
            jobs.start(block, |block| write(block, output)).map_err(of_ring)?;
        }
        Ok(())
    }

    /// A write has completed.
    fn wrote(&mut self, mut block: Reaped<'_, '_, 'f>) -> Result<(), Trouble> {
        match block.result() {
            Ok(0) => return Err(Trouble::Output(Errno::IO)),
            Ok(count) => block.written += count as usize,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Trouble::Output(errno)),
        }
        if block.written < block.filled {
            let output = self.output;
            block.restart(|block| write(block, output)).map_err(of_ring)?;
            return Ok(());
        }
        self.is_writing = false;
        self.retire(block.finish());
        Ok(())
    }

    /// The block in front has been dealt with.
    fn retire(&mut self, block: Block) {
        if let (None, Some(end)) = (self.outcome, block.end) {
            self.outcome = Some(end.map(|()| block.offset + block.filled as u64));
        }
        self.waiting.pop_front();
        self.front += 1;
        self.spare.push(block.bytes);
    }

    /// Reports how the input ended, and leaves it there.
    fn end(self) -> Result<(), Trouble> {
        let failed = |errno: Errno| Trouble::Input(errno.into());
        if let Some(outcome) = self.outcome {
            let end = outcome.map_err(failed)?;
            if self.has_offsets {
                // Who reads standard input next goes on from there.
                seek(self.input, SeekFrom::Start(end)).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// A block whose operation has completed.
type Reaped<'j, 's, 'f> = Done<'j, 's, 'f, Block>;

/// The rest of a block is read.
fn read<'a>(block: &'a mut Block, input: BorrowedFd<'a>, has_offsets: bool) -> Op<'a> {
    let offset = block.offset + block.filled as u64;
    let room = block.bytes.get_mut(block.filled..).unwrap_or_default();
    let read = Read::lent(input, room);
    if has_offsets { read.offset(offset).op() } else { read.op() }
}

/// The rest of what is in a block is written.
fn write<'a>(block: &'a mut Block, output: BorrowedFd<'a>) -> Op<'a> {
    let left = block.bytes.get(block.written..block.filled).unwrap_or_default();
    Write::lent(output, left).op()
}

/// Memory for a block.
fn memory(len: usize) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    let no_memory = |_| Trouble::Ring(format!("no memory for another block of {len} bytes"));
    bytes.try_reserve_exact(len).map_err(no_memory)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

fn of_ring(error: impl Into<Cause>) -> Trouble {
    Trouble::Ring(format!("the ring: {}", error.into()))
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Copying a file to its own end would never end.
fn is_same_file(input: &Stat, output: &Stat) -> bool {
    is_regular(output) && (input.st_dev, input.st_ino) == (output.st_dev, output.st_ino)
}
