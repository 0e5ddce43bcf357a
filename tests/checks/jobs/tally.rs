//! [`Tally`]: what has happened in programs.

/// How often what was meant to happen has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) started: u64,
    pub(crate) refused: u64,
    pub(crate) events: u64,
    pub(crate) chains: u64,
    pub(crate) forgotten: u64,
    pub(crate) restarts: u64,
    pub(crate) refused_restarts: u64,
    pub(crate) panics: u64,
    pub(crate) bombs: u64,
    pub(crate) cancels: u64,
    pub(crate) stale_cancels: u64,
    pub(crate) scopes: u64,
    pub(crate) owned: u64,
    pub(crate) drained: u64,
    pub(crate) late_shutdowns: u64,
    pub(crate) leaked: u64,
    pub(crate) nested: u64,
    pub(crate) received: u64,
    pub(crate) went_on: u64,
    pub(crate) ran_dry: u64,
    pub(crate) stale_groups: u64,
    pub(crate) audits: u64,
    pub(crate) limited: u64,
}

impl Tally {
    fn all(&mut self) -> [(&'static str, &mut u64); 23] {
        [
            ("started", &mut self.started),
            ("refused", &mut self.refused),
            ("events", &mut self.events),
            ("chains", &mut self.chains),
            ("forgotten", &mut self.forgotten),
            ("restarts", &mut self.restarts),
            ("refused_restarts", &mut self.refused_restarts),
            ("panics", &mut self.panics),
            ("bombs", &mut self.bombs),
            ("cancels", &mut self.cancels),
            ("stale_cancels", &mut self.stale_cancels),
            ("scopes", &mut self.scopes),
            ("owned", &mut self.owned),
            ("drained", &mut self.drained),
            ("late_shutdowns", &mut self.late_shutdowns),
            ("leaked", &mut self.leaked),
            ("nested", &mut self.nested),
            ("received", &mut self.received),
            ("went_on", &mut self.went_on),
            ("ran_dry", &mut self.ran_dry),
            ("stale_groups", &mut self.stale_groups),
            ("audits", &mut self.audits),
            ("limited", &mut self.limited),
        ]
    }

    pub(crate) fn add(&mut self, mut other: Self) {
        self.all().into_iter().zip(other.all()).for_each(|((_, sum), (_, more))| *sum += *more);
    }

    /// Fails if something never happened.
    pub(crate) fn assert_everything_has_happened(mut self) {
        for (name, count) in self.all() {
            assert!(*count > 0, "nothing was {name}");
        }
    }
}
