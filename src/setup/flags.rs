//! The table of set-up flags: what each needs and excludes, and what else depends on it.
//!
//! A new flag gets a row here. The builder derives from the table which combinations it refuses,
//! which raw bits it refuses, and which flags a local ring asks for. The tests below compare the
//! table with the rest of the crate, and name the flag for which something is missing.
#![forbid(unsafe_code)]

use crate::sys::SetupFlags;

/// What sets a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetBy {
    /// A method of [`Builder`](crate::Builder), or the raw bit.
    Bit,
    /// Only a method of [`Builder`](crate::Builder): the flag changes the type of the ring, where
    /// its memory is, or how another argument is read.
    Method,
}

/// What is known about one flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) flag: SetupFlags,
    /// The flags of which it needs at least one.
    pub(crate) needs: SetupFlags,
    /// The flags that cannot be set together with it.
    pub(crate) excludes: SetupFlags,
    pub(crate) set_by: SetBy,
    /// Whether only one thread can use the ring.
    one_thread: bool,
    /// Whether it changes when, or with which flags, a submit enters the kernel.
    #[cfg_attr(
        not(all(test, feature = "std")),
        expect(dead_code, reason = "compared with the code that enters")
    )]
    changes_submit: bool,
    /// Whether [`Builder::local`](crate::Builder::local) asks for it.
    for_local: bool,
}

impl Row {
    const fn bit(flag: SetupFlags) -> Self {
        Self {
            flag,
            needs: SetupFlags::empty(),
            excludes: SetupFlags::empty(),
            set_by: SetBy::Bit,
            one_thread: false,
            changes_submit: false,
            for_local: false,
        }
    }

    const fn method(flag: SetupFlags) -> Self {
        Self { set_by: SetBy::Method, ..Self::bit(flag) }
    }

    const fn needs(self, one_of: SetupFlags) -> Self {
        Self { needs: one_of, ..self }
    }

    const fn excludes(self, others: SetupFlags) -> Self {
        Self { excludes: others, ..self }
    }

    const fn changes_submit(self) -> Self {
        Self { changes_submit: true, ..self }
    }

    const fn one_thread(self) -> Self {
        Self { one_thread: true, ..self }
    }

    const fn for_local(self) -> Self {
        Self { for_local: true, ..self }
    }
}

/// Each flag, in the order of its bits. The rules are those of the kernel.
pub(crate) const TABLE: [Row; 21] = {
    type F = SetupFlags;
    const LATER: F = F::COOP_TASKRUN.union(F::DEFER_TASKRUN);
    [
        Row::bit(F::IOPOLL).changes_submit(),
        Row::bit(F::SQPOLL).excludes(LATER.union(F::TASKRUN_FLAG)).changes_submit(),
        Row::bit(F::SQ_AFF).needs(F::SQPOLL),
        Row::method(F::CQSIZE),
        Row::bit(F::CLAMP),
        Row::method(F::ATTACH_WQ),
        Row::method(F::R_DISABLED),
        Row::bit(F::SUBMIT_ALL).for_local(),
        Row::bit(F::COOP_TASKRUN),
        Row::bit(F::TASKRUN_FLAG).needs(LATER).for_local(),
        Row::method(F::SQE128).excludes(F::SQE_MIXED),
        Row::method(F::CQE32).excludes(F::CQE_MIXED),
        Row::bit(F::SINGLE_ISSUER).one_thread().for_local(),
        Row::bit(F::DEFER_TASKRUN).needs(F::SINGLE_ISSUER).for_local(),
        Row::method(F::NO_MMAP),
        Row::method(F::REGISTERED_FD_ONLY).needs(F::NO_MMAP),
        Row::bit(F::NO_SQARRAY).for_local(),
        Row::bit(F::HYBRID_IOPOLL).needs(F::IOPOLL),
        Row::method(F::CQE_MIXED),
        Row::method(F::SQE_MIXED),
        Row::bit(F::SQ_REWIND).needs(F::NO_SQARRAY).excludes(F::SQPOLL).changes_submit(),
    ]
};

/// The flags whose rows meet `condition`.
fn flags_where(condition: impl Fn(&Row) -> bool) -> SetupFlags {
    TABLE.iter().filter(|row| condition(row)).map(|row| row.flag).collect()
}

/// The flags that only a method of the builder sets.
pub(crate) fn set_by_method() -> SetupFlags {
    flags_where(|row| row.set_by == SetBy::Method)
}

/// The flags with which only one thread can use the ring.
pub(crate) fn one_thread() -> SetupFlags {
    flags_where(|row| row.one_thread)
}

/// The flags that [`Builder::local`](crate::Builder::local) asks for, except those that `own` flags
/// exclude.
pub(crate) fn for_local(own: SetupFlags) -> SetupFlags {
    let excluded: SetupFlags =
        TABLE.iter().filter(|row| own.contains(row.flag)).map(|row| row.excludes).collect();
    flags_where(|row| row.for_local).difference(own.union(excluded))
}

/// Those of `flags` of whose needs none is in `all`.
pub(crate) fn in_need(flags: SetupFlags, all: SetupFlags) -> SetupFlags {
    let in_need = |row: &Row| !row.needs.is_empty() && !row.needs.intersects(all);
    flags.intersection(flags_where(in_need))
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::vec::Vec;

    use super::{SetBy, SetupFlags, TABLE};
    use crate::IoUring;
    use crate::enter::submit::CHANGE_SUBMIT;

    /// The names of the flags that have one.
    fn named() -> Vec<(&'static str, SetupFlags)> {
        SetupFlags::all().iter_names().collect()
    }

    #[test]
    fn every_flag_has_one_row_and_a_first_kernel() {
        for (name, flag) in named() {
            let rows = TABLE.iter().filter(|row| row.flag == flag).count();
            assert_eq!(rows, 1, "rows of {name} in `TABLE`, src/setup/flags.rs");
            assert!(flag.since().is_some(), "{name} has no first kernel: sys/src/flags/since.rs");
        }
        assert_eq!(TABLE.len(), named().len(), "a row is about no flag that has a name");
    }

    #[test]
    fn a_flag_that_changes_a_submit_is_one_that_the_submit_looks_at() {
        for row in TABLE {
            let (flag, looked_at) = (row.flag, CHANGE_SUBMIT.contains(row.flag));
            assert_eq!(row.changes_submit, looked_at, "{flag:?}: `CHANGE_SUBMIT` in src/enter");
        }
    }

    #[test]
    fn a_raw_bit_is_taken_as_the_table_says() {
        for row in TABLE {
            let all = row.flag.union(row.needs);
            let needs_of_needs = TABLE.iter().filter(|other| all.contains(other.flag));
            let all = needs_of_needs.fold(all, |all, other| all.union(other.needs));
            let refused = IoUring::builder().flags(all).check(8, SetupFlags::empty()).err();
            let by_method =
                TABLE.iter().any(|other| all.contains(other.flag) && other.set_by == SetBy::Method);
            assert_eq!(refused.is_some(), by_method, "{:?}: {refused:?}", row.flag);
        }
    }

    /// The flags that the method for `name` sets.
    fn set_by_method_for(name: &str) -> Option<SetupFlags> {
        let own = || IoUring::builder();
        let none = SetupFlags::empty();
        let other = std::fs::File::open("/dev/null").unwrap();
        let set = match name {
            "IOPOLL" => own().iopoll().asked_for(),
            "SQPOLL" => own().sqpoll(1).asked_for(),
            "SQ_AFF" => own().sqpoll(1).sqpoll_cpu(0).asked_for(),
            "CQSIZE" => own().cq_entries(64).check(8, none).unwrap(),
            "CLAMP" => own().clamp().asked_for(),
            "ATTACH_WQ" => own().attach_wq(&other).check(8, none).unwrap(),
            // `build_disabled`, `memory` and `build_without_fd` make or need a ring.
            "R_DISABLED" | "NO_MMAP" | "REGISTERED_FD_ONLY" => return None,
            "SUBMIT_ALL" => own().submit_all().asked_for(),
            "COOP_TASKRUN" => own().coop_taskrun().asked_for(),
            "TASKRUN_FLAG" => own().taskrun_flag().asked_for(),
            "SQE128" => own().sqe128().check(8, none).unwrap(),
            "CQE32" => own().cqe32().check(8, none).unwrap(),
            "SINGLE_ISSUER" => own().single_issuer().asked_for(),
            "DEFER_TASKRUN" => own().defer_taskrun().asked_for(),
            "NO_SQARRAY" => own().no_sqarray().asked_for(),
            "HYBRID_IOPOLL" => own().hybrid_iopoll().asked_for(),
            "CQE_MIXED" => own().cqe_mixed().check(8, none).unwrap(),
            "SQE_MIXED" => own().sqe_mixed().check(8, none).unwrap(),
            "SQ_REWIND" => own().sq_rewind().asked_for(),
            _ => panic!("{name}: add its method to `Builder`, and call it here"),
        };
        Some(set)
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri makes no system calls")]
    fn every_flag_has_a_method_that_sets_it() {
        for (name, flag) in named() {
            if let Some(set) = set_by_method_for(name) {
                assert!(set.contains(flag), "the method of {name} sets {set:?}");
            }
        }
    }
}
