//! The operations that send and receive.

use std::net::UdpSocket;

use ringbolt::ops::{
    IoVec, MsgHdr, ProvideBuffers, Recv, RecvMsg, Send, SendMsg, SendMsgZc, SendZc,
};

use super::Until::{Completion, Taken};
use super::cases::address;
use super::{Case, ID, Stage};
use crate::op_common::{leaked, udp};

/// Two sockets that stay, and the port of the second.
fn sockets(stage: &mut Stage) -> (&'static UdpSocket, &'static UdpSocket, u16) {
    let (one, two) = (stage.keep(udp()), stage.keep(udp()));
    (one, two, two.local_addr().expect("it is bound").port())
}

/// A socket with a datagram in it.
fn filled(stage: &mut Stage) -> &'static UdpSocket {
    let (one, two, port) = sockets(stage);
    one.send_to(b"hello", ("127.0.0.1", port)).expect("it is sent");
    two
}

/// A message with all that it can have, of which the parts follow each other.
fn message(stage: &mut Stage) -> (&'static UdpSocket, MsgHdr) {
    let (one, _, port) = sockets(stage);
    let (bytes, name) = (stage.put(*b"hello"), stage.put(address(port)));
    // `IP_PKTINFO` (level 0, type 8) with 12 bytes of zeros, which ask for nothing.
    let (mut control, head) = ([0_u8; 32], size_of::<libc::cmsghdr>());
    control[..size_of::<usize>()].copy_from_slice(&(head + 12).to_ne_bytes());
    control[head - 4..head].copy_from_slice(&8_i32.to_ne_bytes());
    let control = stage.put(control);
    let header = MsgHdr {
        vectors: stage.put(IoVec::new(bytes.cast(), 5)),
        vector_count: 1,
        name: name.cast(),
        name_len: 16,
        control: control.cast(),
        control_len: (head + 12).next_multiple_of(8),
        ..MsgHdr::EMPTY
    };
    (one, header)
}

pub(crate) const MESSAGES: &[Case] = &[
    Case {
        arguments: &[
            ("SendMsg (buffers)", Completion),
            ("SendMsg (address)", Taken),
            ("SendMsg (control messages)", Completion),
            ("SendMsg (vectors)", Taken),
            ("SendMsg::new header", Taken),
        ],
        make: |s| {
            let (socket, header) = message(s);
            vec![SendMsg::new(socket, s.put(header)).sqe(ID)]
        },
    },
    Case {
        arguments: &[
            ("SendMsgZc (buffers)", Completion),
            ("SendMsgZc (address)", Taken),
            ("SendMsgZc (control messages)", Completion),
            ("SendMsgZc (vectors)", Taken),
            ("SendMsgZc::new header", Taken),
        ],
        make: |s| {
            let (socket, header) = message(s);
            vec![SendMsgZc::new(socket, s.put(header)).sqe(ID)]
        },
    },
    Case {
        arguments: &[
            ("RecvMsg (buffers)", Completion),
            ("RecvMsg (vectors)", Taken),
            ("RecvMsg (address)", Completion),
            ("RecvMsg::new header", Completion),
        ],
        make: |s| {
            let socket = filled(s);
            let bytes = s.put([0_u8; 8]);
            let vectors = s.put(IoVec::new(bytes.cast(), 8));
            let name = s.put([0_u8; 16]).cast();
            let header = MsgHdr { vectors, vector_count: 1, name, name_len: 16, ..MsgHdr::EMPTY };
            vec![RecvMsg::new(socket, s.put(header)).sqe(ID)]
        },
    },
    Case {
        arguments: &[("RecvMsg::multishot header", Taken)],
        make: |s| {
            let memory = leaked::<256>().as_mut_ptr();
            s.before.push(vec![ProvideBuffers::new(memory, 128, 2, 3, 0).sqe(9)]);
            let socket = filled(s);
            let header = MsgHdr { name_len: 16, ..MsgHdr::EMPTY };
            vec![RecvMsg::multishot(socket, s.put(header), 3).sqe(ID)]
        },
    },
    Case {
        arguments: &[("Recv::new buf", Completion)],
        make: |s| vec![Recv::new(filled(s), s.put([0_u8; 8]).cast(), 8).sqe(ID)],
    },
    Case {
        arguments: &[("Send::new buf", Completion), ("to address", Taken)],
        make: |s| {
            let (one, _, port) = sockets(s);
            let send = Send::new(one, s.put([0_u8; 8]).cast(), 8);
            vec![send.to(s.put(address(port)), 16).sqe(ID)]
        },
    },
    Case {
        arguments: &[("SendZc::new buf", Completion), ("to address", Taken)],
        make: |s| {
            let (one, _, port) = sockets(s);
            let send = SendZc::new(one, s.put([0_u8; 8]).cast(), 8);
            vec![send.to(s.put(address(port)), 16).sqe(ID)]
        },
    },
    Case {
        arguments: &[("Send (buffers)", Completion), ("Send::vectored vectors", Taken)],
        make: |s| {
            let (one, _, port) = sockets(s);
            one.connect(("127.0.0.1", port)).expect("connected");
            let bytes = s.put([0_u8; 8]);
            let vectors = s.put([IoVec::new(bytes.cast(), 4); 20]);
            vec![Send::vectored(one, vectors.cast(), 20).sqe(ID)]
        },
    },
];
