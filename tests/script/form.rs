//! The two forms of a script, bytes and text, as what values are read from and written to.
//!
//! A thing that can stand in a script is read by one function and written by another; what the
//! form is they do not know. Of bytes any are a script: what is too large is taken modulo, and
//! what is missing is 0. Text is strict.

use core::fmt::{Display, Write as _};
use core::str::SplitWhitespace;

use super::bytes::Bytes;

/// What is wrong with a text.
pub(crate) type Result<T> = core::result::Result<T, String>;

/// Where values come from.
pub(crate) trait Reader {
    /// A number below `end`, which is not 0.
    fn number(&mut self, end: u64) -> Result<u64>;

    /// A number with a sign.
    fn signed(&mut self) -> Result<i16>;

    /// One of `names`, of which there are 1 to 255, by its place.
    fn choose(&mut self, names: &[&'static str]) -> Result<usize>;

    /// The name of the value that comes next, in the form that has names.
    fn name(&mut self, name: &str) -> Result<&mut Self>;

    /// What one of the names of `table` stands for.
    fn one_of<T: Copy>(&mut self, table: &[(&'static str, T)]) -> Result<T> {
        let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        Ok(table[self.choose(&names)?].1)
    }

    /// A number below `end`, which is at most 256.
    fn small(&mut self, end: u16) -> Result<u8> {
        Ok(u8::try_from(self.number(u64::from(end))?).expect("an end of at most 256"))
    }
}

/// Where values go.
pub(crate) trait Writer {
    /// A number below `end`.
    fn number(&mut self, value: u64, end: u64);

    /// A number with a sign.
    fn signed(&mut self, value: i16);

    /// The place of one of `names`.
    fn choose(&mut self, names: &[&'static str], index: usize);

    /// The name of the value that comes next, in the form that has names.
    fn name(&mut self, name: &str) -> &mut Self;

    /// The name that stands for `value` in `table`.
    fn one_of<T: Copy + PartialEq>(&mut self, table: &[(&'static str, T)], value: T) {
        let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        let index = table.iter().position(|(_, other)| *other == value);
        self.choose(&names, index.expect("every value has a name"));
    }

    /// A number below `end`, which is at most 256.
    fn small(&mut self, value: u8, end: u16) {
        self.number(u64::from(value), u64::from(end));
    }
}

/// How many bytes a number below `end` takes.
const fn width(end: u64) -> usize {
    match end {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

impl Reader for Bytes<'_> {
    fn number(&mut self, end: u64) -> Result<u64> {
        let mut all = [0; 8];
        for byte in &mut all[..width(end)] {
            *byte = self.u8();
        }
        Ok(u64::from_le_bytes(all) % end)
    }

    fn signed(&mut self) -> Result<i16> {
        Ok(i16::from_le_bytes(self.array()))
    }

    fn name(&mut self, _: &str) -> Result<&mut Self> {
        Ok(self)
    }

    fn choose(&mut self, names: &[&'static str]) -> Result<usize> {
        let end = u8::try_from(names.len()).expect("a short list");
        Ok(usize::from(self.below(end)))
    }
}

impl Writer for Vec<u8> {
    fn number(&mut self, value: u64, end: u64) {
        self.extend(&value.to_le_bytes()[..width(end)]);
    }

    fn signed(&mut self, value: i16) {
        self.extend(value.to_le_bytes());
    }

    fn name(&mut self, _: &str) -> &mut Self {
        self
    }

    fn choose(&mut self, _: &[&'static str], index: usize) {
        self.push(u8::try_from(index).expect("a short list"));
    }
}

/// A line of text, word by word.
pub(crate) struct Words<'t> {
    words: SplitWhitespace<'t>,
    /// What stands behind a name, in the same word.
    value: Option<&'t str>,
}

impl<'t> Words<'t> {
    pub(crate) fn new(line: &'t str) -> Self {
        Self { words: line.split_whitespace(), value: None }
    }

    fn word(&mut self) -> Result<&'t str> {
        let word = self.value.take().or_else(|| self.words.next());
        word.ok_or_else(|| "the line ends too early".to_owned())
    }

    /// Fails if there is a word left.
    pub(crate) fn end(mut self) -> Result<()> {
        self.words.next().map_or(Ok(()), |word| Err(format!("`{word}` is too much")))
    }
}

impl Reader for Words<'_> {
    fn number(&mut self, end: u64) -> Result<u64> {
        let word = self.word()?;
        let value = word.parse().ok().filter(|value| *value < end);
        value.ok_or_else(|| format!("`{word}` is not a number below {end}"))
    }

    fn signed(&mut self) -> Result<i16> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("`{word}` is not a number of 16 bits"))
    }

    fn name(&mut self, name: &str) -> Result<&mut Self> {
        let word = self.word()?;
        match word.split_once('=') {
            Some((found, value)) if found == name => self.value = Some(value),
            _ => return Err(format!("`{word}` does not begin with `{name}=`")),
        }
        Ok(self)
    }

    fn choose(&mut self, names: &[&'static str]) -> Result<usize> {
        let word = self.word()?;
        let index = names.iter().position(|name| *name == word);
        index.ok_or_else(|| format!("`{word}` is not one of {names:?}"))
    }
}

/// Appends a word, or the value of the name that stands last.
fn append(text: &mut String, word: impl Display) {
    let space = if text.ends_with('=') { "" } else { " " };
    write!(text, "{space}{word}").expect("a string takes everything");
}

/// Text, word behind word.
impl Writer for String {
    fn number(&mut self, value: u64, _: u64) {
        append(self, value);
    }

    fn signed(&mut self, value: i16) {
        append(self, value);
    }

    fn name(&mut self, name: &str) -> &mut Self {
        append(self, format_args!("{name}="));
        self
    }

    fn choose(&mut self, names: &[&'static str], index: usize) {
        append(self, names[index]);
    }
}
