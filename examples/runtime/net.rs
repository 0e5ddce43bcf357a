//! TCP: [`Listener`] and [`Connection`].

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;

use ringbolt::jobs::{Received, Slot};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::{listen, sockopt};

use super::executor::Handle;
use super::op::{Data, Held, Op};
use super::time::sleep;

/// Messages that wait, after which a connection receives no more.
const MAX_WAITING: usize = 4;

/// How long a receive that found no free buffer is not repeated.
const PAUSE: Duration = Duration::from_millis(1);

/// Accepts connections.
pub(crate) struct Listener {
    handle: Handle,
    listener: Rc<TcpListener>,
    accept: Op,
}

/// A connection, in a slot of the ring's file table.
pub(crate) struct Connection {
    handle: Handle,
    slot: Rc<Slot>,
    receive: Op,
    send: Op,
}

impl Listener {
    pub(crate) fn bind(handle: &Handle, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        // Only makes the queue longer: it listens already.
        listen(&listener, 4096)?;
        // Connections inherit it.
        sockopt::set_tcp_nodelay(&listener, true)?;
        let (handle, accept) = (handle.clone(), Op::new(handle));
        Ok(Self { handle, listener: Rc::new(listener), accept })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> io::Result<Connection> {
        loop {
            let held = || Held::Accept(Rc::clone(&self.listener));
            let completion = self.accept.next(held).await?;
            match (completion.result, completion.slot) {
                (Ok(_), Some(slot)) => return Ok(Connection::new(&self.handle, slot)),
                // The peer has gone again already.
                (Ok(_) | Err(Errno::CONNABORTED | Errno::INTR), _) => {}
                (Err(errno), _) => return Err(errno.into()),
            }
        }
    }
}

impl Connection {
    fn new(handle: &Handle, slot: Slot) -> Self {
        let (receive, send) = (Op::new(handle), Op::new(handle));
        Self { handle: handle.clone(), slot: Rc::new(slot), receive, send }
    }

    /// What has come, or `None` at the end. If the future is dropped, nothing is lost.
    pub(crate) async fn receive(&mut self) -> io::Result<Option<Received>> {
        loop {
            let held = || Held::Receive(Rc::clone(&self.slot), self.handle.group());
            let completion = self.receive.next(held).await?;
            if self.receive.waiting() >= MAX_WAITING {
                // The next call starts it again, when these have been taken.
                self.receive.stop();
            }
            match (completion.result, completion.received) {
                (Ok(_), Some(received)) => return Ok(Some(received)),
                (Ok(_), None) => return Ok(None),
                (Err(Errno::NOBUFS), _) => sleep(&self.handle, PAUSE).await?,
                (Err(Errno::CANCELED | Errno::INTR), _) => {}
                (Err(errno), _) => return Err(errno.into()),
            }
        }
    }

    /// Sends all of `data`.
    pub(crate) async fn send(&mut self, data: Data) -> io::Result<()> {
        let completion = self.send.run(Held::Send(Rc::clone(&self.slot), data)).await?;
        completion.result?;
        Ok(())
    }
}
