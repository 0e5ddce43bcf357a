//! What `runtime` does, as a process and by its parts.

#[path = "../../examples/runtime/executor.rs"]
mod executor;
#[path = "../../examples/runtime/fs.rs"]
mod fs;
#[path = "../../examples/runtime/net.rs"]
mod net;
#[path = "../../examples/runtime/op.rs"]
mod op;
#[path = "../../examples/runtime/time.rs"]
mod time;

use core::cell::Cell;
use core::future::{pending, poll_fn};
use core::net::{Ipv4Addr, SocketAddr};
use core::task::{Poll, Waker};
use core::time::Duration;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use executor::{Handle, Runtime};
use net::Listener;
use op::Data;
use ringbolt::sys::Opcode;
use time::{sleep, timeout};

use crate::common::{PATIENCE, TempDir, require};
use crate::{command, name, noise};

/// The newest operation of Linux 6.0, which brought multishot receives.
const AS_OF_6_0: Opcode = Opcode::SEND_ZC;

const MOMENT: Duration = Duration::from_millis(10);

fn runtime() -> (Runtime, Handle) {
    let runtime = Runtime::new(16, 8).expect("a runtime");
    let handle = runtime.handle();
    (runtime, handle)
}

fn listen(handle: &Handle) -> (Listener, SocketAddr) {
    let listener = Listener::bind(handle, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Waits until no more than `left` operations are in flight. The wait is one itself, over when it
/// returns.
async fn settle(handle: &Handle, left: u32) {
    let end = Instant::now() + PATIENCE;
    while handle.in_flight() > left {
        assert!(Instant::now() < end, "{} operations go on", handle.in_flight());
        sleep(handle, Duration::from_millis(1)).await.unwrap();
    }
}

#[test]
fn the_server_greets_and_sends_back_what_many_clients_send() {
    require!(op: AS_OF_6_0);
    let dir = TempDir::new();
    let greeting = dir.file("greeting", b"hello, ");
    let mut child = command("runtime", &["--greet", name(&greeting)]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on ").expect("an address");
    let mut streams: Vec<_> =
        (0..300).map(|_| TcpStream::connect(address).expect("the server accepts")).collect();
    for stream in &mut streams {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut greeting = [0; 7];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"hello, ");
    }
    for round in 0..3_u8 {
        for (number, stream) in (0_u32..).zip(&mut streams) {
            stream.write_all(&[&number.to_le_bytes()[..], &[round; 100]].concat()).unwrap();
        }
        for (number, stream) in (0_u32..).zip(&mut streams) {
            let mut echoed = [0; 104];
            stream.read_exact(&mut echoed).unwrap();
            assert_eq!(echoed[..4], number.to_le_bytes());
            assert_eq!(echoed[4..], [round; 100]);
        }
    }
    // More than the buffers hold, from one peer that does not read meanwhile.
    let bytes = noise(4 << 20);
    let mut reader = streams[0].try_clone().unwrap();
    let mut echoed = vec![0; bytes.len()];
    thread::scope(|scope| {
        scope.spawn(|| streams[0].write_all(&bytes).unwrap());
        thread::sleep(MOMENT);
        reader.read_exact(&mut echoed).unwrap();
    });
    assert!(echoed == bytes);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_server_with_a_time_to_end_ends() {
    require!(op: AS_OF_6_0);
    let output = crate::run("runtime", &["--seconds", "0"]);
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn a_future_that_is_dropped_frees_what_its_operation_uses() {
    require!(op: AS_OF_6_0);
    let (runtime, handle) = runtime();
    let (mut listener, address) = listen(&handle);
    let mut peer = TcpStream::connect(address).unwrap();
    runtime
        .block_on(async {
            let mut connection = listener.accept().await.unwrap();
            // Nothing comes in time. Then the receive goes on, and loses nothing.
            assert!(timeout(&handle, MOMENT, connection.receive()).await.unwrap().is_none());
            peer.write_all(b"later").unwrap();
            let received = connection.receive().await.unwrap().unwrap();
            assert_eq!(&*received, b"later");
            connection.send(Data::Received(received)).await.unwrap();
            peer.read_exact(&mut [0; 5]).unwrap();

            // Sends to a peer that takes nothing, until one does not end.
            while let Some(sent) =
                timeout(&handle, MOMENT, connection.send(Data::Bytes(vec![1; 1 << 20])))
                    .await
                    .unwrap()
            {
                sent.unwrap();
            }
            drop(connection);
            // The listener's goes on.
            settle(&handle, 1).await;
            drop(listener);
            settle(&handle, 0).await;
        })
        .unwrap();
}

#[test]
fn tasks_that_are_left_are_dropped_with_the_runtime() {
    require!(op: AS_OF_6_0);
    let (runtime, handle) = runtime();
    let (mut listener, _) = listen(&handle);
    let there = Rc::new(());
    let held = Rc::clone(&there);
    handle.spawn(async move {
        let _held = held;
        let _ = listener.accept().await;
    });
    runtime.block_on(sleep(&handle, MOMENT)).unwrap().unwrap();
    assert_eq!((Rc::strong_count(&there), handle.in_flight()), (2, 1));
    drop(runtime);
    assert_eq!(Rc::strong_count(&there), 1);
}

#[test]
fn another_thread_wakes_a_task() {
    require!(op: Opcode::POLL_ADD);
    let (runtime, handle) = runtime();
    let end = Instant::now() + PATIENCE;
    for _ in 0..100 {
        let state = Arc::new(Mutex::new((false, None::<Waker>)));
        let other = Arc::clone(&state);
        let thread = thread::spawn(move || {
            let mut state = other.lock().unwrap();
            state.0 = true;
            if let Some(waker) = state.1.take() {
                drop(state);
                waker.wake();
            }
        });
        let woken = poll_fn(|context| {
            let mut state = state.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        });
        assert_eq!(runtime.block_on(timeout(&handle, PATIENCE, woken)).unwrap().unwrap(), Some(()));
        thread.join().unwrap();
        // Not by the timeout, whose wake-up would do, too.
        assert!(Instant::now() < end, "the task was not woken");
    }
}

#[test]
fn a_file_is_read_and_one_that_is_missing_is_not() {
    require!(op: Opcode::OPENAT);
    let (runtime, handle) = runtime();
    let dir = TempDir::new();
    let bytes = noise(10_000);
    let path = dir.file("file", &bytes);
    runtime
        .block_on(async {
            let mut file = fs::File::open(&handle, name(&path)).await.unwrap();
            let (read, len) = file.read_at(vec![0; 4096], 8000).await.unwrap();
            assert_eq!((len, &read[..len]), (2000, &bytes[8000..]));
            let missing = fs::File::open(&handle, "/no/such/file").await;
            assert_eq!(missing.err().unwrap().kind(), std::io::ErrorKind::NotFound);
        })
        .unwrap();
    assert_eq!(handle.in_flight(), 0);
}

#[test]
fn more_operations_than_places_wait_for_a_place() {
    require!(op: Opcode::TIMEOUT);
    let (runtime, handle) = runtime();
    let done = Rc::new(Cell::new(0));
    for _ in 0..100 {
        let (handle, done) = (handle.clone(), Rc::clone(&done));
        handle.clone().spawn(async move {
            sleep(&handle, Duration::from_micros(100)).await.unwrap();
            done.set(done.get() + 1);
        });
    }
    let all = async {
        while done.get() < 100 {
            sleep(&handle, Duration::from_millis(1)).await.unwrap();
        }
    };
    let end = runtime.block_on(timeout(&handle, PATIENCE, all)).unwrap().unwrap();
    assert_eq!((end, done.get()), (Some(()), 100));
    let never = runtime.block_on(timeout(&handle, MOMENT, pending::<()>())).unwrap().unwrap();
    assert_eq!((never, handle.in_flight()), (None, 0));
}
