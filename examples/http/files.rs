//! Files that are open: [`Files`].

use core::time::Duration;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::rc::Rc;
use std::time::SystemTime;

use ringbolt::rustix::fs::{OFlags, ResolveFlags, fcntl_setfl};
use ringbolt::sys::open_how;

/// How files are opened: for reading, without waiting for a pipe's writer, and nothing outside of
/// the root directory, whatever `..` and symbolic links say.
pub(crate) static HOW: open_how = open_how {
    flags: OFlags::RDONLY
        .union(OFlags::CLOEXEC)
        .union(OFlags::NOCTTY)
        .union(OFlags::NONBLOCK)
        .union(OFlags::LARGEFILE)
        .bits() as u64,
    mode: 0,
    resolve: ResolveFlags::BENEATH.bits(),
};

/// An open file, and what answers say of it.
pub(crate) struct Open {
    pub(crate) file: File,
    pub(crate) size: u64,
    /// When it was changed, in whole seconds; and the same as text.
    pub(crate) modified: SystemTime,
    pub(crate) date: String,
    /// Its `ETag`.
    pub(crate) tag: String,
    /// The header fields that do not depend on the request.
    pub(crate) fields: String,
    /// The tick at which it was opened.
    opened: u32,
}

impl Open {
    /// A regular file. Its kind and its size are asked for here, by a system call: `Statx` would
    /// do it on a worker thread, which takes longer, and the file was just looked up.
    pub(crate) fn new(file: OwnedFd, path: &[u8], now: u32) -> io::Result<Self> {
        let file = File::from(file);
        let stat = file.metadata()?;
        if !stat.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Has no meaning for a regular file, except that reads of some file systems would fail.
        fcntl_setfl(&file, OFlags::empty())?;
        let (size, seconds, nanos) = (stat.len(), stat.mtime(), stat.mtime_nsec());
        let age = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        // Not in the future: it would be no time of a change, and not every one has a name.
        let modified = (SystemTime::UNIX_EPOCH + age).min(SystemTime::now());
        let date = httpdate::fmt_http_date(modified);
        let tag = format!("\"{seconds:x}-{nanos:x}-{size:x}\"");
        let fields = format!(
            "Content-Type: {}\r\nLast-Modified: {date}\r\nETag: {tag}\r\nAccept-Ranges: bytes\r\n",
            type_of(path)
        );
        Ok(Self { file, size, modified, date, tag, fields, opened: now })
    }
}

/// Files that are kept open for a while, so that most requests open none.
pub(crate) struct Files {
    open: HashMap<Vec<u8>, Rc<Open>>,
    most: usize,
}

impl Files {
    /// Keeps at most `most` files open.
    pub(crate) fn new(most: usize) -> Self {
        Self { open: HashMap::with_capacity(most), most }
    }

    /// The file at `path`, if it is open.
    pub(crate) fn get(&self, path: &[u8]) -> Option<Rc<Open>> {
        self.open.get(path).map(Rc::clone)
    }

    /// Keeps a file that was just opened. If too many are, those of earlier requests go.
    pub(crate) fn keep(&mut self, path: &[u8], file: &Rc<Open>) {
        if self.most == 0 {
            return;
        }
        if self.open.len() >= self.most {
            self.close_all();
        }
        self.open.insert(path.to_vec(), Rc::clone(file));
    }

    /// Closes what was opened `ticks` ticks ago or earlier. What lies at its path now may be
    /// another file.
    pub(crate) fn close_old(&mut self, now: u32, ticks: u32) {
        self.open.retain(|_, file| now.wrapping_sub(file.opened) < ticks);
    }

    /// Closes everything that no answer needs.
    pub(crate) fn close_all(&mut self) {
        self.open.clear();
    }
}

/// The type of a file, by the end of its name.
fn type_of(path: &[u8]) -> &'static str {
    let end = path.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    match end {
        b"html" | b"htm" => "text/html; charset=utf-8",
        b"css" => "text/css; charset=utf-8",
        b"js" | b"mjs" => "text/javascript; charset=utf-8",
        b"txt" | b"md" => "text/plain; charset=utf-8",
        b"json" => "application/json",
        b"svg" => "image/svg+xml",
        b"png" => "image/png",
        b"jpg" | b"jpeg" => "image/jpeg",
        b"gif" => "image/gif",
        b"webp" => "image/webp",
        b"ico" => "image/x-icon",
        b"woff2" => "font/woff2",
        b"wasm" => "application/wasm",
        b"pdf" => "application/pdf",
        b"mp4" => "video/mp4",
        b"xml" => "application/xml",
        _ => "application/octet-stream",
    }
}
