//! Converts the offsets that set-up returned to checked byte ranges. It makes no system calls and
//! uses no memory of a ring.
//!
//! Everything that is later indexed without a check is checked here: sizes are powers of two, words
//! are aligned and inside their region, arrays fit. Invalid values are refused, so that no offset
//! from the kernel can lead outside the mapping.
#![forbid(unsafe_code)]

use core::fmt;
use core::ops::Range;

use crate::sys::{Features, SetupFlags, io_uring_params};

/// The position of each part of a ring, in bytes from the start of its region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Length of the region that holds the SQ's words and index array.
    pub(crate) sq_region: usize,
    /// Length of the region that holds the CQ's words and entries, or `None` if they are in the
    /// SQ's region.
    pub(crate) cq_region: Option<usize>,
    /// Length of the region that holds the submission entries.
    pub(crate) sqe_region: usize,
    pub(crate) sq: SqOffsets,
    pub(crate) cq: CqOffsets,
}

/// Offsets in the SQ's region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqOffsets {
    pub(crate) entries: u32,
    pub(crate) head: usize,
    pub(crate) tail: usize,
    pub(crate) flags: usize,
    pub(crate) dropped: usize,
    /// The index array, unless the ring was set up without one.
    pub(crate) array: Option<usize>,
}

/// Offsets in the CQ's region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CqOffsets {
    pub(crate) entries: u32,
    pub(crate) head: usize,
    pub(crate) tail: usize,
    pub(crate) overflow: usize,
    /// Absent before Linux 5.8, where its offset is 0.
    pub(crate) flags: Option<usize>,
    pub(crate) cqes: usize,
}

/// Set-up returned invalid offsets or sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// A number of entries that is not a power of two.
    Entries {
        /// The field of `struct io_uring_params`.
        field: &'static str,
        /// Its value.
        entries: u32,
    },
    /// An offset that is not aligned for the data at it.
    Misaligned {
        /// The field of `struct io_uring_params`.
        field: &'static str,
        /// Its value, in bytes.
        offset: u32,
    },
    /// A part that ends outside its region.
    OutOfRegion {
        /// The field of `struct io_uring_params`.
        field: &'static str,
        /// Its value, in bytes.
        offset: u32,
        /// The region's length in bytes.
        len: usize,
    },
    /// A region would be longer than the address space.
    TooLong,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries { field, entries } => {
                write!(f, "the kernel returned {field} = {entries}, not a power of two")
            }
            Self::Misaligned { field, offset } => {
                write!(f, "the kernel returned {field} = {offset}, which is not aligned")
            }
            Self::OutOfRegion { field, offset, len } => {
                write!(f, "the kernel returned {field} = {offset}, outside a region of {len} bytes")
            }
            Self::TooLong => f.write_str("the kernel returned sizes beyond the address space"),
        }
    }
}

impl core::error::Error for LayoutError {}

/// Bytes of a shared word.
const WORD: usize = size_of::<u32>();

/// The alignment of completions in bytes. On i686 the alignment of a `u64` is less, but the
/// kernel's is not.
const CQE_ALIGN: usize = 8;

impl Layout {
    /// Checks the values that set-up returned, for entries of `sqe_size` and `cqe_size` bytes.
    pub(crate) fn new(
        params: &io_uring_params,
        sqe_size: usize,
        cqe_size: usize,
    ) -> Result<Self, LayoutError> {
        let (sq_off, cq_off) = (&params.sq_off, &params.cq_off);
        let sq_entries = power_of_two("sq_entries", params.sq_entries)?;
        let cq_entries = power_of_two("cq_entries", params.cq_entries)?;
        let has_array = !params.flags.contains(SetupFlags::NO_SQARRAY);

        let cq_len = span(cq_off.cqes, cq_entries, cqe_size)?.end;
        let sq_len = if has_array { span(sq_off.array, sq_entries, WORD)?.end } else { 0 };
        let sqe_region = span(0, sq_entries, sqe_size)?.end;

        let single = params.features.contains(Features::SINGLE_MMAP);
        let (sq_region, cq_region) =
            if single { (sq_len.max(cq_len), None) } else { (sq_len, Some(cq_len)) };
        let in_sq = |field, offset| word(field, offset, sq_region);
        let in_cq = |field, offset| word(field, offset, cq_region.unwrap_or(sq_region));

        Ok(Self {
            sq_region,
            cq_region,
            sqe_region,
            sq: SqOffsets {
                entries: params.sq_entries,
                head: in_sq("sq_off.head", sq_off.head)?,
                tail: in_sq("sq_off.tail", sq_off.tail)?,
                flags: in_sq("sq_off.flags", sq_off.flags)?,
                dropped: in_sq("sq_off.dropped", sq_off.dropped)?,
                array: has_array.then(|| in_sq("sq_off.array", sq_off.array)).transpose()?,
            },
            cq: CqOffsets {
                entries: params.cq_entries,
                head: in_cq("cq_off.head", cq_off.head)?,
                tail: in_cq("cq_off.tail", cq_off.tail)?,
                overflow: in_cq("cq_off.overflow", cq_off.overflow)?,
                flags: (cq_off.flags != 0)
                    .then(|| in_cq("cq_off.flags", cq_off.flags))
                    .transpose()?,
                cqes: aligned("cq_off.cqes", cq_off.cqes, CQE_ALIGN)?,
            },
        })
    }

    /// Length in bytes of one region that would hold the words of both queues.
    pub(crate) fn ring_len(&self) -> usize {
        self.sq_region.max(self.cq_region.unwrap_or(0))
    }
}

/// An upper bound in bytes for the memory of queues of `sq_entries` and `cq_entries`: what a caller
/// must provide before the kernel has returned any offsets.
///
/// The kernel puts the words first. There are eight of them; older versions put the heads and tails
/// on separate cache lines. The longest cache line of any architecture is 256 bytes, so six lines
/// hold them. The completions follow, then the index array, on a new line.
pub(crate) fn ring_bytes(sq_entries: u32, cq_entries: u32, cqe_size: usize) -> Option<usize> {
    const LINE: usize = 256;
    let cqes = usize::try_from(cq_entries).ok()?.checked_mul(cqe_size)?;
    let array = usize::try_from(sq_entries).ok()?.checked_mul(WORD)?;
    (6 * LINE).checked_add(cqes)?.checked_next_multiple_of(LINE)?.checked_add(array)
}

fn power_of_two(field: &'static str, entries: u32) -> Result<usize, LayoutError> {
    if !entries.is_power_of_two() {
        return Err(LayoutError::Entries { field, entries });
    }
    usize::try_from(entries).map_err(|_| LayoutError::TooLong)
}

/// The byte range of `count` elements of `size` bytes that start at `offset`.
fn span(offset: u32, count: usize, size: usize) -> Result<Range<usize>, LayoutError> {
    let start = usize::try_from(offset).map_err(|_| LayoutError::TooLong)?;
    let end = count.checked_mul(size).and_then(|len| start.checked_add(len));
    // A length beyond isize::MAX cannot be a single object.
    let end = end.filter(|end| isize::try_from(*end).is_ok()).ok_or(LayoutError::TooLong)?;
    Ok(start..end)
}

fn aligned(field: &'static str, offset: u32, align: usize) -> Result<usize, LayoutError> {
    let start = span(offset, 0, 0)?.start;
    if start % align == 0 {
        return Ok(start);
    }
    Err(LayoutError::Misaligned { field, offset })
}

/// Checks that a word at `offset` is aligned and ends within `len` bytes.
fn word(field: &'static str, offset: u32, len: usize) -> Result<usize, LayoutError> {
    let start = aligned(field, offset, WORD)?;
    if span(offset, 1, WORD)?.end > len {
        return Err(LayoutError::OutOfRegion { field, offset, len });
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::{Layout, LayoutError, ring_bytes};
    use crate::sys::{Features, SetupFlags, io_cqring_offsets, io_sqring_offsets, io_uring_params};

    /// What Linux 6.18 returns for 8 and 16 entries.
    fn params() -> io_uring_params {
        let mut params = io_uring_params {
            sq_entries: 8,
            cq_entries: 16,
            features: Features::SINGLE_MMAP,
            ..io_uring_params::ZEROED
        };
        params.sq_off = io_sqring_offsets {
            head: 0,
            tail: 4,
            ring_mask: 16,
            ring_entries: 24,
            flags: 36,
            dropped: 32,
            array: 320,
            ..io_sqring_offsets::ZEROED
        };
        params.cq_off = io_cqring_offsets {
            head: 8,
            tail: 12,
            ring_mask: 20,
            ring_entries: 28,
            overflow: 44,
            cqes: 64,
            flags: 40,
            ..io_cqring_offsets::ZEROED
        };
        params
    }

    fn layout(params: &io_uring_params) -> Result<Layout, LayoutError> {
        Layout::new(params, 64, 16)
    }

    #[test]
    fn a_valid_layout_is_accepted_unchanged() {
        let layout = layout(&params()).unwrap();
        assert_eq!(layout.sq_region, 64 + 16 * 16 + 8 * 4);
        assert_eq!(layout.cq_region, None);
        assert_eq!(layout.sqe_region, 8 * 64);
        assert_eq!((layout.sq.tail, layout.cq.tail), (4, 12));
        assert_eq!((layout.sq.array, layout.cq.flags), (Some(320), Some(40)));
    }

    #[test]
    fn without_single_mmap_each_queue_has_its_own_region() {
        let mut old = params();
        old.features = Features::empty();
        let layout = layout(&old).unwrap();
        assert_eq!(layout.sq_region, 320 + 8 * 4);
        assert_eq!(layout.cq_region, Some(64 + 16 * 16));
    }

    #[test]
    fn without_an_index_array_its_offset_is_ignored() {
        let mut bare = params();
        bare.flags = SetupFlags::NO_SQARRAY;
        bare.sq_off.array = u32::MAX;
        assert_eq!(layout(&bare).unwrap().sq.array, None);
    }

    #[test]
    fn a_cq_flags_offset_of_zero_means_no_cq_flags() {
        let mut old = params();
        old.cq_off.flags = 0;
        assert_eq!(layout(&old).unwrap().cq.flags, None);
    }

    #[test]
    fn sizes_that_are_not_powers_of_two_are_refused() {
        for entries in [0, 3, 6, u32::MAX] {
            let mut bad = params();
            bad.sq_entries = entries;
            assert_eq!(layout(&bad), Err(LayoutError::Entries { field: "sq_entries", entries }));
            let mut bad = params();
            bad.cq_entries = entries;
            assert_eq!(layout(&bad), Err(LayoutError::Entries { field: "cq_entries", entries }));
        }
    }

    #[test]
    fn a_word_that_is_misaligned_or_outside_its_region_is_refused() {
        let places: [fn(&mut io_uring_params) -> &mut u32; 8] = [
            |p| &mut p.sq_off.head,
            |p| &mut p.sq_off.tail,
            |p| &mut p.sq_off.flags,
            |p| &mut p.sq_off.dropped,
            |p| &mut p.cq_off.head,
            |p| &mut p.cq_off.tail,
            |p| &mut p.cq_off.overflow,
            |p| &mut p.cq_off.flags,
        ];
        for place in places {
            for offset in [352, 4096, u32::MAX - 3] {
                let mut bad = params();
                *place(&mut bad) = offset;
                // On 32-bit targets the last of these is also beyond the address space.
                let error = layout(&bad).unwrap_err();
                let outside = matches!(error, LayoutError::OutOfRegion { .. });
                assert!(outside || error == LayoutError::TooLong);
            }
            let mut bad = params();
            *place(&mut bad) = 6;
            assert!(matches!(layout(&bad), Err(LayoutError::Misaligned { offset: 6, .. })));
        }
    }

    #[test]
    fn misaligned_arrays_are_refused() {
        for cqes in [66, 68] {
            let mut bad = params();
            bad.cq_off.cqes = cqes;
            let misaligned = LayoutError::Misaligned { field: "cq_off.cqes", offset: cqes };
            assert_eq!(layout(&bad), Err(misaligned));
        }
        let mut bad = params();
        bad.sq_off.array = 322;
        assert!(matches!(layout(&bad), Err(LayoutError::Misaligned { offset: 322, .. })));
    }

    #[test]
    fn ring_bytes_is_at_least_what_linux_6_18_needs() {
        let layout = layout(&params()).unwrap();
        assert!(ring_bytes(8, 16, 16).unwrap() >= layout.ring_len());
    }
}
