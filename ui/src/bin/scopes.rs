//! Scopes: jobs that borrow what outlives them, by values and by captures, one inside the other.

use std::error::Error;
use std::fs::File;

use ringbolt::jobs::{Jobs, Place, SafeRing};
use ringbolt::ops::{OpIn, Read};

struct Task<'f> {
    from: &'f File,
    bytes: Vec<u8>,
}

impl Task<'_> {
    fn read<'s>(&mut self) -> OpIn<'_, 's> {
        Read::lent(self.from, &mut self.bytes).offset(0).op()
    }
}

fn begin<'env>(
    jobs: &mut Jobs<'_, 'env, Task<'env>>,
    from: &'env File,
) -> Result<(), Box<dyn Error>> {
    jobs.start(Task { from, bytes: vec![0; 4] }, Task::read)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = File::open("/proc/self/comm")?;
    let (mut captured, mut lent) = ([0; 8], [0; 8]);
    let (mut first, mut second) = (SafeRing::new(4)?, SafeRing::new(4)?);
    first.scope(&mut [const { Place::new() }; 2], |jobs| -> Result<(), Box<dyn Error>> {
        begin(jobs, &file)?;
        second.scope(&mut [const { Place::new() }; 2], |inner| -> Result<(), Box<dyn Error>> {
            inner.start(None, |_| Read::lent(&file, &mut captured).offset(0).op())?;
            inner.start(Some(&mut lent), |lent| match lent {
                Some(lent) => Read::lent(&file, &mut **lent).offset(0).op(),
                None => ringbolt::ops::Nop::new().op(),
            })?;
            while let Some(event) = inner.wait_next()? {
                event.result()?;
            }
            Ok(())
        })?;
        let task = jobs.wait_next()?.ok_or("no job")?.finish().ok_or("done")?;
        assert_ne!(task.bytes, [0; 4]);
        Ok(())
    })?;
    assert_eq!(captured, lent);
    // A ring has one scope after the other, and then owned jobs.
    first.scope::<(), _>(&mut [], |jobs| assert!(jobs.is_full() && jobs.is_empty()));
    drop(first.into_jobs::<String>(1));
    Ok(())
}
