//! [`Bytes`]: an input, taken apart into the values that a check needs.

/// What is left of an input. Where it is used up, everything is 0.
pub(crate) struct Bytes<'i>(&'i [u8]);

impl<'i> Bytes<'i> {
    pub(crate) const fn new(input: &'i [u8]) -> Self {
        Self(input)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let (taken, rest) = self.0.split_at(N.min(self.0.len()));
        array[..taken.len()].copy_from_slice(taken);
        self.0 = rest;
        array
    }

    /// The next `len` bytes, or as many as there are.
    pub(crate) fn up_to(&mut self, len: usize) -> &'i [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(crate) fn usize(&mut self) -> usize {
        usize::from_le_bytes(self.array())
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u8) -> u8 {
        self.u8() % end
    }

    /// One of `values`, of which there are 1 to 255.
    pub(crate) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        let end = u8::try_from(values.len()).expect("a short list");
        values[usize::from(self.below(end))]
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.u8() & 1 != 0
    }
}
