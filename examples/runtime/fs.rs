//! Files: [`File`].

use std::ffi::CString;
use std::io;
use std::rc::Rc;

use super::executor::Handle;
use super::op::{Held, Op};

/// A file that is read from.
pub(crate) struct File {
    file: Rc<std::fs::File>,
    read: Op,
}

impl File {
    pub(crate) async fn open(handle: &Handle, path: &str) -> io::Result<Self> {
        let completion = Op::new(handle).run(Held::Open(CString::new(path)?)).await?;
        completion.result?;
        let descriptor = completion.descriptor.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { file: Rc::new(descriptor.into()), read: Op::new(handle) })
    }

    /// Reads from `offset` into `bytes`. Returns them with the number of bytes read. If the future
    /// is dropped, so are the bytes, when the kernel has done with them.
    pub(crate) async fn read_at(
        &mut self,
        bytes: Vec<u8>,
        offset: u64,
    ) -> io::Result<(Vec<u8>, usize)> {
        let completion = self.read.run(Held::Read(Rc::clone(&self.file), bytes, offset)).await?;
        let len = completion.result? as usize;
        match completion.held {
            Some(Held::Read(_, bytes, _)) => Ok((bytes, len)),
            _ => unreachable!("what was held comes back"),
        }
    }
}
