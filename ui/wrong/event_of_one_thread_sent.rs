//! The event of jobs that belong to one thread, sent to another.

use ringbolt::jobs::OwnedJobs;

fn program(jobs: &mut OwnedJobs<()>) {
    let done = jobs.next().unwrap().expect_done();
    std::thread::scope(|threads| {
        threads.spawn(move || done.finish());
    });
}

fn main() {}
