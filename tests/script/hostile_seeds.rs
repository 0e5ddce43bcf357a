//! What a fuzzer of a hostile other side starts from.

use ringbolt::sys::{CqeFlags, SqeFlags};

use super::Script;
use super::action::{Action, Call, CallKind, DrainFate, Fate};
use super::config::{Config, Width};
use super::hostile::{DO, HEAD_BACK};
use super::op::{Kind, Link, Op};
use super::seeds::scripts;

/// The seed scripts as those of a side that is honest as yet, and one of a side that is not; with
/// their names.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |script: &Script| {
        let mut bytes = Vec::new();
        script.config.write(&mut bytes);
        // Set-up is answered truly.
        bytes.push(0);
        for action in &script.actions {
            bytes.push(DO);
            action.write(&mut bytes);
        }
        bytes
    };
    let honest = scripts().map(|(name, script)| (name.to_owned(), seed(&script)));
    let hostile = [
        ("a_wide_completion_in_the_last_slot".to_owned(), cut_completion()),
        ("a_submission_head_that_goes_back".to_owned(), head_back()),
    ];
    honest.chain(hostile).collect()
}

/// A submission head that goes back behind entries that were taken, before they are rolled back.
fn head_back() -> Vec<u8> {
    let config = Config { entries: 4, start: u32::MAX - 2, ..super::config(&[]) };
    let nop = Op { kind: Kind::Nop { result: 0 }, link: Link::None, flags: SqeFlags::empty() };
    let push = Action::Push(nop);
    let submit = Action::Call(Call { kind: CallKind::Submit, want: 0, by_half: false });
    let reserve = |room| Action::Reserve { room, ops: Vec::new(), fate: Fate::Commit };
    let mut bytes = Vec::new();
    config.write(&mut bytes);
    bytes.push(0);
    let write = |actions: &[Action], bytes: &mut Vec<u8>| {
        for action in actions {
            bytes.push(DO);
            action.write(bytes);
        }
    };
    for back in 1..=4 {
        write(&[push.clone(), submit.clone(), reserve(4)], &mut bytes);
        bytes.extend([HEAD_BACK, back - 1]);
        let rollback = if back % 2 == 0 { Action::Rollback } else { Action::PopBack };
        write(&[rollback, reserve(4 + back), reserve(5), submit.clone()], &mut bytes);
    }
    bytes
}

/// A wide completion that starts in the last slot, and others behind it.
fn cut_completion() -> Vec<u8> {
    let (cq, start) = (Width::Mixed, u32::MAX);
    let config = Config { cq, entries: 2, cq_entries: 2, start, ..super::config(&[]) };
    let mut bytes = Vec::new();
    config.write(&mut bytes);
    bytes.push(0);
    for slot in 0..2 {
        bytes.extend([2, slot]);
        let raw = [[0; 12].as_slice(), &CqeFlags::F_32.bits().to_le_bytes()].concat();
        bytes.extend([raw.clone(), raw].concat());
    }
    // Two more than there are.
    bytes.extend([0, 5, 0, 4, DO]);
    Action::Drain { count: 0, fate: DrainFate::End }.write(&mut bytes);
    bytes
}
