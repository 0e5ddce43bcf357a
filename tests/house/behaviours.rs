//! What the tests of liburing check, the tests here check too.
//!
//! `data/behaviours.tsv` lists those tests by name. A test here that shows the same behaviour says
//! so in a line of its documentation: `liburing:`, the names, a full stop. Or its own name begins
//! with that of the other, if that has more than one word. Each name of priority 1 is mirrored so,
//! or has its reason below.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Names that no test can mirror, and why.
const EXCEPTIONS: [(&str, &str); 1] =
    [("sq-full-cpp", "that a header of C compiles as C++; what it runs is sq-full")];

/// Where tests are.
const FOLDERS: [&str; 3] = ["tests", "properties", "src"];

/// The crate's folder.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The names of the table, and the priority of each.
fn table() -> BTreeMap<String, u32> {
    let text = fs::read_to_string(root().join("tests/data/behaviours.tsv")).expect("the table");
    let mut rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    assert_eq!(rows.next().expect("a header"), ["name", "behaviour", "priority"]);
    let row = |row: Vec<&str>| match row[..] {
        [name, behaviour, priority] if !behaviour.is_empty() => {
            (name.to_owned(), priority.parse().expect("1 or 2"))
        }
        _ => panic!("three columns: {row:?}"),
    };
    rows.map(row).collect()
}

/// The Rust files under `folder`, in order.
fn sources(folder: &Path) -> Vec<PathBuf> {
    // The published package has no `properties`.
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The names of `table` that a test is named after.
fn named_after(test: &str, table: &BTreeMap<String, u32>) -> Vec<String> {
    let begins = |name: &&String| {
        name.contains('-') && test.starts_with(&format!("{}_", name.replace('-', "_")))
    };
    // Of several, the longest: the others are the beginning of that.
    table.keys().filter(begins).max_by_key(|name| name.len()).into_iter().cloned().collect()
}

/// The names that `text` mirrors, each with the test that does.
fn mirrors(text: &str, table: &BTreeMap<String, u32>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut names, mut is_test) = (Vec::new(), false);
    for line in text.lines().map(str::trim_start) {
        if let Some(list) = line.strip_prefix("/// liburing: ") {
            let list = list.strip_suffix('.').unwrap_or_else(|| panic!("no full stop: {line}"));
            names.extend(list.split(", ").map(str::to_owned));
        } else if line == "#[test]" {
            is_test = true;
        } else if !line.starts_with("///") && !line.starts_with("#[") {
            let test = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            let test = test.filter(|_| is_test);
            assert!(names.is_empty() || test.is_some(), "{names:?} stand before no test: {line}");
            let by_name = test.map_or(vec![], |test| named_after(test, table));
            names.extend(
                by_name.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>(),
            );
            found.extend(names.drain(..).map(|name| (name, test.unwrap_or_default().to_owned())));
            is_test = false;
        }
    }
    found
}

/// The names that are mirrored anywhere, and by which tests.
fn all_mirrors() -> BTreeMap<String, Vec<String>> {
    let (table, mut all) = (table(), BTreeMap::<String, Vec<String>>::new());
    for path in FOLDERS.into_iter().flat_map(|folder| sources(&root().join(folder))) {
        let text = fs::read_to_string(&path).expect("a source");
        let file = path.strip_prefix(root()).expect("inside the crate").display().to_string();
        for (name, test) in mirrors(&text, &table) {
            all.entry(name).or_default().push(format!("{file}::{test}"));
        }
    }
    all
}

#[test]
fn every_behaviour_of_priority_1_is_mirrored_or_has_its_reason() {
    let mirrors = all_mirrors();
    let excepted: BTreeSet<_> = EXCEPTIONS.iter().map(|(name, _)| *name).collect();
    let missing: Vec<_> = table()
        .into_iter()
        .filter(|(name, priority)| *priority == 1 && !excepted.contains(name.as_str()))
        .filter(|(name, _)| !mirrors.contains_key(name))
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "no test says `liburing: NAME.` of {missing:?}");
}

#[test]
fn only_names_of_the_table_are_mirrored() {
    let table = table();
    for (name, tests) in all_mirrors() {
        assert!(table.contains_key(&name), "there is no {name:?}, which {tests:?} mirror");
    }
}

#[test]
fn every_exception_is_of_the_table_and_is_one() {
    let (table, mirrors) = (table(), all_mirrors());
    for (name, reason) in EXCEPTIONS {
        assert_eq!(table.get(name), Some(&1), "{name} is not of priority 1 in the table");
        assert!(!reason.is_empty());
        let mirrored = mirrors.get(name);
        assert!(mirrored.is_none(), "{name} is no exception: {mirrored:?}");
    }
}

/// With `--nocapture`, prints the whole table: each behaviour, and the tests that show it.
#[test]
fn the_table_says_which_test_shows_what() {
    let mirrors = all_mirrors();
    for (name, priority) in table() {
        let tests = mirrors.get(&name).map_or("-".to_owned(), |tests| tests.join(", "));
        println!("{priority}\t{name}\t{tests}");
    }
}

#[test]
fn a_mention_is_found_before_a_test_and_nowhere_else() {
    let table = ["one", "two-three", "two-three-four"].map(|name| (name.to_owned(), 1)).into();
    let line = ["///", "liburing: one, two-three."].join(" ");
    let text = format!("/// Goal.\n{line}\n#[test]\nfn a_test() {{\n}}\n");
    let pair = |name: &str, test: &str| (name.to_owned(), test.to_owned());
    let both = [pair("one", "a_test"), pair("two-three", "a_test")];
    assert_eq!(mirrors(&text, &table), both);
    let helper = format!("{line}\nfn helper() {{\n}}\n");
    assert!(std::panic::catch_unwind(|| mirrors(&helper, &table)).is_err());
    // By its own name, and not by a part of it.
    let test = |name: &str| mirrors(&format!("#[test]\nfn {name}() {{\n}}\n"), &table);
    let name = "two_three_four_five";
    assert_eq!(test(name), [pair("two-three-four", name)]);
    assert_eq!(
        [test("one_thing"), test("is_two_three"), test("two_threes")],
        [vec![], vec![], vec![]]
    );
}
