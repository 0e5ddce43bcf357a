//! Memory that the kernel uses longer than an entry looks as if it did.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Instant;

use crate::common::{Lack, PATIENCE, TempDir, complete, reap, require};
use crate::contract_common::device::{ATTEMPTS, Direct, FILLED, NEEDED};
use crate::op_common::{
    AS_OF_6_0, AS_OF_6_11, assert_quiet, leaked, patient, pipe, reap_told, ring, start, start_all,
    udp,
};
use ringbolt::ops::{
    IoVec, LinkTimeout, Madvise, MsgHdr, ProvideBuffers, Read, ReadFixed, RecvMsg, Send, SendMsg,
    WriteFixed,
};
use ringbolt::rustix::fd::AsFd;
use ringbolt::rustix::fs::{MemfdFlags, fstatfs, ftruncate, memfd_create};
use ringbolt::rustix::mm::{Advice, MapFlags, ProtFlags, mmap, mmap_anonymous};
use ringbolt::rustix::net::SendFlags;
use ringbolt::rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use ringbolt::sys::Opcode;
use ringbolt::{IoUring, Sqe, Timespec};
use rustix::io::Errno;

const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

/// New memory, which stays for ever.
fn anonymous(len: usize, access: ProtFlags, flags: MapFlags) -> *mut u8 {
    // SAFETY: the kernel chooses the address.
    unsafe { mmap_anonymous(core::ptr::null_mut(), len, access, flags) }.expect("memory").cast()
}

/// Memory that shows `file`, for ever.
fn mapped(file: impl AsFd, access: ProtFlags, flags: MapFlags) -> *mut u8 {
    // SAFETY: the kernel chooses the address.
    let memory = unsafe { mmap(core::ptr::null_mut(), 8192, access, flags, file, 0) };
    memory.expect("memory").cast()
}

/// Submits `entry` behind a read that waits, calls `meanwhile`, and lets the chain go on.
fn behind_a_gate(ring: &mut IoUring, entry: Sqe, meanwhile: impl FnOnce()) -> Result<u32, Errno> {
    let (reader, mut writer) = pipe();
    let gate = Read::new(&reader, leaked::<1>().as_mut_ptr(), 1).sqe(0).link();
    // SAFETY: the callers keep what the entry names; the gate's memory stays for ever.
    unsafe { start_all(ring, &[gate, entry]) };
    meanwhile();
    assert_quiet(ring);
    writer.write_all(b"x").expect("room in the pipe");
    let told = reap_told(ring, 2);
    assert_eq!(told[0], (0, Ok(1)));
    told[1].1
}

#[test]
fn registered_memory_is_written_and_read_after_the_submit() {
    let memory = anonymous(4096, READ_WRITE, MapFlags::PRIVATE).cast::<[u8; 4]>();
    let mut ring = ring();
    // SAFETY: mapped for ever, and used only as the entries below allow.
    unsafe { ring.registrar().register_buffers(&[IoVec::new(memory.cast(), 4096)]) }
        .expect("a buffer");
    let dir = TempDir::new();
    let path = dir.file("data", b"file");
    let file = File::options().read(true).write(true).open(&path).expect("a file");

    let read = ReadFixed::new(&file, memory.cast(), 4, 0).offset(0).sqe(1);
    // SAFETY: mapped memory that no operation uses yet.
    unsafe { memory.write(*b"....") };
    assert_eq!(behind_a_gate(&mut ring, read, || {}), Ok(4));
    // SAFETY: mapped memory, and the read has completed.
    assert_eq!(&unsafe { memory.read() }, b"file");

    let write = WriteFixed::new(&file, memory.cast(), 4, 0).offset(0).sqe(1);
    // The contract forbids this, to see when the kernel reads; nothing else comes of it.
    // SAFETY: mapped memory, and the write waits behind a read that has not completed.
    let change = || unsafe { memory.write(*b"late") };
    assert_eq!(behind_a_gate(&mut ring, write, change), Ok(4));
    assert_eq!(std::fs::read(&path).ok().as_deref(), Some(&b"late"[..]));
}

#[test]
fn advice_changes_memory_after_the_submit() {
    require!(op: Opcode::MADVISE);
    let memory = anonymous(4096, READ_WRITE, MapFlags::PRIVATE);
    let mut ring = ring();
    let advise = Madvise::new(memory, 4096, Advice::LinuxDontNeed).sqe(1);
    // SAFETY: mapped memory, and the advice waits behind a read that has not completed.
    let fill = || unsafe { memory.write(7) };
    assert_eq!(behind_a_gate(&mut ring, advise, fill), Ok(0));
    // SAFETY: mapped memory.
    assert_eq!(unsafe { memory.read() }, 0, "the page was thrown away");
}

#[test]
fn the_room_for_control_messages_is_written_after_the_submit() {
    let (one, two) = (udp(), udp());
    let on = 1_i32;
    // SAFETY: a number of four bytes, which the kernel reads during the call.
    let set = unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_TIMESTAMP);
        libc::setsockopt(two.as_raw_fd(), level, name, (&raw const on).cast(), 4)
    };
    assert_eq!(set, 0);
    one.send_to(b"hello", two.local_addr().expect("it is bound")).expect("it is sent");
    let control = leaked::<64>().as_mut_ptr().cast::<[u8; 64]>();
    let vectors = [IoVec::new(leaked::<8>().as_mut_ptr(), 8)];
    let mut header = MsgHdr {
        vectors: vectors.as_ptr(),
        vector_count: 1,
        control: control.cast(),
        control_len: 64,
        ..MsgHdr::EMPTY
    };
    let receive = RecvMsg::new(&two, &raw mut header).sqe(1);
    // SAFETY: leaked memory, and the receive waits behind a read that has not completed.
    let before = || assert_eq!(unsafe { control.read() }, [b'-'; 64]);
    assert_eq!(behind_a_gate(&mut ring(), receive, before), Ok(5));
    // SAFETY: leaked memory, and the receive has completed.
    assert_ne!(unsafe { control.read() }, [b'-'; 64]);
}

/// Goal: the memory of a provided buffer is written after its ring was closed.
/// Method: a worker that reads much into one; the ring is closed meanwhile, which returns first.
#[test]
fn closing_a_ring_does_not_end_the_use_of_provided_buffers() {
    const LEN: usize = 64 << 20;
    const LEN32: u32 = 64 << 20;
    let memory = anonymous(LEN, READ_WRITE, MapFlags::PRIVATE);
    let file = memfd_create("zeros", MemfdFlags::CLOEXEC).expect("a file");
    ftruncate(&file, LEN as u64).expect("it grows");
    // SAFETY: inside the memory, which is mapped for ever.
    let place = unsafe { memory.add(LEN - 1) };
    // SAFETY: mapped memory, of which any value will do.
    let last = || unsafe { place.read_volatile() };
    let mut outcomes = Vec::new();
    for attempt in 0..40 {
        // SAFETY: mapped memory, which nobody uses: the last attempt has been waited for.
        unsafe { memory.write_bytes(0xaa, LEN) };
        let mut ring = ring();
        let provide = ProvideBuffers::new(memory, LEN32, 1, 7, 0).sqe(1);
        // SAFETY: mapped for ever, and not written by the program while the kernel may use it.
        assert_eq!(unsafe { complete(&mut ring, provide) }.result(), Ok(0));
        let read = Read::provided(&file, LEN32, 7).offset(0).sqe(2).force_async();
        // SAFETY: the file stays until all is written, and the memory for ever.
        unsafe { start(&mut ring, read) };
        std::thread::sleep(Duration::from_micros(200 * (attempt % 20)));
        ring.close();
        let when_closed = last();
        // Either it was not begun, and never is, or it goes on to the end.
        let end = Instant::now() + Duration::from_millis(300);
        while last() != 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        outcomes.push((when_closed, last()));
        if outcomes.ends_with(&[(0xaa, 0)]) {
            return;
        }
    }
    panic!("never seen to be written after closing: {outcomes:x?}");
}

/// A connection whose receiving end takes little at a time.
fn narrow() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    set_socket_recv_buffer_size(&listener, 4096).expect("a socket");
    let ours = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    set_socket_send_buffer_size(&ours, 4 << 20).expect("a socket");
    let (theirs, _) = listener.accept().expect("a connection");
    (ours, patient(theirs))
}

/// Goal: `MSG_ZEROCOPY` has the kernel read memory after the completion.
/// Method: memory that is changed when the send has completed, and a peer that reads only then.
#[test]
fn a_send_with_zerocopy_reads_memory_after_its_completion() {
    const ZEROCOPY: SendFlags = SendFlags::from_bits_retain(0x400_0000);
    const BYTES: usize = 128 << 10;
    const BYTES32: u32 = 128 << 10;
    for by_message in [false, true] {
        let (ours, mut theirs) = narrow();
        let on = 1_i32;
        // SAFETY: a number of four bytes, which the kernel reads during the call.
        let set = unsafe {
            let (level, name) = (libc::SOL_SOCKET, libc::SO_ZEROCOPY);
            libc::setsockopt(ours.as_raw_fd(), level, name, (&raw const on).cast(), 4)
        };
        assert_eq!(set, 0);
        let memory = anonymous(BYTES, READ_WRITE, MapFlags::PRIVATE);
        // SAFETY: mapped memory that nobody uses yet.
        unsafe { memory.write_bytes(1, BYTES) };
        let vectors = [IoVec::new(memory, BYTES)];
        let header = MsgHdr { vectors: vectors.as_ptr(), vector_count: 1, ..MsgHdr::EMPTY };
        let send = if by_message {
            SendMsg::new(&ours, &header).flags(ZEROCOPY).sqe(1)
        } else {
            Send::new(&ours, memory, BYTES32).flags(ZEROCOPY).sqe(1)
        };
        // SAFETY: mapped for ever; the vectors and the header stay until this returns.
        let sent = unsafe { complete(&mut ring(), send) }.result().expect("bytes");
        // The contract forbids this, to see when the kernel reads; only the peer gets to see it.
        // SAFETY: mapped memory.
        unsafe { memory.write_bytes(2, BYTES) };
        let mut got = vec![0; usize::try_from(sent).expect("few")];
        theirs.read_exact(&mut got).expect("all that was sent");
        assert!(got.contains(&2), "{sent} bytes, and none was read after the completion");
    }
}

/// Goal: a link timeout that reports `ENOENT` ends nothing but itself.
/// Method: a read that a device carries out, skipped on success, and a time that is up at once.
#[test]
fn a_device_writes_after_a_link_timeout_has_reported_enoent() {
    require!(op: AS_OF_6_0);
    let Some(direct) = Direct::new() else { return Lack::of_machine(NEEDED).skip() };
    let at_once = Timespec::new(0, 1);
    for _ in 0..ATTEMPTS {
        let mut ring = ring();
        direct.clear();
        let chain =
            [direct.read(1).skip_success().link(), LinkTimeout::new(&raw const at_once).sqe(2)];
        // SAFETY: the memory stays for ever, and the file longer than the ring.
        unsafe { start_all(&mut ring, &chain) };
        let cqe = reap(&mut ring, 1).remove(0);
        assert_eq!(cqe.user_data(), 2, "the read is skipped");
        let then = direct.last();
        let end = Instant::now() + PATIENCE;
        while direct.last() != FILLED {
            assert!(Instant::now() < end, "the read does not end: {cqe:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_quiet(&mut ring);
        if then != FILLED && cqe.result() == Err(Errno::NOENT) {
            return;
        }
    }
    Lack::of_machine(NEEDED).skip();
}

#[test]
fn memory_to_be_registered_can_be_written_and_is_no_shared_file_on_a_disk() {
    require!(op: AS_OF_6_11);
    static TEXT: [u8; 8192] = [b'x'; 8192];
    let (private, shared) = (MapFlags::PRIVATE, MapFlags::SHARED);
    let memfd = memfd_create("contract", MemfdFlags::CLOEXEC).expect("a file");
    ftruncate(&memfd, 8192).expect("it grows");
    let dir = TempDir::new();
    let path = dir.file("data", &[0; 8192]);
    let file = File::options().read(true).write(true).open(path).expect("a file");
    let mut kinds = vec![
        ("a static", IoVec::from(&TEXT[..]), Err(Errno::FAULT)),
        (
            "read-only",
            IoVec::new(anonymous(8192, ProtFlags::READ, private), 8192),
            Err(Errno::FAULT),
        ),
        ("anonymous", IoVec::new(anonymous(8192, READ_WRITE, private), 8192), Ok(())),
        ("shared", IoVec::new(anonymous(8192, READ_WRITE, shared), 8192), Ok(())),
        ("a memfd", IoVec::new(mapped(&memfd, READ_WRITE, shared), 8192), Ok(())),
        ("a private file", IoVec::new(mapped(&file, READ_WRITE, private), 8192), Ok(())),
        (
            "too long",
            IoVec::new(anonymous(8192, READ_WRITE, private), (1 << 30) + 1),
            Err(Errno::FAULT),
        ),
        ("null", IoVec::new(core::ptr::null_mut(), 1), Err(Errno::FAULT)),
    ];
    // `TMPFS_MAGIC`; the type of the field is not the same on every machine.
    if format!("{:x}", fstatfs(&file).expect("a file system").f_type) == "1021994" {
        Lack::of_machine("a file system on a disk").skip();
    } else {
        let shared = IoVec::new(mapped(&file, READ_WRITE, shared), 8192);
        kinds.push(("a shared file", shared, Err(Errno::FAULT)));
    }
    let ring = ring();
    for (name, vector, expected) in kinds {
        // SAFETY: mapped for ever, and no entry uses it.
        let result = unsafe { ring.registrar().register_buffers(&[vector]) };
        // Before Linux 6.5 there was another error for files.
        let result = result
            .map_err(Errno::from)
            .map_err(|e| if e == Errno::OPNOTSUPP { Errno::FAULT } else { e });
        assert_eq!(result, expected, "{name}");
        let _ = ring.registrar().unregister_buffers();
    }
}

#[test]
fn a_duplicate_of_the_descriptor_keeps_operations_of_a_closed_ring_in_flight() {
    let (reader, mut writer) = pipe();
    let memory = leaked::<4>().as_mut_ptr().cast::<[u8; 4]>();
    let mut ring = ring();
    // SAFETY: the memory is leaked, and the pipe stays until the read has ended.
    unsafe { start(&mut ring, Read::new(&reader, memory.cast(), 4).sqe(1)) };
    let duplicate = ring.as_fd().try_clone_to_owned().expect("a descriptor");
    drop(ring);
    std::thread::sleep(Duration::from_millis(200));
    writer.write_all(b"data").expect("room in the pipe");
    let end = Instant::now() + PATIENCE;
    // SAFETY: leaked memory, of which any value will do.
    while unsafe { memory.read_volatile() } != *b"data" {
        assert!(Instant::now() < end, "nothing was written");
        // What is ready is run when the thread enters the kernel.
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(duplicate);
}
