//! The program of the README: one read.

#![allow(
    clippy::std_instead_of_core,
    clippy::indexing_slicing,
    reason = "what a reader of the README would write first"
)]

use ringbolt::ops::Read;
use ringbolt::{Advice, IoUring};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("Cargo.toml".into());
    let file = std::fs::File::open(path)?;
    let mut ring = IoUring::local(8)?;
    let mut buf = vec![0; 4096];

    let read = Read::new(&file, buf.as_mut_ptr(), 4096).offset(0).sqe(42);
    // SAFETY: `file` and `buf` stay, and `buf` is not touched, until the completion is popped.
    // The one way out before that leaks them.
    unsafe { ring.submission().push(read) }?;
    while let Err(error) = ring.wait_for(1) {
        // A signal, for example, ends a wait, and not the read.
        if error.advice() != Advice::Retry {
            std::mem::forget((file, buf));
            return Err(error.into());
        }
    }

    let cqe = ring.completion().pop().ok_or("no completion")?;
    let len = cqe.result()? as usize;
    assert_eq!(cqe.user_data(), 42);
    println!("{}", String::from_utf8_lossy(&buf[..len]));
    Ok(())
}
