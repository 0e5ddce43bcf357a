//! `cat` over io_uring: several reads in flight, output in order.
//!
//! Shows how to
//!
//! - make a thread's own ring ([`IoUring::local`]), and say why it cannot be made;
//! - keep several reads of a file in flight, at offsets, and put their results in order;
//! - read what has no offsets (pipes, terminals, most of `/proc`) at its own position, one read
//!   at a time;
//! - treat short reads and short writes rightly;
//! - keep memory for as long as the kernel uses it, on every way out: see `common/mod.rs`.
//!
//! A file's blocks stand in a queue in the order of the file. The block in front is written when
//! its reading is over, and its memory is then read into again: at most `--depth` blocks of
//! `--block` bytes are ever in use, however long the file.
#![allow(clippy::indexing_slicing, reason = "blocks are named by index; a wrong one is a bug here")]

mod common;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::ExitCode;

use common::Engine;
use ringbolt::IoUring;
use ringbolt::ops::{Read, Write};
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
    block: u32,
    files: Vec<OsString>,
}

/// Why a copy ended early, by whose fault.
enum Trouble {
    Input(io::Error),
    Output(Errno),
    Ring(Errno),
}

/// The code by which shells tell of a process that SIGPIPE ended, as it ends other cats.
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

/// One line on standard error. If even that fails, there is nobody to tell.
fn report(line: impl core::fmt::Display) {
    let _ = writeln!(io::stderr(), "cat: {line}");
}

fn run(options: &Options) -> ExitCode {
    let mut engine = match engine(options) {
        Ok(engine) => engine,
        Err(cause) => {
            report(cause);
            return ExitCode::FAILURE;
        }
    };
    let stdout = io::stdout();
    let output = stdout.as_fd();
    let mut code = ExitCode::SUCCESS;
    for name in &options.files {
        match cat(&mut engine, options, name, output) {
            Ok(()) => {}
            Err(Trouble::Output(Errno::PIPE)) => return ExitCode::from(ENDED_BY_PIPE),
            Err(Trouble::Output(errno)) => {
                report(format_args!("standard output: {errno}"));
                return ExitCode::FAILURE;
            }
            Err(Trouble::Ring(errno)) => {
                report(format_args!("the ring: {errno}"));
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

/// A ring with room for all that is ever in flight, and memory for the reads.
fn engine(options: &Options) -> Result<Engine, String> {
    let Options { depth, block, .. } = options;
    // As many reads, and one write.
    let entries = u32::try_from(depth + 1).map_err(|error| error.to_string())?;
    let ring = IoUring::local(entries).map_err(|error| error.to_string())?;
    let size = usize::try_from(*block).map_err(|error| error.to_string())?;
    Engine::new(ring, *depth, size)
        .map_err(|errno| format!("no memory for {depth} blocks of {block} bytes: {errno}"))
}

fn cat(
    engine: &mut Engine,
    options: &Options,
    name: &OsString,
    output: BorrowedFd<'_>,
) -> Result<(), Trouble> {
    if name == "-" {
        return Copy::new(engine, options, io::stdin().as_fd(), output)?.run();
    }
    let file = File::open(name).map_err(Trouble::Input)?;
    Copy::new(engine, options, file.as_fd(), output)?.run()
}

/// The `user_data` of the write. Reads have the index of their block.
const WRITE: u64 = u64::MAX - 1;

/// What is read into one block of memory.
#[derive(Default)]
struct Block {
    /// Where in the file it starts; of no use to files without offsets.
    offset: u64,
    /// Bytes read so far.
    filled: u32,
    /// Nothing more is read into it.
    is_over: bool,
    /// The file ends in it, for good or because of an error.
    is_last: bool,
    error: Option<Errno>,
}

/// One input on its way to the output.
struct Copy<'a> {
    engine: &'a mut Engine,
    input: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    block_size: u32,
    /// Whether reads are told an offset; otherwise there is one at a time.
    has_offsets: bool,
    blocks: Vec<Block>,
    /// Blocks that nothing is read into or written from.
    free: Vec<usize>,
    /// The others, in the order of the file.
    order: VecDeque<usize>,
    /// Where the next block starts.
    next: u64,
    /// Up to where the file is known to go: reads are in flight ahead of each other up to
    /// here. What is beyond, if anything, is looked for with one read at a time.
    known_end: u64,
    /// Blocks whose reading is not over.
    reading: usize,
    /// The end has been seen: no further block is begun.
    has_ended: bool,
    is_writing: bool,
    /// Bytes written of the block in front.
    written: u32,
    /// How the input ended, once all before that has been written: where, or why early.
    outcome: Option<Result<u64, Errno>>,
}

impl<'a> Copy<'a> {
    fn new(
        engine: &'a mut Engine,
        options: &Options,
        input: BorrowedFd<'a>,
        output: BorrowedFd<'a>,
    ) -> Result<Self, Trouble> {
        let failed = |errno: Errno| Trouble::Input(errno.into());
        let stat = fstat(input).map_err(failed)?;
        if is_same_file(&stat, &fstat(output).map_err(Trouble::Output)?) {
            return Err(Trouble::Input(io::Error::other("input file is output file")));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        // A size of 0 says nothing: files in /proc have it, and some can only be read on.
        let has_offsets = is_regular(&stat) && size > 0;
        // Standard input may have been read from before.
        let start = if has_offsets { tell(input).map_err(failed)? } else { 0 };
        Ok(Self {
            engine,
            input,
            output,
            block_size: options.block,
            has_offsets,
            blocks: (0..options.depth).map(|_| Block::default()).collect(),
            free: (0..options.depth).rev().collect(),
            order: VecDeque::with_capacity(options.depth),
            next: start,
            known_end: if has_offsets { size } else { 0 },
            reading: 0,
            has_ended: false,
            is_writing: false,
            written: 0,
            outcome: None,
        })
    }

    /// Copies all of it. On return, nothing of it is in flight.
    fn run(mut self) -> Result<(), Trouble> {
        if let Err(trouble) = self.pump() {
            // The output or the ring failed, which ends the program. What is still in flight,
            // the read of a terminal say, would hold it up.
            self.engine.quiesce();
            return Err(trouble);
        }
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

    fn pump(&mut self) -> Result<(), Trouble> {
        loop {
            self.start_reads()?;
            self.write_front()?;
            // The front may have made room for a read.
            self.start_reads()?;
            if self.engine.in_flight() == 0 {
                return Ok(());
            }
            self.engine.submit_and_wait().map_err(Trouble::Ring)?;
            while let Some(cqe) = self.engine.pop() {
                match cqe.user_data() {
                    WRITE => self.wrote(cqe.result())?,
                    block => self.read(block, cqe.result())?,
                }
            }
        }
    }

    fn start_reads(&mut self) -> Result<(), Trouble> {
        while !self.has_ended && (self.reading == 0 || self.next < self.known_end) {
            let Some(index) = self.free.pop() else { return Ok(()) };
            self.blocks[index] = Block { offset: self.next, ..Block::default() };
            self.next += u64::from(self.block_size);
            self.order.push_back(index);
            self.reading += 1;
            self.push_read(index)?;
        }
        Ok(())
    }

    /// Has the rest of a block read.
    fn push_read(&mut self, index: usize) -> Result<(), Trouble> {
        let Block { offset, filled, .. } = self.blocks[index];
        let buf = self.engine.block(index, filled);
        let mut read = Read::new(self.input, buf, self.block_size - filled);
        if self.has_offsets {
            read = read.offset(offset + u64::from(filled));
        }
        let entry = read.sqe(index as u64);
        // SAFETY:
        // 1. The memory lies in block `index`, and ends where that does.
        // 2. Nobody else uses the block: it was free when this reading of it began, it has one
        //    read in flight at a time, and it is written from when its reading is over.
        // 3. `input` is borrowed until `run` returns, and then nothing is in flight; if
        //    cancelling failed, at least no other file is opened after it.
        unsafe { self.engine.push(&[entry]) }.map_err(Trouble::Ring)
    }

    /// A read has completed.
    fn read(&mut self, index: u64, result: Result<u32, Errno>) -> Result<(), Trouble> {
        let index = usize::try_from(index).expect("the index that the read was pushed with");
        let block = &mut self.blocks[index];
        match result {
            Ok(0) => block.is_last = true,
            Ok(count) => block.filled += count,
            Err(Errno::INTR) => return self.push_read(index),
            Err(errno) => {
                block.is_last = true;
                block.error = Some(errno);
            }
        }
        // Without offsets, a short read is all that there is for now: out with it.
        let is_full = block.filled == self.block_size || !self.has_offsets;
        block.is_over = block.is_last || is_full;
        if !block.is_over {
            return self.push_read(index);
        }
        self.has_ended |= block.is_last;
        self.reading -= 1;
        Ok(())
    }

    /// Writes what stands in front, if its reading is over, and frees what is done with.
    fn write_front(&mut self) -> Result<(), Trouble> {
        while !self.is_writing {
            let Some(&front) = self.order.front() else { return Ok(()) };
            let block = &self.blocks[front];
            if !block.is_over {
                return Ok(());
            }
            // Behind the end there is nothing: a file that grew meanwhile is not looked at.
            if self.outcome.is_none() && self.written < block.filled {
                return self.push_write(front);
            }
            if self.outcome.is_none() && block.is_last {
                let end = block.offset + u64::from(block.filled);
                self.outcome = Some(block.error.map_or(Ok(end), Err));
            }
            self.written = 0;
            self.order.pop_front();
            self.free.push(front);
        }
        Ok(())
    }

    /// Has the rest of the block in front written.
    fn push_write(&mut self, front: usize) -> Result<(), Trouble> {
        let buf = self.engine.block(front, self.written);
        let len = self.blocks[front].filled - self.written;
        let entry = Write::new(self.output, buf, len).sqe(WRITE);
        self.is_writing = true;
        // SAFETY:
        // 1. The memory lies in block `front`, of which `filled` bytes have been read.
        // 2. The kernel only reads it, and nothing is read into it: its reading is over, and it
        //    becomes free when `is_writing` is false again.
        // 3. `output` is the standard output, which stays open.
        unsafe { self.engine.push(&[entry]) }.map_err(Trouble::Ring)
    }

    /// The write has completed.
    fn wrote(&mut self, result: Result<u32, Errno>) -> Result<(), Trouble> {
        self.is_writing = false;
        match result {
            Ok(0) => return Err(Trouble::Output(Errno::IO)),
            Ok(count) => self.written += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Trouble::Output(errno)),
        }
        Ok(())
    }
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Copying a file to its own end would never end.
fn is_same_file(input: &Stat, output: &Stat) -> bool {
    is_regular(output) && (input.st_dev, input.st_ino) == (output.st_dev, output.st_ino)
}
