//! A program that serves connections without unsafe code: whatever it submits names no memory, and
//! acts on slots of the ring's file table.

use crate::common::require;
use ringbolt::sys::Opcode;

#[test]
fn a_program_without_unsafe_code_serves_a_connection() {
    require!(op: Opcode::SOCKET);
    program::serve();
}

#[test]
fn a_program_without_unsafe_code_writes_a_file_to_its_device() {
    require!(op: Opcode::FALLOCATE);
    program::keep();
}

#[test]
fn a_program_without_unsafe_code_moves_data_between_slots() {
    require!(op: Opcode::TEE);
    program::splice();
}

mod program {
    #![forbid(unsafe_code)]

    use core::net::Ipv4Addr;
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use ringbolt::ops::{
        Accept, AsyncCancel, Close, DestSlot, Fadvise, Fallocate, Fixed, Fsync, Ftruncate, Listen,
        Nop, PollAdd, Read, ReadMultishot, Recv, Shutdown, Socket, SocketCommand, Splice,
        SyncFileRange, Tee,
    };
    use ringbolt::register::FileSlot;
    use ringbolt::rustix::event::epoll::EventFlags;
    use ringbolt::rustix::fs::{Advice, FallocateFlags};
    use ringbolt::rustix::io::Errno;
    use ringbolt::rustix::net::{AddressFamily, Shutdown as How, SocketType};
    use ringbolt::rustix::pipe::pipe;
    use ringbolt::sys::Opcode;
    use ringbolt::{IoUring, SafeSqe};

    const LISTENER: Fixed = Fixed(0);
    const CONNECTION: Fixed = Fixed(1);
    const NOTHING: Fixed = Fixed(2);
    /// A group that nobody has lent buffers.
    const NO_GROUP: u16 = 7;

    fn start(ring: &mut IoUring, entry: SafeSqe) {
        ring.submission().push_safe(entry).expect("the queue has room");
        assert_eq!(ring.submit(), Ok(1));
    }

    fn reap(ring: &mut IoUring) -> (u64, Result<u32, Errno>) {
        ring.wait_for(1).expect("a completion");
        let cqe = ring.completion().pop().expect("a completion");
        (cqe.user_data(), cqe.result())
    }

    /// What comes of an entry, and of nothing else that is in flight.
    fn complete(ring: &mut IoUring, entry: SafeSqe) -> Result<u32, Errno> {
        start(ring, entry);
        let (user_data, result) = reap(ring);
        assert_eq!(user_data, entry.as_sqe().user_data());
        result
    }

    /// Whether the kernel has an operation that came later than those that the test needs.
    fn has(ring: &IoUring, op: Opcode) -> bool {
        ring.registrar().probe().is_ok_and(|probe| probe.supports(op))
    }

    pub(super) fn serve() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut ring = IoUring::new(8).expect("a ring");
        let slots = [FileSlot::from(&listener), FileSlot::EMPTY, FileSlot::EMPTY];
        ring.registrar().register_files(&slots).expect("three slots");

        assert_eq!(complete(&mut ring, Nop::new().sqe(1)), Ok(0));
        start(&mut ring, Accept::new(LISTENER).fixed(DestSlot::At(CONNECTION)).sqe(2));
        let mut client = TcpStream::connect(address).expect("somebody listens");
        assert_eq!(reap(&mut ring), (2, Ok(0)));

        start(&mut ring, PollAdd::new(CONNECTION, EventFlags::IN).sqe(3));
        client.write_all(b"hello").expect("room for a few bytes");
        let (user_data, events) = reap(&mut ring);
        let events = EventFlags::from_bits_retain(events.expect("events"));
        assert_eq!((user_data, events), (3, EventFlags::IN));

        let received = complete(&mut ring, Recv::provided(CONNECTION, NO_GROUP).sqe(4));
        assert_eq!(received, Err(Errno::NOBUFS));
        let waiting = complete(&mut ring, SocketCommand::bytes_to_read(CONNECTION).sqe(5));
        // `SocketCommand` came later than what else is used here.
        assert!(matches!(waiting, Ok(5) | Err(_)), "{waiting:?}");

        // A poll that nothing comes of, and that is cancelled.
        start(&mut ring, PollAdd::new(LISTENER, EventFlags::IN).sqe(6));
        start(&mut ring, AsyncCancel::of_user_data(6).sqe(7));
        let mut told = [reap(&mut ring), reap(&mut ring)];
        told.sort_by_key(|(user_data, _)| *user_data);
        assert_eq!(told, [(6, Err(Errno::CANCELED)), (7, Ok(0))]);

        assert_eq!(complete(&mut ring, Shutdown::new(CONNECTION, How::Write).sqe(8)), Ok(0));
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect("the end");
        assert!(rest.is_empty());
        assert_eq!(complete(&mut ring, Close::fixed(CONNECTION).sqe(9)), Ok(0));
        let socket = Socket::new(AddressFamily::INET, SocketType::STREAM);
        let socket = socket.fixed(DestSlot::At(CONNECTION)).sqe(10);
        assert_eq!(complete(&mut ring, socket), Ok(0));
        if has(&ring, Opcode::LISTEN) {
            assert_eq!(complete(&mut ring, Listen::new(CONNECTION, 1).sqe(12)), Ok(0));
        }
        let refused = complete(&mut ring, Accept::new(NOTHING).sqe(11));
        assert_eq!(refused, Err(Errno::BADF));
    }

    pub(super) fn keep() {
        let name = format!("ringbolt-no-unsafe-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.expect("a new file");
        std::fs::remove_file(&path).expect("it was just made");
        let mut ring = IoUring::new(8).expect("a ring");
        ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a slot");

        let slot = Fixed(0);
        let space = Fallocate::new(slot, FallocateFlags::empty(), 0, 4096);
        assert!(matches!(complete(&mut ring, space.sqe(1)), Ok(0) | Err(Errno::OPNOTSUPP)));
        assert_eq!(complete(&mut ring, Fsync::new(slot).data_only().sqe(2)), Ok(0));
        assert_eq!(complete(&mut ring, SyncFileRange::new(slot, 0, 0, 2).sqe(3)), Ok(0));
        let advice = Fadvise::new(slot, Advice::Sequential).range(0, 4096).sqe(4);
        assert_eq!(complete(&mut ring, advice), Ok(0));
        let read = Read::provided(slot, 64, NO_GROUP).offset(0).sqe(5);
        assert_eq!(complete(&mut ring, read), Err(Errno::NOBUFS));
        if has(&ring, Opcode::FTRUNCATE) {
            assert_eq!(complete(&mut ring, Ftruncate::new(slot, 10).sqe(7)), Ok(0));
            assert_eq!(file.metadata().expect("a file").len(), 10);
        }
        if has(&ring, Opcode::READ_MULTISHOT) {
            let read = ReadMultishot::new(slot, NO_GROUP).sqe(6);
            assert!(complete(&mut ring, read).is_err(), "a regular file");
        }
    }

    pub(super) fn splice() {
        let (from, mut input) = pipe().map(|(from, to)| (from, File::from(to))).expect("a pipe");
        let (output, to) = pipe().map(|(from, to)| (File::from(from), to)).expect("a pipe");
        let mut ring = IoUring::new(8).expect("a ring");
        let slots = [FileSlot::from(&from), FileSlot::from(&to)];
        ring.registrar().register_files(&slots).expect("two slots");
        drop((from, to));

        input.write_all(b"abc").expect("room for a few bytes");
        assert_eq!(complete(&mut ring, Tee::new(Fixed(0), Fixed(1), 3).sqe(1)), Ok(3));
        assert_eq!(complete(&mut ring, Splice::new(Fixed(0), Fixed(1), 3).sqe(2)), Ok(3));
        let mut copies = [0; 6];
        (&output).read_exact(&mut copies).expect("what was copied, and what was moved");
        assert_eq!(&copies, b"abcabc");
    }
}
