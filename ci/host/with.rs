//! Runs a command on a host that says no:
//!
//! ```text
//! with [refuse=ERRNO|kill] [uid=N] [memlock=BYTES] [nofile=N] COMMAND [ARGUMENTS]
//! ```
//!
//! `refuse` is a filter that answers the three system calls of io_uring with a number, or kills who
//! makes them. The others are the user and the limits that the command runs with.

use std::os::unix::process::CommandExt;
use std::process::Command;

unsafe extern "C" {
    fn prctl(option: i32, ...) -> i32;
    fn setgroups(count: usize, groups: *const u32) -> i32;
    fn setresgid(real: u32, effective: u32, saved: u32) -> i32;
    fn setresuid(real: u32, effective: u32, saved: u32) -> i32;
    fn setrlimit(resource: i32, limit: *const [u64; 2]) -> i32;
}

/// `struct sock_filter`: an instruction.
#[repr(C)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

/// `struct sock_fprog`: a filter.
#[repr(C)]
struct Filter {
    len: u16,
    instructions: *const Instruction,
}

/// Answers `answer`, an action of seccomp, to the system calls 425 to 427, which are those of
/// io_uring on every architecture that has Rust's std but mips.
fn refuse(answer: u32) -> i32 {
    let step = |code, if_true, if_false, operand| Instruction { code, if_true, if_false, operand };
    let instructions = [
        // Load the number; from 425 on; to 427; answer; allow.
        step(0x20, 0, 0, 0),
        step(0x35, 0, 2, 425),
        step(0x25, 1, 0, 427),
        step(0x06, 0, 0, answer),
        step(0x06, 0, 0, 0x7fff_0000),
    ];
    let filter = Filter { len: 5, instructions: instructions.as_ptr() };
    // SAFETY: `PR_SET_NO_NEW_PRIVS` and `PR_SET_SECCOMP` with a filter, which is copied.
    unsafe { prctl(38, 1_u64, 0_u64, 0_u64, 0_u64) | prctl(22, 2_u64, &raw const filter) }
}

/// Sets one of the conditions, and returns 0 or -1.
fn set(key: &str, value: &str) -> i32 {
    if (key, value) == ("refuse", "kill") {
        return refuse(0x8000_0000);
    }
    let value: u64 = value.parse().unwrap_or_else(|_| panic!("{key}={value} is not a number"));
    let id = value as u32;
    match key {
        "refuse" => refuse(0x0005_0000 | id),
        // SAFETY: two numbers that the call reads.
        "memlock" => unsafe { setrlimit(8, &[value, value]) },
        // SAFETY: as above.
        "nofile" => unsafe { setrlimit(7, &[value, value]) },
        // SAFETY: no group, and numbers.
        "uid" => unsafe {
            setgroups(0, std::ptr::null()) | setresgid(id, id, id) | setresuid(id, id, id)
        },
        _ => panic!("{key}?"),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    while let Some((key, value)) = arguments.peek().and_then(|argument| argument.split_once('=')) {
        assert_eq!(set(key, value), 0, "{key}={value}: {}", std::io::Error::last_os_error());
        arguments.next();
    }
    let command = arguments.next().expect("a command");
    panic!("{}", Command::new(command).args(arguments).exec());
}
