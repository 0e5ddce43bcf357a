//! What set-up answers, whatever it is: each field of `struct io_uring_params` is the input's.
//!
//! A naive reading of the answer says whether a ring can come of it. One that cannot is refused, by
//! an error that says why; any other is a ring, whatever lies where and over what. That ring then
//! goes through what a hostile other side does, in memory that ends where the answer says.

use std::sync::{Arc, Mutex, PoisonError};

use ringbolt::rustix::io::Errno;
use ringbolt::sim::Kernel;
use ringbolt::sys::{Features, SetupFlags, SharedPtr, io_uring_params};
use ringbolt::{BuildError, Builder};

use super::Seed;
use super::bytes::Bytes;
use super::script::config::{Config, Width};
use super::script::hostile::Victim;
use super::script::kinds::{Completed, Submitted};

/// A field of what set-up returns.
type Field = fn(&mut io_uring_params) -> &mut u32;

/// The fields that are plain numbers.
const FIELDS: [Field; 24] = [
    |params| &mut params.sq_off.head,
    |params| &mut params.sq_off.tail,
    |params| &mut params.sq_off.flags,
    |params| &mut params.sq_off.dropped,
    |params| &mut params.cq_off.head,
    |params| &mut params.cq_off.tail,
    |params| &mut params.cq_off.overflow,
    |params| &mut params.cq_off.flags,
    |params| &mut params.sq_entries,
    |params| &mut params.cq_entries,
    |params| &mut params.sq_off.array,
    |params| &mut params.cq_off.cqes,
    |params| &mut params.sq_off.ring_mask,
    |params| &mut params.sq_off.ring_entries,
    |params| &mut params.sq_off.resv1,
    |params| &mut params.cq_off.ring_mask,
    |params| &mut params.cq_off.ring_entries,
    |params| &mut params.cq_off.resv1,
    |params| &mut params.sq_thread_cpu,
    |params| &mut params.sq_thread_idle,
    |params| &mut params.wq_fd,
    |params| &mut params.resv[0],
    |params| &mut params.resv[1],
    |params| &mut params.resv[2],
];

/// How many of [`FIELDS`], from the first, are offsets of words.
const WORDS: u8 = 8;
/// The places of others among them.
const SQ_ENTRIES: usize = 8;
const CQ_ENTRIES: usize = 9;

/// How many changes there are: to [`FIELDS`], to the flags, and to the features.
const CHANGES: usize = FIELDS.len() + 2;
const FEATURES: usize = FIELDS.len() + 1;

/// Bytes of an input that say which ring is asked for.
const CONFIG: usize = 16;

/// The longest region that a simulated ring has for what is not so.
const MOST_TOLD: u64 = 64 * 1024;

/// What becomes of a field.
#[derive(Clone, Copy)]
enum Change {
    Keep,
    Is(u32),
    MoreBy(i32),
}

/// An answer: what becomes of each field, and the two addresses.
type Answer = ([Change; CHANGES], [u64; 2]);

/// What set-up says: before it was changed, and after.
type Told = Arc<Mutex<[io_uring_params; 2]>>;

pub(crate) fn check(input: &[u8]) {
    let (config, rest) = input.split_at(CONFIG.min(input.len()));
    let config = super::script::config(config);
    let builder = config.builder();
    match config.sq {
        Width::Narrow => check_wide(config, &builder, rest),
        Width::Wide => check_wide(config, &builder.sqe128(), rest),
        Width::Mixed => check_wide(config, &builder.sqe_mixed(), rest),
    }
}

fn check_wide<S: Submitted>(config: Config, builder: &Builder<S>, input: &[u8]) {
    match config.cq {
        Width::Narrow => check_on(config, builder, input),
        Width::Wide => check_on(config, &builder.clone().cqe32(), input),
        Width::Mixed => check_on(config, &builder.clone().cqe_mixed(), input),
    }
}

fn check_on<S: Submitted, C: Completed>(config: Config, builder: &Builder<S, C>, input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let answer = read_answer(&mut bytes);
    let kernel = Kernel::starting_at(config.start);
    let told: Told = Arc::new(Mutex::new([io_uring_params::ZEROED; 2]));
    let tell = Arc::clone(&told);
    kernel.answer_setup_with(move |params| {
        let honest = *params;
        change(params, &answer);
        *tell.lock().unwrap_or_else(PoisonError::into_inner) = [honest, *params];
    });
    let built = builder.clone().simulated(&kernel).build_local(config.entries());
    let [honest, told] = *told.lock().unwrap_or_else(PoisonError::into_inner);
    let is_sound = is_sound(config, &honest, &told);
    let ring = match built {
        Ok(ring) => ring,
        Err(error) => {
            assert!(!is_sound, "{error}: {told:#?}");
            let by_layout = matches!(error, BuildError::Layout(_));
            let by_age = error == BuildError::TooOld;
            let by_map = matches!(error, BuildError::Map(Errno::INVAL));
            assert!(by_layout || by_age || by_map, "{error:?}");
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(is_sound, "this was taken: {told:#?}");
    assert_eq!(numbers(ring.params()), numbers(&told), "the ring's own account of it");
    assert_eq!((ring.setup_flags(), ring.features()), (told.flags, told.features));
    let mut victim = Victim::new(config, kernel.clone(), ring);
    while !bytes.is_empty() {
        match bytes.below(4) {
            0 => {
                let word = numbers(&told)[usize::from(bytes.below(WORDS))];
                kernel.scribble_rings(word, &bytes.array::<4>());
            }
            1 => kernel.scribble_rings(bytes.u16().into(), &bytes.array::<16>()),
            _ => victim.survive(bytes.up_to(24)),
        }
    }
}

fn read_answer(bytes: &mut Bytes<'_>) -> Answer {
    let changes = core::array::from_fn(|_| match bytes.below(16) {
        0..8 => Change::Keep,
        8 => Change::Is(4 * u32::from(bytes.u8())),
        9 => Change::Is(64 * u32::from(bytes.below(32))),
        10 => Change::Is(1 << bytes.below(32)),
        11 => Change::MoreBy(i32::from(bytes.u8()) - 128),
        12 => Change::MoreBy(4 * (i32::from(bytes.u8()) - 128)),
        13 => Change::Is(bytes.u8().into()),
        14 => Change::Is(bytes.u16().into()),
        _ => Change::Is(bytes.u32()),
    });
    let address = |bytes: &mut Bytes<'_>| if bytes.bool() { bytes.u64() } else { 0 };
    (changes, [address(bytes), address(bytes)])
}

impl Change {
    const fn of(self, there: u32) -> u32 {
        match self {
            Self::Keep => there,
            Self::Is(value) => value,
            Self::MoreBy(more) => there.wrapping_add_signed(more),
        }
    }
}

/// What [`FIELDS`] hold.
fn numbers(params: &io_uring_params) -> [u32; FIELDS.len()] {
    let mut params = *params;
    FIELDS.map(|field| *field(&mut params))
}

fn change(params: &mut io_uring_params, (changes, addresses): &Answer) {
    for (field, change) in FIELDS.iter().zip(changes) {
        let place = field(params);
        *place = change.of(*place);
    }
    let [.., flags, features] = changes;
    params.flags = SetupFlags::from_bits_retain(flags.of(params.flags.bits()));
    params.features = Features::from_bits_retain(features.of(params.features.bits()));
    let [sq, cq] = addresses.map(SharedPtr::without_provenance);
    (params.sq_off.user_addr, params.cq_off.user_addr) = (sq, cq);
}

/// Whether all that is told lies in memory that there is, and can be addressed there, by a kernel
/// that is not too old.
fn is_sound(config: Config, honest: &io_uring_params, told: &io_uring_params) -> bool {
    let sqe_size = if config.sq == Width::Wide { 128 } else { 64 };
    let cqe_size = if config.cq == Width::Wide { 32 } else { 16 };
    let end = |offset: u32, count: u32, size: u64| u64::from(offset) + u64::from(count) * size;
    let has_array = !told.flags.contains(SetupFlags::NO_SQARRAY);
    let array = if has_array { end(told.sq_off.array, told.sq_entries, 4) } else { 0 };
    let cqes = end(told.cq_off.cqes, told.cq_entries, cqe_size);
    let sqes = end(0, told.sq_entries, sqe_size);

    let both = array.max(cqes);
    let single = told.features.contains(Features::SINGLE_MMAP);
    let (sq_len, cq_len) = if single { (both, both) } else { (array, cqes) };
    let fits = |offset: u32, len: u64| offset % 4 == 0 && u64::from(offset) + 4 <= len;
    let (sq, cq) = (&told.sq_off, &told.cq_off);
    let sq_words = [sq.head, sq.tail, sq.flags, sq.dropped];
    let cq_words = [cq.head, cq.tail, cq.overflow];

    let there = end(honest.cq_off.cqes, honest.cq_entries, cqe_size);
    let sqes_there = end(0, honest.sq_entries, sqe_size);
    told.features.contains(Features::POLL_32BITS)
        && told.sq_entries.is_power_of_two()
        && told.cq_entries.is_power_of_two()
        && sq_words.iter().all(|word| fits(*word, sq_len))
        && cq_words.iter().all(|word| fits(*word, cq_len))
        && (cq.flags == 0 || fits(cq.flags, cq_len))
        && (!has_array || fits(sq.array, sq_len))
        && cq.cqes % 8 == 0
        && both <= there.max(MOST_TOLD)
        && sqes <= sqes_there.max(MOST_TOLD)
}

/// An input: a ring, changes to fields, and something of everything that comes after.
fn input(config: Config, changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut input = Vec::new();
    config.write(&mut input);
    input.resize(CONFIG, 0);
    for field in 0..CHANGES {
        let change = changes.iter().find(|(changed, _)| *changed == field);
        input.extend_from_slice(change.map_or(&[0], |(_, change)| *change));
    }
    input.extend([0, 0]);
    input.extend((0..400_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]));
    input
}

pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let widths = [("narrow", Width::Narrow), ("wide", Width::Wide), ("mixed", Width::Mixed)];
    for ((name, width), array) in widths.into_iter().flat_map(|w| [(w, false), (w, true)]) {
        let name = format!("{name}{}", if array { "_with_array" } else { "" });
        let (sq, cq, start) = (width, width, u32::MAX - 1);
        let config = Config { sq, cq, array, entries: 4, start, ..super::script::config(&[]) };
        let mut seed = |what: &str, changes: &[(usize, &[u8])]| {
            seeds.push((format!("{name}{what}"), input(config, changes)));
        };
        seed("", &[]);
        seed("_in_two_mappings", &[(FEATURES, &[13, 0])]);
        seed("_of_one_slot", &[(SQ_ENTRIES, &[10, 0]), (CQ_ENTRIES, &[10, 0])]);
        seed("_of_more_slots", &[(SQ_ENTRIES, &[10, 6]), (CQ_ENTRIES, &[10, 7])]);
        seed("_behind_the_end", &[(0, &[12, 255])]);
        seed("_all_at_0", &core::array::from_fn::<_, 8, _>(|word| (word, &[8, 0][..])));
    }
    seeds
}
