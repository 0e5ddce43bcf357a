//! What the running kernel's io_uring can do, as a table.
//!
//! Shows how to
//!
//! - ask for features and operations, instead of comparing versions: distributions carry
//!   features to older kernels, and administrators turn them off;
//! - find out about set-up flags, which cannot be asked for: by trying each with a tiny ring,
//!   together with the flags that it needs;
//! - say why there can be no ring at all.

use core::fmt::{self, Write as _};
use core::ptr::NonNull;
use std::io::{self, Write as _};
use std::process::ExitCode;

use ringbolt::rustix::fd::{FromRawFd as _, OwnedFd};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use ringbolt::sys::{self, Features, KernelVersion, Opcode, SetupFlags, io_uring_params};
use ringbolt::{BuildError, Builder, IoUring, MemoryNeeded, RingMemory};

const HELP: &str = "\
Usage: probe
Prints what this kernel's io_uring has: set-up flags, features and operations, each with the
version of Linux that it came with.

  -h, --help  shows this text
";

fn main() -> ExitCode {
    let text = match parse(lexopt::Parser::from_env()) {
        Ok(Wish::Help) => HELP.into(),
        Ok(Wish::Table) => match table() {
            Ok(text) => text,
            Err(error) => {
                report(error);
                return ExitCode::FAILURE;
            }
        },
        Err(error) => {
            report(format_args!("{error} (try 'probe --help')"));
            return ExitCode::from(2);
        }
    };
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever read the table has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            report(format_args!("standard output: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

enum Wish {
    Help,
    Table,
}

fn parse(mut parser: lexopt::Parser) -> Result<Wish, lexopt::Error> {
    use lexopt::prelude::*;

    match parser.next()? {
        None => Ok(Wish::Table),
        Some(Short('h') | Long("help")) => Ok(Wish::Help),
        Some(arg) => Err(arg.unexpected()),
    }
}

/// One line on standard error. If even that fails, there is nobody to tell.
fn report(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "probe: {line}");
}

fn table() -> Result<String, BuildError> {
    let ring = IoUring::new(1)?;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_table(&mut text, &ring);
    Ok(text)
}

fn write_table(text: &mut String, ring: &IoUring) -> fmt::Result {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    writeln!(text, "io_uring of Linux {}", release.trim())?;

    writeln!(text, "\nSet-up flags           since")?;
    for (name, flag) in SetupFlags::all().iter_names() {
        let since = flag.newest().map(|(_, since)| since);
        let answer = match try_flag(flag, ring) {
            Ok(()) => "yes".into(),
            Err(BuildError::Invalid { .. }) => "no".into(),
            // It is there, and not for us; or something else went wrong.
            Err(error) => format!("no: {error}"),
        };
        write!(text, "  {name:<20} {:>5}  {answer}", version(since))?;
        let needed = needs(flag).iter_names().map(|(name, _)| name).collect::<Vec<_>>();
        if needed.is_empty() {
            writeln!(text)?;
        } else {
            writeln!(text, ", tried with {}", needed.join(" and "))?;
        }
    }

    writeln!(text, "\nFeatures")?;
    for (name, feature) in Features::all().iter_names() {
        writeln!(text, "  {name:<20}        {}", yes(ring.features().contains(feature)))?;
    }
    let unknown = ring.features().bits() & !known_features().bits();
    if unknown != 0 {
        writeln!(text, "  {unknown:#x}, of which this program does not know the names")?;
    }

    let probe = match ring.registrar().probe() {
        Ok(probe) => probe,
        Err(errno) => return writeln!(text, "\nOperations cannot be asked for: {errno}"),
    };
    let named = Opcode::ALL.iter().map(|(_, opcode)| *opcode);
    let unnamed = probe.supported().filter(|opcode| opcode.name().is_none());
    writeln!(text, "\nOperations             since")?;
    for opcode in named.chain(unnamed) {
        let (number, name) = (opcode.as_raw(), opcode.name().unwrap_or("(has no name here)"));
        let since = version(opcode.since());
        writeln!(text, "  {number:>3} {name:<16} {since:>5}  {}", yes(probe.supports(opcode)))?;
    }
    Ok(())
}

fn yes(is_there: bool) -> &'static str {
    if is_there { "yes" } else { "no" }
}

fn version(since: Option<KernelVersion>) -> String {
    since.map_or("?".into(), |since| since.to_string())
}

/// The features that have a name.
fn known_features() -> Features {
    Features::all().iter_names().map(|(_, feature)| feature).collect()
}

/// The flags without which the kernel refuses `flag`, whether it knows it or not.
fn needs(flag: SetupFlags) -> SetupFlags {
    match flag {
        SetupFlags::SQ_AFF => SetupFlags::SQPOLL,
        SetupFlags::TASKRUN_FLAG => SetupFlags::COOP_TASKRUN,
        SetupFlags::DEFER_TASKRUN => SetupFlags::SINGLE_ISSUER,
        SetupFlags::REGISTERED_FD_ONLY => SetupFlags::NO_MMAP,
        SetupFlags::HYBRID_IOPOLL => SetupFlags::IOPOLL,
        SetupFlags::SQ_REWIND => SetupFlags::NO_SQARRAY,
        _ => SetupFlags::empty(),
    }
}

/// Makes a ring with `flag`, and closes it. Flags that say more than a bit have methods.
fn try_flag(flag: SetupFlags, other: &IoUring) -> Result<(), BuildError> {
    let builder = IoUring::builder();
    match flag {
        SetupFlags::SQE128 => builder.sqe128().build(1).map(drop),
        SetupFlags::CQE32 => builder.cqe32().build(1).map(drop),
        SetupFlags::CQSIZE => builder.cq_entries(4).build(1).map(drop),
        SetupFlags::ATTACH_WQ => builder.attach_wq(other).build(1).map(drop),
        SetupFlags::R_DISABLED => builder.build_disabled(1).map(drop),
        SetupFlags::NO_MMAP => in_own_memory(builder, |builder| builder.build(1).map(drop)),
        SetupFlags::REGISTERED_FD_ONLY => {
            in_own_memory(builder, |builder| builder.build_without_fd(1).map(drop))
        }
        SetupFlags::CQE_MIXED | SetupFlags::SQE_MIXED => set_up(flag),
        flag => builder.flags(flag | needs(flag)).build_local(1).map(drop),
    }
}

/// Calls `build`, which makes rings and closes them, with memory to put them into.
fn in_own_memory(
    builder: Builder,
    build: impl FnOnce(&Builder) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let MemoryNeeded { rings, sqes } = builder.memory_needed(1)?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, wherever there is room: no memory in use is touched.
    let mapping =
        unsafe { mmap_anonymous(core::ptr::null_mut(), rings + sqes, access, MapFlags::PRIVATE) };
    let start = mapping.map_err(BuildError::Map)?.cast::<u8>();
    let memory = NonNull::new(start).map(|start| RingMemory {
        rings: NonNull::slice_from_raw_parts(start, rings),
        // SAFETY: `rings` bytes further is still in the mapping.
        sqes: NonNull::slice_from_raw_parts(unsafe { start.add(rings) }, sqes),
    });
    let memory = memory.ok_or(BuildError::Map(Errno::NOMEM))?;
    // SAFETY: mapped just now, and used by nobody else; unmapped, below, when the ring has been
    // closed. The kernel pins the pages, and may let go of them later than that.
    let builder = unsafe { builder.memory(memory) };
    let result = build(&builder);
    // SAFETY: the mapping made above. The ring that was in it is closed.
    let _ = unsafe { munmap(start.cast(), rings + sqes) };
    result
}

/// Makes a ring that this crate has no type for, without mapping it, and closes it.
fn set_up(flags: SetupFlags) -> Result<(), BuildError> {
    let mut params = io_uring_params { flags, ..io_uring_params::ZEROED };
    // SAFETY: `params` is valid for reads and writes, and names no memory.
    let fd = unsafe { sys::io_uring_setup(1, &mut params) };
    let fd = fd.map_err(|errno| match Errno::from_raw_os_error(errno) {
        Errno::INVAL => BuildError::Invalid { flags },
        errno => BuildError::Setup(errno),
    })?;
    // SAFETY: set-up just made the descriptor, and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}
