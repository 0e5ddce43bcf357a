//! What a client asks for: [`Request::parse`].

use core::mem::MaybeUninit;

use crate::response::Status;

/// The most header fields of a request.
const FIELDS: usize = 64;

/// The head of a request. What it names lies where the head was received.
pub(crate) struct Request<'h> {
    pub(crate) is_head: bool,
    /// The connection is closed after the answer.
    pub(crate) closes: bool,
    /// How many bytes the head has.
    pub(crate) len: usize,
    pub(crate) range: Option<&'h [u8]>,
    pub(crate) if_range: Option<&'h [u8]>,
    pub(crate) if_none_match: Option<&'h [u8]>,
    pub(crate) if_modified_since: Option<&'h [u8]>,
}

impl<'h> Request<'h> {
    /// The request that `bytes` begin with, whose path is stored in `path`; `None` if the rest of
    /// it has not been received.
    ///
    /// # Errors
    ///
    /// After an error nobody knows where the next request would begin: the connection ends.
    pub(crate) fn parse(bytes: &'h [u8], path: &mut Vec<u8>) -> Result<Option<Self>, Status> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut head = httparse::Request::new(&mut []);
        let len = match head.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Status::HEAD_TOO_LARGE),
            Err(_) => return Err(Status::BAD_REQUEST),
        };
        let is_old = head.version == Some(0);
        let mut request = Self {
            is_head: false,
            closes: is_old,
            len,
            range: None,
            if_range: None,
            if_none_match: None,
            if_modified_since: None,
        };
        let mut hosts = 0;
        for field in &*head.headers {
            hosts += u32::from(field.name.eq_ignore_ascii_case("host"));
            request.note(field)?;
        }
        if hosts > 1 || hosts == 0 && !is_old {
            return Err(Status::BAD_REQUEST);
        }
        match head.method {
            Some("GET") => {}
            Some("HEAD") => request.is_head = true,
            _ => return Err(Status::NOT_ALLOWED),
        }
        path_of(head.path.unwrap_or_default(), path).ok_or(Status::BAD_REQUEST)?;
        Ok(Some(request))
    }

    /// Notes a header field, if it is one that matters here.
    fn note(&mut self, field: &httparse::Header<'h>) -> Result<(), Status> {
        // The length tells most fields apart.
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            5 if is("range") => self.range = Some(field.value),
            8 if is("if-range") => self.if_range = Some(field.value),
            10 if is("connection") => {
                let mut options = field.value.split(|byte| *byte == b',');
                let closes = |option: &[u8]| option.trim_ascii().eq_ignore_ascii_case(b"close");
                self.closes |= options.any(closes);
            }
            13 if is("if-none-match") => self.if_none_match = Some(field.value),
            // A request with a body would need to have it read, or the body would be taken for
            // the next request.
            14 if is("content-length") && field.value != b"0" => return Err(Status::BAD_REQUEST),
            17 if is("transfer-encoding") => return Err(Status::BAD_REQUEST),
            17 if is("if-modified-since") => self.if_modified_since = Some(field.value),
            _ => {}
        }
        Ok(())
    }
}

/// Stores the path of the file that `target` names, relative to the root directory: decoded, and
/// without the query. `None` if it is none. Where it leads is for the kernel to judge.
fn path_of(target: &str, path: &mut Vec<u8>) -> Option<()> {
    let is_absolute = target.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let target = if is_absolute {
        let after = target.get(7..)?;
        after.find(['/', '?']).and_then(|start| after.get(start..)).unwrap_or_default()
    } else {
        target
    };
    let encoded = target.split('?').next()?;
    if !encoded.starts_with('/') && !is_absolute {
        return None;
    }
    path.clear();
    let mut rest = encoded.trim_start_matches('/').bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => 16 * hex(rest.next()?)? + hex(rest.next()?)?,
            byte => byte,
        };
        // No path has a NUL. A slash may be encoded: it cannot lead out of the root, either.
        if byte == 0 {
            return None;
        }
        path.push(byte);
    }
    if path.last().is_none_or(|last| *last == b'/') {
        path.extend_from_slice(b"index.html");
    }
    Some(())
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}
