//! Scripts: one list of actions, for the real queues, the simulated kernel and a naive model.
//!
//! A [`Script`] is a ring and a list of [`Action`]s of both sides. It has two forms: bytes, of
//! which any are a script, for fuzzing, and text, one action a line, for reading.
//! [`run`](run::run) carries it out on an `IoUring` and on the [model], side by side, and
//! compares after each action. The properties that hold then:
//!
//! - what is pushed arrives once, in order, whole; nothing is visible before it is published;
//! - chains are never cut by this side;
//! - what completes is delivered once, in order, whole, through overflow, error, rollback, resize
//!   and forgotten values;
//! - counters never disagree.

#![allow(dead_code, reason = "each user of the module uses a part of it")]
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]
#![allow(clippy::forget_non_drop, reason = "that it changes nothing is what is tried out")]

pub(crate) mod action;
#[path = "../checks/bytes.rs"]
mod bytes;
mod calls;
pub(crate) mod config;
mod form;
pub(crate) mod hostile;
pub(crate) mod hostile_seeds;
pub(crate) mod kinds;
mod ledger;
mod model;
mod op;
mod provided;
mod resize;
mod rings;
pub(crate) mod run;
pub(crate) mod seeds;

use core::fmt;
use core::str::FromStr;

use action::Action;
use bytes::Bytes;
use config::Config;
use form::Words;

/// A ring, and what happens to it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) config: Config,
    pub(crate) actions: Vec<Action>,
}

/// The most actions of a script: more find nothing that fewer do not.
const MOST_ACTIONS: usize = 500;

/// Runs the script that any bytes are.
pub(crate) fn check(input: &[u8]) {
    run::run(&Script::from_bytes(input));
}

/// The ring that any bytes are.
pub(crate) fn config(input: &[u8]) -> Config {
    Config::read(&mut Bytes::new(input)).expect("any bytes are a ring")
}

/// The action of that name, one of [`action::NAMES`], that any bytes are.
pub(crate) fn action(name: &str, input: &[u8]) -> Action {
    let tag = action::NAMES.iter().position(|other| *other == name).expect("an action");
    let tag = u8::try_from(tag).expect("few actions");
    let bytes: Vec<u8> = [tag].iter().chain(input).copied().collect();
    Action::read(&mut Bytes::new(&bytes)).expect("any bytes are an action")
}

impl Script {
    pub(crate) fn from_bytes(input: &[u8]) -> Self {
        let mut bytes = Bytes::new(input);
        let config = Config::read(&mut bytes).expect("any bytes are a ring");
        let mut actions = Vec::new();
        while !bytes.is_empty() && actions.len() < MOST_ACTIONS {
            actions.push(Action::read(&mut bytes).expect("any bytes are actions"));
        }
        Self { config, actions }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.config.write(&mut bytes);
        for action in &self.actions {
            action.write(&mut bytes);
        }
        bytes
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        self.config.write(&mut line);
        writeln!(f, "{}", line.trim_start())?;
        for action in &self.actions {
            line.clear();
            action.write(&mut line);
            writeln!(f, "{}", line.trim_start())?;
        }
        Ok(())
    }
}

/// The text form: what a failed test shows can be made a seed.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl FromStr for Script {
    type Err = String;

    /// Reads the text form. Empty lines, and what is behind a `#`, are for the reader.
    fn from_str(text: &str) -> Result<Self, String> {
        let lines = text.lines().enumerate().filter_map(|(number, line)| {
            let line = line.split('#').next().unwrap_or_default().trim();
            (!line.is_empty()).then_some((number + 1, line))
        });
        let mut config = None;
        let mut actions = Vec::new();
        for (number, line) in lines {
            let mut words = Words::new(line);
            let read = if config.is_none() {
                Config::read(&mut words).map(|read| config = Some(read))
            } else {
                Action::read(&mut words).map(|action| actions.push(action))
            };
            read.and_then(|()| words.end()).map_err(|error| format!("line {number}: {error}"))?;
        }
        Ok(Self { config: config.ok_or("there is no ring")?, actions })
    }
}
