//! The pages for those who come from another crate, or from C, leave nothing out.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- names: begin -->\n";
const END: &str = "<!-- names: end -->";

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names in one of the lists in `tests/data`: types, and `Type::member` or `module::item`.
fn names(list: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for row in list.lines().filter(|row| !row.starts_with('#')) {
        let (owner, members) = row.split_once('\t').expect("two columns");
        // A module is no item, and has no capital letter.
        let is_module = !members.is_empty() && !owner.contains(char::is_uppercase);
        if !is_module {
            names.insert(owner.to_owned());
        }
        names.extend(
            members
                .split(' ')
                .filter(|name| !name.is_empty())
                .map(|member| format!("{owner}::{member}")),
        );
    }
    names
}

/// The rows of the tables between the marks: the names on the other side, and what stands beside.
///
/// A name that begins with a dot is a member of the type before it, or of the type of the member
/// before it.
fn rows(page: &str, known: &BTreeSet<String>) -> Vec<(Vec<String>, String)> {
    let (_, rest) = page.split_once(BEGIN).expect("where the tables begin");
    let (tables, _) = rest.split_once(END).expect("where the tables end");
    let cells = tables.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows = cells.map(|(theirs, ours)| {
        let mut owner = "";
        let names = theirs.split("` `").map(|name| match name.strip_prefix('.') {
            Some(member) => format!("{owner}::{member}"),
            None => {
                let parent = name.rsplit_once("::").map_or("", |(parent, _)| parent);
                owner = if known.contains(parent) { parent } else { name };
                name.to_owned()
            }
        });
        (names.collect(), ours.trim_end_matches(" |").to_owned())
    });
    rows.collect()
}

/// Fails with each name of `wanted` that has no row, each row of what is not in `known`, and each
/// that says nothing or comes twice.
fn compare(page: &str, known: &BTreeSet<String>, wanted: &BTreeSet<String>) {
    let mut missing = wanted.clone();
    let mut seen = BTreeSet::new();
    for (names, ours) in rows(page, known) {
        assert!(!ours.is_empty(), "{names:?}: nothing stands beside them");
        for name in names {
            assert!(known.contains(&name), "{name} is not in the list");
            assert!(seen.insert(name.clone()), "{name} has two rows");
            missing.remove(&name);
        }
    }
    assert!(missing.is_empty(), "no row has {missing:#?}");
}

#[test]
fn every_public_item_of_io_uring_has_a_row() {
    let known = names(include_str!("../data/io-uring.tsv"));
    assert!(known.len() > 440, "the list is cut");
    compare(&page("from_io_uring.md"), &known, &known);
}
