//! The rules of the house, as tests: what stands where, and how long it may get.

use std::fs;
use std::path::{Path, PathBuf};

/// Where sources are.
const EVERYTHING: [&str; 7] =
    ["src", "sys/src", "tests", "properties", "examples", "fuzz", "benches"];

/// What unsafe code begins with.
const UNSAFE: [&str; 3] = ["unsafe {", "unsafe fn", "unsafe impl"];

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
                // What is built is not a source.
                if !path.ends_with("target") {
                    walk(root, &path, found);
                }
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
    let sources = sources(&["src", "sys/src"]);
    // The kernel's side, which the simulated kernel and tests play, has its own.
    let kernel = ["src/sim/", "src/ring/tests/order.rs", "src/ring/loom.rs"];
    let ours = ["src/ring/order.rs"].into_iter().chain(kernel);
    let allowed = |path: &str| ours.clone().any(|part| path.starts_with(part));
    stands_only_in(&sources, &["Ordering::", "fence("], allowed);
    // Whether they are core's or loom's is said in one place.
    // What a futex is, is the program's: core's.
    let words = ["src/ring/atomic.rs", "src/ops/futex.rs", "src/ops/tests.rs"];
    stands_only_in(&sources, &["Atomic"], |path| allowed(path) || words.contains(&path));
}

#[test]
fn assembly_stands_in_one_folder() {
    let words = ["asm!(", "arch::asm"];
    let sources = sources(&["src", "sys/src"]);
    stands_only_in(&sources, &words, |path| path.starts_with("sys/src/syscall/"));
}

#[test]
fn the_simulated_kernel_has_one_seam() {
    let allowed = ["src/sim/", "src/enter/call.rs", "src/lib.rs"];
    let words = ["feature = \"sim\"", "crate::sim"];
    let sources = sources(&["src"]);
    stands_only_in(&sources, &words, |path| allowed.iter().any(|part| path.starts_with(part)));
}

#[test]
fn arrows_go_in_one_direction() {
    // The folders: each uses those after it, and no other. Only `src/lib.rs` stands beside them.
    let folders =
        ["jobs", "setup", "uring", "register", "enter", "ops", "ring", "entry"].map(String::from);
    let mut rules: Vec<(String, Vec<String>)> = Vec::new();
    for (nth, folder) in folders.iter().enumerate() {
        rules.push((format!("src/{folder}/"), folders.iter().take(nth).cloned().collect()));
    }
    let extra: [(&str, &[&str]); 3] = [
        // They meet at one value, `Sqe`.
        ("src/ops/", &["ring"]),
        ("src/enter/", &["ops::lent"]),
        // A simulated kernel that shared the queues' arithmetic would share their mistakes.
        ("src/sim/", &["entry", "register", "enter", "ring::sq", "ring::cq", "ring::bufs"]),
    ];
    rules.extend(extra.iter().map(|(module, strangers)| {
        ((*module).to_owned(), strangers.iter().map(|name| (*name).to_owned()).collect())
    }));
    let sources = sources(&["src"]);
    // The tests of the simulated kernel drive it through the queues.
    let drives = |path: &str| path.starts_with("src/sim/tests/");
    for (module, strangers) in rules {
        let words: Vec<String> = strangers
            .iter()
            .flat_map(|name| [format!("crate::{name}::"), format!("crate::{name};")])
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        stands_only_in(&sources, &words, |path| !path.starts_with(&module) || drives(path));
    }
    // It decodes operations itself, and shares what they act on.
    let simulated: Vec<_> =
        sources.iter().filter(|source| source.path.starts_with("src/sim/")).collect();
    for (source, (number, line)) in
        simulated.iter().flat_map(|source| source.code().map(move |line| (source, line)))
    {
        let is_good = !line.contains("crate::ops") || line.contains("crate::ops::target::");
        assert!(is_good || drives(&source.path), "{}:{number}: {line}", source.path);
    }
    let folders: Vec<String> = folders.iter().map(|folder| format!("src/{folder}/")).collect();
    for source in &sources {
        let is_known = source.path == "src/lib.rs"
            || source.path.starts_with("src/sim/")
            || folders.iter().any(|folder| source.path.starts_with(folder.as_str()));
        assert!(is_known, "{} is in no folder of the order", source.path);
    }
}

#[test]
fn unsafe_code_stands_in_few_files() {
    let allowed = [
        "src/setup/builder.rs",
        "src/enter/call.rs",
        "src/setup/capabilities/trials.rs",
        "src/entry/cqe.rs",
        "src/entry/slot.rs",
        "src/entry/sqe.rs",
        "src/jobs/",
        "src/ops/accept.rs",
        "src/ops/address.rs",
        "src/ops/made.rs",
        "src/ops/msg.rs",
        "src/ops/net.rs",
        "src/ops/open.rs",
        "src/ops/pipe.rs",
        "src/ops/pipe_ends.rs",
        "src/ops/statx.rs",
        "src/ops/table.rs",
        "src/ops/tests.rs",
        "src/register/",
        "src/setup/resize.rs",
        "src/ring/",
        "src/sim/",
        "src/uring/submission.rs",
        "src/enter/submit.rs",
        "src/ops/target.rs",
        "src/uring/together.rs",
        "src/uring/io_uring.rs",
    ];
    let sources = sources(&["src"]);
    stands_only_in(&sources, &UNSAFE, |path| allowed.iter().any(|part| path.starts_with(part)));
    for source in &sources {
        // What a module forbids, it forbids to the modules in it, too; and to macros it uses.
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(source.path.trim_end_matches(".rs"));
        let has_modules =
            source.path.ends_with("/mod.rs") || source.path == "src/lib.rs" || folder.is_dir();
        let has_macros = source.path.starts_with("src/ring/tests/");
        let is_free = source.code().all(|(_, line)| !UNSAFE.iter().any(|word| line.contains(word)));
        let forbids = source.text.contains("#![forbid(unsafe_code)]");
        assert!(
            !is_free || has_modules || has_macros || forbids,
            "{} could forbid unsafe code",
            source.path
        );
    }
}

#[test]
fn every_unsafe_block_has_its_proof_and_every_unsafe_function_its_contract() {
    let mut bare = Vec::new();
    for source in sources(&EVERYTHING) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code() {
            let above = lines.get(..number - 1).expect("the lines above");
            let is_fn = line.contains("unsafe fn ") && !line.contains(": unsafe fn");
            let is_block = line.contains("unsafe {") || line.contains("unsafe impl");
            let is_text = line.contains('"');
            let good = (!is_fn || has_contract(above)) && (!is_block || has_proof(above));
            if !good && !is_text {
                bare.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(bare.is_empty(), "without a proof or a contract:\n{}", bare.join("\n"));
}

/// Whether the statement that goes on after `above` has a comment with a proof right before it.
fn has_proof(above: &[&str]) -> bool {
    for (index, line) in above.iter().enumerate().rev() {
        let line = line.trim();
        if line.starts_with("//") {
            let comment = above.get(..=index).into_iter().flatten().rev();
            let mut comment = comment.take_while(|line| line.trim().starts_with("//"));
            return comment.any(|line| line.contains("SAFETY:"));
        }
        // Where the statement before this one ends, or the block that it stands in begins.
        if line.ends_with([';', '}']) || (line.ends_with('{') && !line.ends_with("=> {")) {
            return false;
        }
    }
    false
}

/// Whether the documentation right above tells what is unsafe, or the trait's does: a method of
/// a trait's has none of its own.
fn has_contract(above: &[&str]) -> bool {
    let is_head = |line: &&&str| line.trim().starts_with("///") || line.trim().starts_with("#[");
    let mut docs = above.iter().rev().take_while(is_head);
    let is_impl = |line: &&&str| line.starts_with("impl") || line.starts_with("unsafe impl");
    let block = above.iter().rev().find(is_impl);
    docs.any(|line| line.contains("# Safety"))
        || block.is_some_and(|line| line.contains(" for "))
        || above.last().is_some_and(|line| line.trim().starts_with("// SAFETY"))
}

#[test]
fn no_function_is_over_its_budget() {
    let mut over = Vec::new();
    for source in sources(&EVERYTHING) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start().trim_start_matches("pub ");
            let is_fn = ["fn ", "unsafe fn ", "const fn ", "pub(", "const unsafe fn "]
                .iter()
                .any(|start| head.starts_with(start) && head.contains("fn "));
            let end = format!("{}}}", " ".repeat(indent));
            let rest = lines.get(number..).expect("the lines below");
            let len = rest.iter().position(|line| *line == end).unwrap_or(0);
            if is_fn && !line.ends_with('}') && len > 70 {
                over.push(format!("{}:{number}: {len} lines", source.path));
            }
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

#[test]
fn no_file_is_over_its_budget() {
    let mut over = Vec::new();
    for source in sources(&EVERYTHING) {
        let lines = source.text.lines().count();
        if lines > 500 {
            over.push(format!("{} has {lines} lines", source.path));
        }
        for (number, line) in source.text.lines().enumerate() {
            // A row of a table cannot be broken.
            let is_row = line.starts_with("//! | ") && line.ends_with(" |");
            if line.chars().count() > 100 && !is_row {
                over.push(format!("{}:{} is over 100 columns", source.path, number + 1));
            }
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    for source in sources(&EVERYTHING) {
        assert!(source.text.starts_with("//!"), "{} has no header", source.path);
    }
}
