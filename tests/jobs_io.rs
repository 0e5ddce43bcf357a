//! The safe front on the kernel: files, provided and registered buffers, polls and timeouts.
#![deny(unsafe_code)]
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

#[expect(unsafe_code, reason = "what tests of other layers share")]
mod common;

use core::error::Error;
use core::time::Duration;
use std::fs::File;
use std::io::{Read as _, Write as _};

use common::require;
use ringbolt::Timespec;
use ringbolt::jobs::{Lease, OwnedJobs, Pages, SafeRing};
use ringbolt::ops::{
    Fixed, FixedSpan, PollAdd, Read, ReadFixed, ReadMultishot, Readv, ReadvFixed, Span, Timeout,
    Vectors, WriteFixed, Writev, WritevFixed,
};
use ringbolt::register::BufferRingOptions;
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{BufRingFlags, CqeFlags, Features, Opcode, RegisterOp};

type Outcome = Result<(), Box<dyn Error>>;

/// A file without a name, with `bytes` in it.
fn file_of(name: &str, bytes: &[u8]) -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("ringbolt-{name}-{}", std::process::id()));
    let mut file =
        File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
    std::fs::remove_file(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

#[test]
fn a_buffer_is_filled_piece_by_piece_and_comes_back_with_the_last() -> Outcome {
    require!(feature: Features::RECVSEND_BUNDLE);
    require!(op: Opcode::RECV_ZC);
    let (reader, mut writer) = std::io::pipe()?;
    let mut jobs = SafeRing::new(8)?.into_jobs(1);
    let group = jobs.provide_with(2, 8, BufferRingOptions::from(BufRingFlags::INC))?;
    jobs.start_multi(reader, |reader| ReadMultishot::lent(reader, group).multi())?;
    let mut kept = Vec::new();
    for (text, more) in [(b"abc", true), (b"def", true), (b"ghi", false)] {
        writer.write_all(text)?;
        let mut event = jobs.wait_next()?.ok_or("no event")?;
        let first = event.received().ok_or("a buffer")?;
        assert_eq!(&first[..], &text[..first.len()]);
        assert_eq!(event.flags().contains(CqeFlags::BUF_MORE), more);
        kept.push(first);
        if kept.len() == 3 {
            // "gh" has filled the first buffer; "i" comes in the second.
            let mut event = jobs.wait_next()?.ok_or("no event")?;
            kept.push(event.received().ok_or("a buffer")?);
        }
    }
    let all: Vec<u8> = kept.iter().flat_map(|piece| piece.to_vec()).collect();
    assert_eq!(&all[..], b"abcdefghi");
    drop(kept);
    // Both buffers are of use again and again.
    for round in 0..50_u8 {
        writer.write_all(&[round; 5])?;
        let mut bytes = Vec::new();
        while bytes.len() < 5 {
            let mut event = jobs.wait_next()?.ok_or("no event")?;
            assert!(!event.ran_dry(), "round {round}");
            bytes.extend_from_slice(&event.received().ok_or("a buffer")?);
        }
        assert_eq!(bytes, [round; 5]);
    }
    Ok(())
}

#[test]
fn vectors_read_and_write_in_one_chain() -> Outcome {
    struct Copy {
        files: (File, File),
        parts: [[u8; 8]; 2],
        tables: (Vectors<2>, Vectors<2>),
    }
    let source = file_of("vectors-from", b"0123456789abcdef")?;
    let target = file_of("vectors-to", b"")?;
    let mut check = target.try_clone()?;
    let mut jobs = SafeRing::new(8)?.into_jobs(1);
    let value = Copy {
        files: (source, target),
        parts: [[0; 8]; 2],
        tables: (Vectors::new(), Vectors::new()),
    };
    jobs.start_chain(value, |copy| {
        let [first, second] = &mut copy.parts;
        let parts = [Span::from(first), Span::from(second)];
        let spans = copy.tables.0.spans(parts);
        // The other way round.
        let pieces = copy.tables.1.pieces([parts[1], parts[0]]);
        [
            Readv::lent(&copy.files.0, spans).offset(0).op(),
            Writev::lent(&copy.files.1, pieces).offset(0).op(),
        ]
    })?;
    let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
    assert_eq!((done.result_of(0), done.result_of(1)), (Ok(16), Ok(16)));
    let mut text = String::new();
    check.read_to_string(&mut text)?;
    assert_eq!(text, "89abcdef01234567");
    Ok(())
}

#[test]
fn leases_are_read_into_and_written_from() -> Outcome {
    struct Copy {
        files: (File, File),
        lease: Lease,
    }
    let text: Vec<u8> = (0..=255).collect();
    let target = file_of("leases-to", b"")?;
    let mut check = target.try_clone()?;
    let mut jobs: OwnedJobs<Copy> = SafeRing::new(8)?.into_jobs(1);
    let mut leases = jobs.lease(3, 1000, Pages::Usual)?;
    assert_eq!(jobs.lease(1, 1, Pages::Usual).err(), Some(Errno::BUSY));
    let lease = leases.nth(1).ok_or("three buffers")?;
    let files = (file_of("leases-from", &text)?, target);
    jobs.start_chain(Copy { files, lease }, |copy| {
        let span = FixedSpan::from(&mut copy.lease).first(200);
        [
            ReadFixed::lent(&copy.files.0, span).offset(0).op(),
            WriteFixed::lent(&copy.files.1, span.after(100)).offset(0).op(),
        ]
    })?;
    let mut done = jobs.wait_next()?.ok_or("no event")?.expect_done();
    assert_eq!((done.result_of(0), done.result_of(1)), (Ok(200), Ok(100)));
    assert_eq!((&done.lease[..200], done.lease[200]), (&text[..200], 0));
    done.lease[0] = 9;
    let value = done.finish();
    let mut copied = Vec::new();
    check.read_to_end(&mut copied)?;
    assert_eq!(copied, text[100..200]);
    // Its memory stays when the ring is gone.
    drop(jobs);
    assert_eq!((value.lease[0], value.lease.len(), value.lease.index()), (9, 1000, 1));
    // On another ring it is nothing.
    let mut other: OwnedJobs<Copy> = SafeRing::new(8)?.into_jobs(1);
    other.start(value, |copy| ReadFixed::lent(&copy.files.0, &mut copy.lease).offset(0).op())?;
    assert_eq!(other.wait_next()?.ok_or("no event")?.result(), Err(Errno::FAULT));
    Ok(())
}

#[test]
fn vectors_in_one_registered_buffer() -> Outcome {
    require!(op: Opcode::READV_FIXED);
    let target = file_of("fixed-to", b"")?;
    let mut check = target.try_clone()?;
    let mut jobs = SafeRing::new(8)?.into_jobs(1);
    let lease = jobs.lease(1, 64, Pages::Usual)?.next().ok_or("one buffer")?;
    let files = (file_of("fixed-from", b"0123456789")?, target);
    jobs.start_chain((files, lease, Vectors::<2>::new(), Vectors::<2>::new()), |value| {
        let (files, lease, read, write) = value;
        let span = FixedSpan::from(lease);
        let spans = read.fixed_spans([span.first(4), span.after(32).first(6)]);
        let pieces = write.fixed_pieces([span.after(32).first(6), span.first(4)]);
        [
            ReadvFixed::lent(&files.0, spans).offset(0).op(),
            WritevFixed::lent(&files.1, pieces).offset(0).op(),
        ]
    })?;
    let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
    assert_eq!((done.result_of(0), done.result_of(1)), (Ok(10), Ok(10)));
    let mut text = String::new();
    check.read_to_string(&mut text)?;
    assert_eq!(text, "4567890123");
    Ok(())
}

#[test]
fn polls_and_timeouts_go_on() -> Outcome {
    require!(op: Opcode::SENDMSG_ZC);
    require!(op: Opcode::FUTEX_WAIT);
    let (reader, mut writer) = std::io::pipe()?;
    let mut jobs = SafeRing::new(8)?.into_jobs(1);
    let key = jobs.start_multi(reader, |reader| PollAdd::lent(reader, EventFlags::IN).multi())?;
    for _ in 0..3 {
        writer.write_all(b"!")?;
        let event = jobs.wait_next()?.ok_or("no event")?;
        assert!(event.has_more() && event.result()? & 1 == 1);
    }
    jobs.cancel(key)?;
    assert_eq!(jobs.wait_next()?.ok_or("no event")?.result(), Err(Errno::CANCELED));

    let mut jobs = SafeRing::new(8)?.into_jobs(1);
    let time = Timespec::from(Duration::from_millis(1));
    jobs.start_multi(time, |time| Timeout::lent(time).count(3).multi())?;
    let mut more = Vec::new();
    while let Some(event) = jobs.wait_next()? {
        assert_eq!(event.result(), Err(Errno::TIME));
        more.push(event.has_more());
    }
    assert_eq!(more, [true, true, false]);
    Ok(())
}

#[test]
fn a_read_takes_a_buffer_of_a_group_and_a_slot_is_read_from() -> Outcome {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    let mut jobs: OwnedJobs<Option<File>> = SafeRing::new(8)?.into_jobs(1);
    let group = jobs.provide(2, 64)?;
    let file = File::open("Cargo.toml")?;
    jobs.start(Some(file), |file| match file {
        Some(file) => Read::group(&*file, 64, group).offset(0).op(),
        None => Read::group(Fixed(0), 64, group).op(),
    })?;
    let mut event = jobs.wait_next()?.ok_or("no event")?;
    let received = event.received().ok_or("a buffer")?;
    assert_eq!(&received[..], &std::fs::read("Cargo.toml")?[..64]);
    // An empty slot of a ring without a table.
    jobs.start(None, |_| Read::group(Fixed(0), 64, group).op())?;
    assert_eq!(jobs.wait_next()?.ok_or("no event")?.result(), Err(Errno::BADF));
    Ok(())
}
