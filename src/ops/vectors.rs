//! Several pieces of memory for one operation: [`Vectors`], and what it lends.
#![forbid(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;

use super::{Bytes, FixedBytes, FixedSpan, IoVec, Span};

/// The table of up to `N` pieces of memory that one operation reads into or writes from. It lives
/// in the value of a job, next to the pieces.
///
/// ```
/// use ringbolt::jobs::SafeRing;
/// use ringbolt::ops::{Readv, Span, Vectors};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// struct Record {
///     file: std::fs::File,
///     head: [u8; 9],
///     body: Vec<u8>,
///     table: Vectors<2>,
/// }
/// let file = std::fs::File::open("Cargo.toml")?;
/// let record = Record { file, head: [0; 9], body: vec![0; 11], table: Vectors::new() };
/// let mut jobs = SafeRing::new(8)?.into_jobs(1);
/// jobs.start(record, |record| {
///     let parts = [Span::from(&mut record.head), Span::from(&mut record.body)];
///     Readv::lent(&record.file, record.table.spans(parts)).offset(0).op()
/// })?;
/// let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
/// assert_eq!(done.result(), Ok(20));
/// assert_eq!([&done.head[..], &done.body[..]].concat(), std::fs::read("Cargo.toml")?[..20]);
/// # Ok(())
/// # }
/// ```
///
/// It has room for `N` pieces. What is more is left out, as by a short transfer.
#[derive(Clone)]
pub struct Vectors<const N: usize>([IoVec; N]);

/// Several pieces of memory that an operation fills one after the other, borrowed. From
/// [`Vectors::spans`].
///
/// Like a [`Span`] it is `Copy`, so that the operations of one chain can share it.
#[derive(Clone, Copy, Debug)]
pub struct Spans<'a> {
    table: Table,
    borrows: PhantomData<&'a mut [u8]>,
}

/// Several pieces of memory that an operation reads one after the other, borrowed. From
/// [`Vectors::pieces`], or from [`Spans`].
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    table: Table,
    borrows: PhantomData<&'a [u8]>,
}

/// [`Spans`] that all lie in one registered buffer. From [`Vectors::fixed_spans`].
#[derive(Clone, Copy, Debug)]
pub struct FixedSpans<'a> {
    spans: Spans<'a>,
    index: u16,
}

/// [`Pieces`] that all lie in one registered buffer. From [`Vectors::fixed_pieces`], or from
/// [`FixedSpans`].
#[derive(Clone, Copy, Debug)]
pub struct FixedPieces<'a> {
    pieces: Pieces<'a>,
    index: u16,
}

/// Where the vectors are, and how many.
#[derive(Clone, Copy, Debug)]
struct Table {
    start: *const IoVec,
    count: u32,
}

impl<const N: usize> Vectors<N> {
    /// An empty table.
    pub const fn new() -> Self {
        Self([IoVec::EMPTY; N])
    }

    /// Lends `spans`, for an operation that writes to them: anything that gives a [`Span`], such as
    /// `&mut` of arrays or of vectors.
    pub fn spans<'a, S: Into<Span<'a>>>(
        &'a mut self,
        spans: impl IntoIterator<Item = S>,
    ) -> Spans<'a> {
        let spans = spans.into_iter().map(Into::into);
        let table = self.fill(spans.map(|span| IoVec::new(span.as_mut_ptr(), span.len())));
        Spans { table, borrows: PhantomData }
    }

    /// Lends `pieces`, for an operation that reads them: anything that gives [`Bytes`], such as `&`
    /// of arrays or of vectors.
    pub fn pieces<'a, B: Into<Bytes<'a>>>(
        &'a mut self,
        pieces: impl IntoIterator<Item = B>,
    ) -> Pieces<'a> {
        let pieces = pieces.into_iter().map(Into::into);
        let table =
            self.fill(pieces.map(|bytes| IoVec::new(bytes.as_ptr().cast_mut(), bytes.len())));
        Pieces { table, borrows: PhantomData }
    }

    /// Lends parts of one registered buffer, for an operation that writes to them.
    ///
    /// The first one says which buffer it is. If others lie in another buffer, the operation fails
    /// with `EFAULT`.
    pub fn fixed_spans<'a, S: Into<FixedSpan<'a>>>(
        &'a mut self,
        spans: impl IntoIterator<Item = S>,
    ) -> FixedSpans<'a> {
        let mut first = None;
        let spans = self.spans(spans.into_iter().map(|fixed| {
            let fixed = fixed.into();
            first.get_or_insert(fixed.index());
            fixed.span()
        }));
        FixedSpans { spans, index: first.unwrap_or(0) }
    }

    /// Lends parts of one registered buffer, for an operation that reads them. Otherwise as
    /// [`fixed_spans`](Self::fixed_spans).
    pub fn fixed_pieces<'a, B: Into<FixedBytes<'a>>>(
        &'a mut self,
        pieces: impl IntoIterator<Item = B>,
    ) -> FixedPieces<'a> {
        let mut first = None;
        let pieces = self.pieces(pieces.into_iter().map(|fixed| {
            let fixed = fixed.into();
            first.get_or_insert(fixed.index());
            fixed.bytes()
        }));
        FixedPieces { pieces, index: first.unwrap_or(0) }
    }

    /// Notes the vectors, as far as there is room.
    fn fill(&mut self, vectors: impl Iterator<Item = IoVec>) -> Table {
        let mut count = 0;
        for (place, vector) in self.0.iter_mut().zip(vectors) {
            *place = vector;
            count += 1;
        }
        Table { start: self.0.as_ptr(), count }
    }
}

impl<const N: usize> Default for Vectors<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Vectors<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in it may be gone.
        f.debug_struct("Vectors").field("capacity", &N).finish_non_exhaustive()
    }
}

impl Spans<'_> {
    /// Where the vectors are.
    #[inline(always)]
    pub(super) const fn start(self) -> *const IoVec {
        self.table.start
    }

    /// How many there are.
    #[inline(always)]
    pub(super) const fn count(self) -> u32 {
        self.table.count
    }
}

impl Pieces<'_> {
    /// Where the vectors are.
    #[inline(always)]
    pub(super) const fn start(self) -> *const IoVec {
        self.table.start
    }

    /// How many there are.
    #[inline(always)]
    pub(super) const fn count(self) -> u32 {
        self.table.count
    }
}

impl<'a> FixedSpans<'a> {
    /// The memory.
    #[inline(always)]
    pub(super) const fn spans(self) -> Spans<'a> {
        self.spans
    }

    /// The registered buffer.
    #[inline(always)]
    pub(super) const fn index(self) -> u16 {
        self.index
    }
}

impl<'a> FixedPieces<'a> {
    /// The memory.
    #[inline(always)]
    pub(super) const fn pieces(self) -> Pieces<'a> {
        self.pieces
    }

    /// The registered buffer.
    #[inline(always)]
    pub(super) const fn index(self) -> u16 {
        self.index
    }
}

impl<'a> From<Spans<'a>> for Pieces<'a> {
    #[inline(always)]
    fn from(spans: Spans<'a>) -> Self {
        Self { table: spans.table, borrows: PhantomData }
    }
}

impl<'a> From<FixedSpans<'a>> for FixedPieces<'a> {
    #[inline(always)]
    fn from(fixed: FixedSpans<'a>) -> Self {
        Self { pieces: fixed.spans.into(), index: fixed.index }
    }
}
