//! Until when the arguments of operations must stay: what the documentation says, on the kernel.
//!
//! Each argument lies in a page of its own. The operation waits in a chain behind a read that does
//! not complete; then the page is made inaccessible, and then the chain goes on. If the operation
//! completes with `EFAULT`, the kernel has looked at the argument after it was submitted.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use crate::op_common::AS_OF_6_11;
use std::collections::BTreeSet;

use crate::common::require;
use crate::contract_common::Until::{self, Completion, Taken};
use crate::contract_common::cases::{FILES, PATHS, SOCKETS, WAITS};
use crate::contract_common::messages::MESSAGES;
use crate::contract_common::{Case, sources};
use ringbolt::sys::{Features, RegisterOp, SetupFlags};
use rustix::io::Errno;

/// Arguments that this way does not show, and where else they are shown.
const ELSEWHERE: &[(&str, &str)] = &[
    ("protection", "not shown: needs a device with protection information"),
    ("ReadFixed::new buf", "contract_memory: pinned, so that protection does not matter"),
    ("WriteFixed::new buf", "contract_memory: pinned, so that protection does not matter"),
    ("RecvMsg::provided header", "as that of `RecvMsg::new`"),
    ("IoVec::new base", "a vector, which an operation takes by its address"),
    ("Madvise::new start", "contract_memory: advice is for pages of any protection"),
    ("ProvideBuffers::new start", "contract_memory: stays beyond the completion"),
    ("protection (memory)", "not shown: takes a device that keeps protection information"),
    ("SocketCommand::own_address address", "not shown: since Linux 6.19"),
    ("SocketCommand::own_address len", "not shown: since Linux 6.19"),
    ("SocketCommand::peer_address address", "not shown: since Linux 6.19"),
    ("SocketCommand::peer_address len", "not shown: since Linux 6.19"),
];

fn cases() -> impl Iterator<Item = &'static Case> {
    [PATHS, FILES, WAITS, SOCKETS, MESSAGES].into_iter().flatten()
}

/// Runs the cases, and fails with each argument that is not as documented.
fn check(cases: &[Case]) {
    require!(feature: Features::SUBMIT_STABLE);
    let mut wrong = Vec::new();
    for case in cases {
        for (which, (name, until)) in case.arguments.iter().enumerate() {
            let without = case.without(which);
            if matches!(without, Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS)) {
                println!("skipped: the kernel does not know {name} ({without:?})");
                continue;
            }
            // Or what follows would show nothing.
            assert_eq!(without, Err(Errno::FAULT), "{name}: the kernel does not look at it");
            let result = case.closed_after(which);
            let looked_again = result == Err(Errno::FAULT);
            println!("{name}, {until:?}: {result:?}");
            if looked_again != (*until == Completion) {
                wrong.push(format!("{name} is documented to stay until {until:?}: {result:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn paths_and_names_are_read_before_a_submit_returns() {
    require!(setup: SetupFlags::SUBMIT_ALL);
    check(PATHS);
}

#[test]
fn vectors_are_read_before_a_submit_returns_and_buffers_later() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(setup: SetupFlags::SUBMIT_ALL);
    check(FILES);
}

#[test]
fn times_are_read_before_a_submit_returns_and_words_later() {
    require!(op: AS_OF_6_11);
    require!(setup: SetupFlags::SUBMIT_ALL);
    check(WAITS);
}

#[test]
fn addresses_are_read_before_a_submit_returns_and_written_later() {
    require!(setup: SetupFlags::SUBMIT_ALL);
    check(SOCKETS);
}

#[test]
fn headers_of_messages_are_read_before_a_submit_returns_and_control_messages_later() {
    require!(setup: SetupFlags::SUBMIT_ALL);
    check(MESSAGES);
}

/// Goal: no operation is forgotten here.
/// Method: the raw pointers among the parameters of every public function in `src/ops`.
#[test]
fn every_pointer_that_an_operation_takes_has_a_case() {
    let cases = cases().flat_map(|case| case.arguments).map(|(name, _)| (*name).to_owned());
    let elsewhere = ELSEWHERE.iter().map(|(name, _)| (*name).to_owned());
    let shown: BTreeSet<String> = cases.chain(elsewhere).collect();
    let mut taken = BTreeSet::new();
    for item in sources::documented() {
        taken.extend(item.pointers.iter().map(|pointer| format!("{} {pointer}", item.name)));
    }
    let missing: Vec<_> = taken.difference(&shown).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    let gone: Vec<_> = shown
        .iter()
        .filter(|name| !name.contains('(') && name.contains(' ') && !taken.contains(*name))
        .collect();
    assert!(gone.is_empty(), "there is no {gone:?}");
}

/// Goal: what the documentation says and what the cases show is the same.
/// Method: each type or function whose text has one of the phrases has such an argument in a case.
#[test]
fn every_promise_in_the_documentation_has_a_case() {
    let shown: Vec<(&str, Until)> = cases().flat_map(|case| case.arguments).copied().collect();
    let elsewhere = |name: &str| ELSEWHERE.iter().any(|(other, _)| other.starts_with(name));
    let documented = sources::documented();
    let mut missing = Vec::new();
    for (item, until) in documented.iter().flat_map(|item| [(item, Taken), (item, Completion)]) {
        let is_of = |name: &str| {
            name.strip_prefix(&item.name).is_some_and(|rest| rest.starts_with([' ', ':']))
        };
        let has_case = shown.iter().any(|(name, of)| is_of(name) && *of == until);
        if item.says(until) && !has_case && !(until == Completion && elsewhere(&item.name)) {
            missing.push(format!("{} until {until:?}", item.name));
        }
    }
    assert!(missing.is_empty(), "without a case: {missing:#?}");
}
