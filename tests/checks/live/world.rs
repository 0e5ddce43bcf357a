//! What entries act on: a file, pipes, sockets, and memory in as many places as entries.

use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::thread;
use std::time::Instant;

use ringbolt::ops::{Fixed, IoVec, MsgHdr, Target};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fd::{AsFd, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use ringbolt::rustix::fs::{MemfdFlags, Statx, ftruncate, memfd_create};
use ringbolt::rustix::net::addr::{SocketAddrArg as _, SocketAddrStorage};
use ringbolt::rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use ringbolt::rustix::pipe::{PipeFlags, pipe_with};
use ringbolt::{Cqe, IoUring, Sqe};

use super::{MAX_ENTRIES, PATIENCE};

/// Bytes of each place.
pub(super) const PLACE: u32 = 512;
/// Bytes of the file.
const FILE: u64 = 4096;
/// Slots of the file table; those behind the files are free.
const SLOTS: u32 = 8;

/// Memory that entries may name, one place each. It is never freed.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    bytes: *mut u8,
    words: *mut u32,
    vectors: *const [IoVec; 2],
    headers: *mut MsgHdr,
    statx: *mut Statx,
}

fn leaked<T>(values: Vec<T>) -> *mut T {
    Box::leak(values.into_boxed_slice()).as_mut_ptr()
}

impl Memory {
    /// This thread's.
    fn of_thread() -> Self {
        thread_local! {
            static MEMORY: Memory = Memory::new();
        }
        MEMORY.with(|memory| *memory)
    }

    fn new() -> Self {
        let len = usize::try_from(PLACE).expect("it is small");
        let bytes = leaked(vec![b'-'; MAX_ENTRIES * len]);
        let vectors = |at| {
            let start = bytes.wrapping_add(at * len);
            [IoVec::new(start, len / 2), IoVec::new(start.wrapping_add(len / 2), len / 2)]
        };
        let vectors = leaked((0..MAX_ENTRIES).map(vectors).collect()).cast_const();
        let header = |at| MsgHdr {
            vectors: vectors.wrapping_add(at).cast(),
            vector_count: 2,
            ..MsgHdr::EMPTY
        };
        Self {
            bytes,
            words: leaked(vec![0; MAX_ENTRIES]),
            vectors,
            headers: leaked((0..MAX_ENTRIES).map(header).collect()),
            statx: leaked((0..MAX_ENTRIES).map(|_| no_statx()).collect()),
        }
    }

    /// The [`PLACE`] bytes of a place.
    pub(super) fn bytes(&self, place: usize) -> *mut u8 {
        self.bytes.wrapping_add(place * usize::try_from(PLACE).expect("it is small"))
    }

    /// A futex: any place's, as several wait on one.
    pub(super) fn word(&self, place: usize) -> *mut u32 {
        self.words.wrapping_add(place % 4)
    }

    /// Two vectors, of half of the place each.
    pub(super) fn vectors(&self, place: usize) -> *const IoVec {
        self.vectors.wrapping_add(place).cast()
    }

    /// A message of those vectors.
    pub(super) fn header(&self, place: usize) -> *mut MsgHdr {
        self.headers.wrapping_add(place)
    }

    pub(super) fn statx(&self, place: usize) -> *mut Statx {
        self.statx.wrapping_add(place)
    }
}

/// Room for what `statx(2)` tells, filled with what it tells of the working directory.
fn no_statx() -> Statx {
    use ringbolt::rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    statx(CWD, ".", AtFlags::empty(), StatxFlags::empty()).expect("the working directory")
}

/// Files to act on.
pub(super) struct World {
    pub(super) memory: Memory,
    pub(super) file: OwnedFd,
    pub(super) pipe: (OwnedFd, OwnedFd),
    pub(super) other_pipe: (OwnedFd, OwnedFd),
    pub(super) sockets: (UnixStream, UnixStream),
    pub(super) udp: (UdpSocket, UdpSocket),
    pub(super) listener: UnixListener,
    pub(super) address: &'static (SocketAddrStorage, u32),
    /// Sockets that entries connect.
    clients: Vec<OwnedFd>,
}

impl World {
    pub(super) fn new<T>(ring: &IoUring<Sqe, Cqe, T>) -> Self {
        let file = memfd_create("ringbolt", MemfdFlags::CLOEXEC).expect("a file in memory");
        ftruncate(&file, FILE).expect("room for the file");
        let pipe = || pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let (name, address) = local_address();
        let listener = listen(&name);
        let world = Self {
            memory: Memory::of_thread(),
            file,
            pipe: pipe(),
            other_pipe: pipe(),
            sockets: UnixStream::pair().expect("two sockets"),
            udp: datagrams(),
            listener,
            address,
            clients: Vec::new(),
        };
        world.register(ring);
        world
    }

    /// The file in slot 0, the pipe in 1 and 2, a socket in 3; all the memory as buffer 0.
    fn register<T>(&self, ring: &IoUring<Sqe, Cqe, T>) {
        let registrar = ring.registrar();
        registrar.register_files_sparse(SLOTS).expect("a table");
        let files = [
            FileSlot::from(&self.file),
            FileSlot::from(&self.pipe.0),
            FileSlot::from(&self.pipe.1),
            FileSlot::from(&self.sockets.0),
        ];
        assert_eq!(registrar.update_files(0, &files), Ok(4));
        let len = MAX_ENTRIES * usize::try_from(PLACE).expect("it is small");
        let whole = IoVec::new(self.memory.bytes(0), len);
        // SAFETY: the memory is never freed, and nothing but entries uses it.
        unsafe { registrar.register_buffers(&[whole]) }.expect("memory to lock");
    }

    /// A file, by its descriptor or by the slot it is in.
    pub(super) fn target<F: AsFd>(&self, file: &F, slot: u32, fixed: bool) -> Target {
        if fixed { Fixed(slot).into() } else { file.into() }
    }

    /// A socket that is to be connected to the listener.
    pub(super) fn client(&mut self) -> BorrowedFd<'_> {
        let flags = SocketFlags::CLOEXEC;
        let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        self.clients.push(client.expect("a socket"));
        self.clients.last().expect("it was just added").as_fd()
    }

    /// A descriptor that an entry is to close.
    pub(super) fn spare(&self) -> RawFd {
        self.file.try_clone().expect("a descriptor").into_raw_fd()
    }
}

/// Closes a descriptor that an entry made, or was to close and did not.
pub(super) fn close(fd: RawFd) {
    // SAFETY: a completion has told of it, and that nobody else has closed it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// A name in the abstract namespace, the same for each input of a thread: for the standard library
/// and for entries.
fn local_address() -> (SocketAddr, &'static (SocketAddrStorage, u32)) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    thread_local! {
        static ADDRESS: (String, &'static (SocketAddrStorage, u32)) = {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("ringbolt-{}-{number}", std::process::id());
            let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("a short name");
            let mut storage = SocketAddrStorage::zeroed();
            // SAFETY: any address fits into the storage, which is valid for writes.
            let len = unsafe { address.write_sockaddr(&mut storage) };
            (name, Box::leak(Box::new((storage, len))))
        };
    }
    ADDRESS.with(|(name, address)| {
        (SocketAddr::from_abstract_name(name).expect("a short name"), *address)
    })
}

/// Listens there, as soon as nobody else does: a worker of a ring that is gone may still wait for
/// somebody to come.
fn listen(name: &SocketAddr) -> UnixListener {
    let end = Instant::now() + PATIENCE;
    loop {
        match UnixListener::bind_addr(name) {
            Ok(listener) => return listener,
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < end => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("a name of our own: {error}"),
        }
    }
}

/// Two sockets for datagrams, connected to each other.
fn datagrams() -> (UdpSocket, UdpSocket) {
    let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (one, two) = (socket(), socket());
    let connect = |from: &UdpSocket, to: &UdpSocket| {
        from.connect(to.local_addr().expect("it is bound")).expect("somebody is there");
    };
    connect(&one, &two);
    connect(&two, &one);
    (one, two)
}
