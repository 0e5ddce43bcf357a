//! The crate against the kernel's own lists, `tests/data/*.tsv`, in both directions.
//!
//! The lists were made from compiled C, without this crate. What is only in the source text, such
//! as a kernel version in the docs, is read from there.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

mod constants;
pub(crate) mod layout;

/// The rows of a table: a map from the name of a column to what is in it.
fn rows(table: &str) -> impl Iterator<Item = BTreeMap<&str, &str>> {
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines.map(move |line| {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), columns.len(), "{line}");
        columns.iter().copied().zip(cells).collect()
    })
}

/// Fails with every difference: what only one side has, and what both have with other values.
#[track_caller]
fn assert_same<V: PartialEq + core::fmt::Debug>(
    kernel: &BTreeMap<String, V>,
    ours: &BTreeMap<String, V>,
) {
    let mut differences = Vec::new();
    for (name, value) in kernel {
        match ours.get(name) {
            None => differences.push(std::format!("{name}: missing in the crate")),
            Some(our) if our != value => {
                differences.push(std::format!("{name}: kernel {value:?}, crate {our:?}"));
            }
            Some(_) => {}
        }
    }
    for name in ours.keys().filter(|&name| !kernel.contains_key(name)) {
        differences.push(std::format!("{name}: missing in the kernel's list"));
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}
