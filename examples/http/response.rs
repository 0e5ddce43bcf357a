//! What is answered: [`answer`] with a file, or [`refuse`].

use core::ops::Range;
use std::io::{Cursor, Write as _};

use crate::files::Open;
use crate::request::Request;

/// The number and the text of a status line.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Status(u16, &'static str);

impl Status {
    const OK: Self = Self(200, "OK");
    const PARTIAL: Self = Self(206, "Partial Content");
    const NOT_MODIFIED: Self = Self(304, "Not Modified");
    pub(crate) const BAD_REQUEST: Self = Self(400, "Bad Request");
    pub(crate) const FORBIDDEN: Self = Self(403, "Forbidden");
    pub(crate) const NOT_FOUND: Self = Self(404, "Not Found");
    pub(crate) const NOT_ALLOWED: Self = Self(405, "Method Not Allowed");
    const UNSATISFIABLE: Self = Self(416, "Range Not Satisfiable");
    pub(crate) const HEAD_TOO_LARGE: Self = Self(431, "Request Header Fields Too Large");
    pub(crate) const FAILED: Self = Self(500, "Internal Server Error");
    pub(crate) const BUSY: Self = Self(503, "Service Unavailable");
}

/// An answer: the first bytes of the buffer, and then bytes of the file.
pub(crate) struct Answer {
    pub(crate) head: usize,
    pub(crate) body: Range<u64>,
}

/// Writes the head of the answer to `request`, which asks for `file`, at the start of `out`.
pub(crate) fn answer(out: &mut [u8], request: &Request<'_>, file: &Open, date: &str) -> Answer {
    let (status, body) = if is_known(request, file) {
        (Status::NOT_MODIFIED, 0..0)
    } else {
        match range_of(request, file) {
            Wanted::All => (Status::OK, 0..file.size),
            Wanted::Part(range) => (Status::PARTIAL, range),
            Wanted::Nothing => (Status::UNSATISFIABLE, 0..0),
        }
    };
    let mut out = Cursor::new(out);
    // Nothing fails: a block is longer than any head.
    let _ = begin(&mut out, status, date, request.closes);
    let _ = out.write_all(file.fields.as_bytes());
    let _ = match status {
        Status::NOT_MODIFIED => Ok(()),
        Status::UNSATISFIABLE => write!(out, "Content-Range: bytes */{}\r\n", file.size),
        Status::PARTIAL => {
            let (start, last) = (body.start, body.end - 1);
            write!(out, "Content-Range: bytes {start}-{last}/{}\r\n", file.size)
        }
        _ => Ok(()),
    };
    if status != Status::NOT_MODIFIED {
        let _ = write!(out, "Content-Length: {}\r\n", body.end - body.start);
    }
    let _ = out.write_all(b"\r\n");
    let body = if request.is_head { 0..0 } else { body };
    Answer { head: len(&out), body }
}

/// Writes an answer without a file at the start of `out`, and returns its length.
pub(crate) fn refuse(
    out: &mut [u8],
    status: Status,
    date: &str,
    is_head: bool,
    closes: bool,
) -> usize {
    let Status(number, text) = status;
    let mut out = Cursor::new(out);
    // Nothing fails: a block is longer than that.
    let _ = begin(&mut out, status, date, closes);
    if status == Status::NOT_ALLOWED {
        let _ = out.write_all(b"Allow: GET, HEAD\r\n");
    }
    // The number, a space, the text, and the end of the line.
    let len_of_body = text.len() + 5;
    let _ = write!(out, "Content-Type: text/plain\r\nContent-Length: {len_of_body}\r\n\r\n");
    if !is_head {
        let _ = writeln!(out, "{number} {text}");
    }
    len(&out)
}

/// Writes what every answer begins with.
fn begin(
    out: &mut Cursor<&mut [u8]>,
    status: Status,
    date: &str,
    closes: bool,
) -> std::io::Result<()> {
    let Status(number, text) = status;
    // The usual line without formatting.
    match status {
        Status::OK => out.write_all(b"HTTP/1.1 200 OK\r\n")?,
        _ => write!(out, "HTTP/1.1 {number} {text}\r\n")?,
    }
    out.write_all(b"Date: ")?;
    out.write_all(date.as_bytes())?;
    out.write_all(if closes { b"\r\nConnection: close\r\n" } else { b"\r\n" })
}

/// How much has been written.
fn len(out: &Cursor<&mut [u8]>) -> usize {
    usize::try_from(out.position()).unwrap_or_default()
}

/// Whether the client has this version of the file.
fn is_known(request: &Request<'_>, file: &Open) -> bool {
    match (request.if_none_match, request.if_modified_since) {
        (Some(tags), _) => tags.split(|byte| *byte == b',').any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == file.tag.as_bytes()
        }),
        (None, Some(since)) => {
            let since = core::str::from_utf8(since).ok();
            let since = since.and_then(|since| httpdate::parse_http_date(since).ok());
            since.is_some_and(|since| file.modified <= since)
        }
        (None, None) => false,
    }
}

/// Which bytes of the file are asked for.
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

fn range_of(request: &Request<'_>, file: &Open) -> Wanted {
    let Some(range) = request.range.filter(|_| !request.is_head) else { return Wanted::All };
    let is_same = |tag: &[u8]| tag == file.tag.as_bytes() || tag == file.date.as_bytes();
    if !request.if_range.is_none_or(is_same) {
        return Wanted::All;
    }
    // Several ranges, and what is none, may be ignored.
    let Some((first, last)) = core::str::from_utf8(range).ok().and_then(parts_of) else {
        return Wanted::All;
    };
    let range = match (first, last) {
        (Some(first), None) => first..file.size,
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(file.size),
        (None, Some(count)) => file.size.saturating_sub(count)..file.size,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

/// The numbers of a single range.
fn parts_of(range: &str) -> Option<(Option<u64>, Option<u64>)> {
    fn number(digits: &str) -> Option<Option<u64>> {
        if digits.is_empty() {
            return Some(None);
        }
        // Without a sign, which `parse` would take.
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        // More than fits is behind the end of every file.
        are_digits.then(|| Some(digits.parse().unwrap_or(u64::MAX)))
    }
    let (unit, numbers) = range.trim().split_once('=')?;
    let (first, last) = numbers.split_once('-')?;
    unit.eq_ignore_ascii_case("bytes").then_some((number(first.trim())?, number(last.trim())?))
}
