//! The clients of an echo server, all on one thread: each sends a message, waits for it to come
//! back, and sends the next.

use std::time::Instant;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::messages::{Numbers, number};
use super::watch::Watch;
use crate::contest::Latencies;

/// One connection.
#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    /// When the message was sent that is under way, and its number.
    sent: Instant,
    number: u64,
}

impl Client {
    #[inline(always)]
    fn send(&mut self, numbers: &mut Numbers, now: Instant) {
        let message = numbers.next();
        (self.sent, self.number) = (now, number(&message));
        let sent = send(&self.socket, &message, SendFlags::NOSIGNAL);
        assert_eq!(sent, Ok(message.len()), "a message is sent whole");
    }

    /// Receives the message that is under way.
    #[inline(always)]
    fn receive(&mut self, numbers: &mut Numbers) {
        let mut message = [0; 64];
        let received = recv(&self.socket, &mut message, RecvFlags::empty());
        let whole = message.len();
        assert_eq!(received, Ok((whole, whole)), "a message comes back whole");
        assert_eq!(number(&message), self.number, "what was sent comes back");
        numbers.take(&message);
    }
}

/// The clients.
pub(super) struct Load {
    clients: Vec<Client>,
    watch: Watch,
}

impl Load {
    /// Clients on `sockets`, which are connected.
    pub(super) fn new(sockets: Vec<OwnedFd>) -> Result<Self, Errno> {
        let watch = Watch::new(&sockets)?;
        let sent = Instant::now();
        let client = |socket| Client { socket, sent, number: 0 };
        let clients = sockets.into_iter().map(client).collect();
        Ok(Self { clients, watch })
    }

    /// Sends `messages` messages, at least one by each client, and waits for all of them.
    pub(super) fn run(&mut self, messages: u64, latencies: &mut Latencies) {
        let mut numbers = Numbers::default();
        for client in &mut self.clients {
            client.send(&mut numbers, Instant::now());
        }
        let mut to_send = messages - self.clients.len() as u64;
        let mut to_come = messages;
        while to_come > 0 {
            for index in self.watch.ready() {
                let client = self.clients.get_mut(index).expect("one of them");
                client.receive(&mut numbers);
                let now = Instant::now();
                latencies.record(now.duration_since(client.sent));
                to_come -= 1;
                if to_send > 0 {
                    client.send(&mut numbers, now);
                    to_send -= 1;
                }
            }
        }
        numbers.check(messages);
    }
}
