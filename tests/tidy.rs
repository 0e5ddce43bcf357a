//! The rules of the house, as tests: what stands where, and how long it may get.

use std::fs;
use std::path::{Path, PathBuf};

/// A source of the project: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines that are code: without comments, as far as a line shows that.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines
            .map(|(n, line)| (n + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// The sources under `folders`, or none where a package leaves a folder out.
fn sources(folders: &[&str]) -> Vec<Source> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let path = path.strip_prefix(root).expect("a path under the root");
                found.push(Source { path: path.to_string_lossy().into_owned(), text });
            }
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in folders {
        walk(&root, &root.join(folder), &mut found);
    }
    assert!(!found.is_empty(), "no source in {folders:?}");
    found
}

/// Fails with each line of code that has one of `words` and stands outside of `allowed`.
fn stands_only_in(sources: &[Source], words: &[&str], allowed: impl Fn(&str) -> bool) {
    let mut astray = Vec::new();
    for source in sources.iter().filter(|source| !allowed(&source.path)) {
        for (number, line) in source.code() {
            if words.iter().any(|word| line.contains(word)) {
                astray.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(astray.is_empty(), "{words:?} where it does not belong:\n{}", astray.join("\n"));
}

#[test]
fn memory_orderings_stand_in_one_file() {
    let words = ["Ordering::", "fence(", "Atomic"];
    // The kernel's side, which a test plays, has its own.
    let allowed = ["src/ring/order.rs", "src/ring/tests/order.rs"];
    stands_only_in(&sources(&["src", "sys/src"]), &words, |path| allowed.contains(&path));
}

#[test]
fn assembly_stands_in_one_folder() {
    let words = ["asm!(", "arch::asm"];
    let sources = sources(&["src", "sys/src"]);
    stands_only_in(&sources, &words, |path| path.starts_with("sys/src/syscall/"));
}

#[test]
fn arrows_go_in_one_direction() {
    // A module, and what it does not know.
    let rules: [(&str, &[&str]); 5] = [
        ("src/ring/", &["ops", "register", "submit", "uring", "builder", "completion"]),
        ("src/ops/", &["ring", "register", "submit", "uring", "builder"]),
        ("src/entry/", &["ring", "ops", "register", "submit", "uring", "builder"]),
        ("src/target.rs", &["ring", "ops", "register", "submit", "entry", "uring", "builder"]),
        ("src/submit.rs", &["ops", "register", "uring", "builder"]),
    ];
    let sources = sources(&["src"]);
    for (module, strangers) in rules {
        let words: Vec<String> = strangers
            .iter()
            .flat_map(|name| [format!("crate::{name}::"), format!("crate::{name};")])
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        stands_only_in(&sources, &words, |path| !path.starts_with(module));
    }
}

#[test]
fn unsafe_code_stands_in_few_files() {
    let allowed = [
        "src/builder.rs",
        "src/capabilities.rs",
        "src/entry/cqe.rs",
        "src/entry/slot.rs",
        "src/entry/sqe.rs",
        "src/ops/msg.rs",
        "src/register/",
        "src/resize.rs",
        "src/ring/",
        "src/submission.rs",
        "src/submit.rs",
        "src/target.rs",
        "src/uring.rs",
    ];
    let sources = sources(&["src"]);
    let words = ["unsafe {", "unsafe fn", "unsafe impl"];
    stands_only_in(&sources, &words, |path| allowed.iter().any(|part| path.starts_with(part)));
}

#[test]
fn no_file_is_over_its_budget() {
    let mut over = Vec::new();
    for source in sources(&["src", "sys/src", "sys/tests", "tests", "examples"]) {
        let lines = source.text.lines().count();
        if lines > 500 {
            over.push(format!("{} has {lines} lines", source.path));
        }
        for (number, line) in source.text.lines().enumerate() {
            if line.chars().count() > 100 {
                over.push(format!("{}:{} is over 100 columns", source.path, number + 1));
            }
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    for source in sources(&["src", "sys/src", "tests", "examples"]) {
        assert!(source.text.starts_with("//!"), "{} has no header", source.path);
    }
}
