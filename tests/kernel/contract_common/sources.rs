//! What the sources of the operations say: their arguments, and until when these must stay.

use std::fs;
use std::path::PathBuf;

use super::Until;

/// A function or a type with the text of its documentation, on one line.
pub(crate) struct Documented {
    /// `Type`, `Type::function`, or `function` where a macro makes it for several types.
    pub(crate) name: String,
    pub(crate) docs: String,
    /// Those parameters that are raw pointers.
    pub(crate) pointers: Vec<String>,
}

impl Documented {
    pub(crate) fn says(&self, until: Until) -> bool {
        match until {
            Until::Taken => self.docs.contains("until taken"),
            Until::Completion => ["until the completion", "until the notification"]
                .iter()
                .any(|phrase| self.docs.contains(phrase)),
        }
    }
}

/// The public types and functions of `src/ops`.
pub(crate) fn documented() -> Vec<Documented> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the sources") {
        let text = fs::read_to_string(entry.expect("a source").path()).expect("a source");
        read(&text, &mut found);
    }
    assert!(found.len() > 200, "{} items", found.len());
    found
}

fn read(text: &str, found: &mut Vec<Documented>) {
    let (mut docs, mut of) = (String::new(), String::new());
    let mut lines = text.lines();
    // A program in the documentation says what it does itself.
    let mut is_program = false;
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if let Some(text) = trimmed.strip_prefix("///") {
            is_program ^= text.trim_start().starts_with("```");
            if !is_program {
                docs += text;
            }
        } else if let Some(rest) = trimmed.strip_prefix("impl ") {
            // `$op` is one of several types.
            of = rest.split([' ', '<']).next().expect("a name").replace("$op", "");
        } else if let Some(name) = after(trimmed, &["pub struct "]) {
            found.push(Documented { name, docs: core::mem::take(&mut docs), pointers: vec![] });
        } else if let Some(name) = after(trimmed, &["pub fn ", "pub const fn "]) {
            let mut head = trimmed.to_owned();
            while !head.contains('{') {
                head += lines.next().expect("the rest of a function").trim();
            }
            let name = if of.is_empty() { name } else { format!("{of}::{name}") };
            found.push(Documented {
                name,
                docs: core::mem::take(&mut docs),
                pointers: pointers(&head),
            });
        } else if !trimmed.starts_with("#[") {
            docs.clear();
        }
    }
}

/// The name that follows one of `starts`.
fn after(line: &str, starts: &[&str]) -> Option<String> {
    let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
    Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

/// The names of the parameters of `head` that are raw pointers.
fn pointers(head: &str) -> Vec<String> {
    let (_, parameters) = head.split_once('(').expect("parameters");
    let is_pointer = |kind: &str| kind.starts_with("*const ") || kind.starts_with("*mut ");
    let parameters = parameters.split(',').filter_map(|parameter| parameter.split_once(": "));
    parameters
        .filter(|(_, kind)| is_pointer(kind))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}
