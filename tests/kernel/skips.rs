//! Which skips are failures, by `RINGBOLT_NO_SKIP`.

use crate::common::{Lack, newest};
use ringbolt::sys::KernelVersion;

#[test]
fn a_kernel_has_to_have_what_is_as_old_as_the_newest_that_it_has() {
    let newest = newest();
    let newer = KernelVersion::new(newest.major, newest.minor + 1);
    let fails = |since, wish| Lack::of_kernel("something", since).is_unwanted(wish);
    assert_eq!(
        [Some(newest), Some(newer), None].map(|since| fails(since, "kernel")),
        [true, false, false]
    );
    assert!(fails(Some(KernelVersion::new(5, 1)), "kernel"));
    assert!(fails(Some(newer), "1"));
    assert!(!fails(Some(newest), "0") && !fails(Some(newest), ""));
}

#[test]
fn neither_a_machine_nor_a_point_release_has_to_have_anything() {
    for lack in [Lack::of_machine("a second CPU"), Lack::of_repair("a repair")] {
        assert!(!lack.is_unwanted("kernel"));
        assert!(lack.is_unwanted("1"));
    }
}
