//! What the running kernel's io_uring can do, as a table.
//!
//! Shows how to ask what the kernel can do ([`Capabilities`]), instead of comparing versions:
//! distributions carry features to older kernels, and administrators turn them off; and how to
//! say why there can be no ring at all.

use core::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::process::ExitCode;

use ringbolt::sys::{
    EnterFlags, Features, KernelVersion, Opcode, RegisterOp, SetupFlags, SqeFlags,
};
use ringbolt::{BuildError, Capabilities, Variant};

const HELP: &str = "\
Usage: probe
Prints what this kernel's io_uring has: features, flags, operations and their variants, and
ways to register, with the version of Linux that they came with.

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
    let kernel = Capabilities::of_kernel()?;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_table(&mut text, &kernel);
    Ok(text)
}

fn write_table(text: &mut String, kernel: &Capabilities) -> fmt::Result {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    writeln!(text, "io_uring of Linux {}", release.trim())?;

    writeln!(text, "\nSet-up flags              since")?;
    for (name, flag) in SetupFlags::all().iter_names() {
        let since = flag.newest().map(|(_, since)| since);
        line(text, name, since, kernel.setup_flags().contains(flag))?;
    }
    writeln!(text, "\nFeatures")?;
    for (name, feature) in Features::all().iter_names() {
        writeln!(text, "  {name:<30} {}", yes(kernel.features().contains(feature)))?;
    }
    writeln!(text, "\nFlags of entries")?;
    for (name, flag) in SqeFlags::all().iter_names() {
        writeln!(text, "  {name:<30} {}", yes(kernel.sqe_flags().contains(flag)))?;
    }
    writeln!(text, "\nFlags of io_uring_enter")?;
    for (name, flag) in EnterFlags::all().iter_names() {
        writeln!(text, "  {name:<30} {}", yes(kernel.enter_flags().contains(flag)))?;
    }
    writeln!(text, "\nOperations                since")?;
    for number in 0..=u8::MAX {
        let opcode = Opcode::from_raw(number);
        let is_there = kernel.has_op(opcode);
        if let Some(name) = opcode.name() {
            line(text, &format!("{number:>3} {name}"), opcode.since(), is_there)?;
        } else if is_there {
            line(text, &format!("{number:>3} (has no name here)"), None, is_there)?;
        }
    }
    writeln!(text, "\nVariants of operations    since")?;
    for variant in Variant::ALL {
        line(text, &format!("{variant:?}"), Some(variant.since()), kernel.has(variant))?;
    }
    writeln!(text, "\nWays to register          since")?;
    for (name, op) in RegisterOp::ALL {
        let name = name.strip_prefix("REGISTER_").unwrap_or(name);
        line(text, name, op.since(), kernel.has_register_op(*op))?;
    }
    Ok(())
}

fn line(
    text: &mut String,
    name: &str,
    since: Option<KernelVersion>,
    is_there: bool,
) -> fmt::Result {
    let since = since.map_or("?".into(), |since| since.to_string());
    writeln!(text, "  {name:<24} {since:>5} {}", yes(is_there))
}

fn yes(is_there: bool) -> &'static str {
    if is_there { "yes" } else { "no" }
}
