//! Sockets, their messages, and commands to drivers.

use ringbolt::ops::{
    Accept, Bind, BlockDiscard, Connect, DestSlot, Listen, Recv, RecvMsg, RecvZc, Send, SendMsg,
    SendMsgZc, SendZc, Shutdown, Socket, SocketCommand, UringCmd, UringCmd80,
};
use ringbolt::rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown as How, SocketFlags, SocketType, ipproto,
};
use ringbolt::sys::RecvSendFlags;

use super::{Case, SEVEN, SLOT, TAG, at, case};

pub(super) fn sockets() -> Vec<Case> {
    let (inet, stream) = (AddressFamily::INET, SocketType::STREAM);
    let (cloexec, slot) = (SocketFlags::CLOEXEC, DestSlot::At(SLOT));
    let (address, len) = (at(0x7f11_0000_5000), at(0x7f11_0000_6000));
    let accept = Accept::new(SEVEN);
    let multishot = accept.multishot();
    let flags = cloexec | SocketFlags::NONBLOCK;
    let socket = Socket::new(inet, stream);
    let tcp = socket.protocol(ipproto::TCP).flags(cloexec);
    let udp6 = Socket::new(AddressFamily::INET6, SocketType::DGRAM).protocol(ipproto::UDP);
    vec![
        case("accept", accept.peer(address, len).flags(flags).sqe(TAG)),
        case("accept_fixed_slot", accept.peer(address, len).fixed(slot).sqe(TAG)),
        case("accept_fixed_alloc", accept.fixed(DestSlot::Alloc).sqe(TAG)),
        case("accept_multishot", multishot.flags(cloexec).sqe(TAG)),
        case("accept_multishot_fixed_alloc", multishot.fixed(DestSlot::Alloc).sqe(TAG)),
        case("connect", Connect::new(SEVEN, address, 16).sqe(TAG)),
        case("shutdown", Shutdown::new(SEVEN, How::Write).sqe(TAG)),
        case("socket", tcp.sqe(TAG)),
        case("socket_fixed_slot", udp6.fixed(slot).sqe(TAG)),
        case("socket_fixed_alloc", socket.fixed(DestSlot::Alloc).sqe(TAG)),
        case("bind", Bind::new(SEVEN, address, 16).sqe(TAG)),
        case("listen", Listen::new(SEVEN, 128).sqe(TAG)),
    ]
}

pub(super) fn messages() -> Vec<Case> {
    let nosignal = SendFlags::NOSIGNAL;
    let buf: *mut u8 = at(0x7f11_0000_2000);
    let header = at(0x7f11_0000_3000);
    let address = at(0x7f11_0000_5000);
    let send = Send::new(SEVEN, buf, 512);
    let zc = SendZc::new(SEVEN, buf, 512);
    let usage = RecvSendFlags::SEND_ZC_REPORT_USAGE;
    let sendmsg_zc = SendMsgZc::new(SEVEN, header);
    let waitall = RecvFlags::WAITALL;
    let multishot = Recv::provided(SEVEN, 9).multishot();
    vec![
        case("send", send.flags(nosignal).sqe(TAG)),
        case("send_poll_first", send.poll_first().sqe(TAG)),
        case("send_whole", send.whole().sqe(TAG)),
        case("send_bundle", Send::bundle(SEVEN, 0, 9).flags(nosignal).sqe(TAG)),
        case("sendto", send.flags(nosignal).to(address, 28).sqe(TAG)),
        case("send_zc", zc.flags(nosignal).send_flags(usage).sqe(TAG)),
        case("send_zc_fixed_buffer", zc.fixed_buffer(5).sqe(TAG)),
        case("send_zc_to", zc.to(address, 16).sqe(TAG)),
        case("sendmsg", SendMsg::new(SEVEN, header).flags(nosignal).sqe(TAG)),
        case("sendmsg_zc", sendmsg_zc.flags(nosignal).sqe(TAG)),
        case("sendmsg_zc_fixed_buffer", sendmsg_zc.fixed_buffer(5).sqe(TAG)),
        case("recv", Recv::new(SEVEN, buf, 512).flags(waitall).sqe(TAG)),
        case("recv_multishot", multishot.sqe(TAG)),
        case("recv_bundle_multishot", multishot.bundle().sqe(TAG)),
        case("recvmsg", RecvMsg::new(SEVEN, header).flags(waitall).sqe(TAG)),
        case("recvmsg_multishot", RecvMsg::multishot(SEVEN, header, 9).sqe(TAG)),
        case("recv_zc_multishot", RecvZc::new(SEVEN, 3).sqe(TAG)),
    ]
}

/// `SOL_SOCKET`, `SO_RCVBUF`, `SO_KEEPALIVE`.
const LEVEL: u32 = 1;
const RCVBUF: u32 = 8;
const KEEPALIVE: u32 = 9;

pub(super) fn commands() -> Vec<Case> {
    let value = at(0x7f11_0000_2000);
    let (address, len) = (at(0x7f11_0000_5000), at(0x7f11_0000_6000));
    let get = SocketCommand::get_option(SEVEN, LEVEL, RCVBUF, value, 4);
    let set = SocketCommand::set_option(SEVEN, LEVEL, KEEPALIVE, value, 4);
    let ours = SocketCommand::own_address(SEVEN, address, len);
    let theirs = SocketCommand::peer_address(SEVEN, address, len);
    let discard = BlockDiscard::new(SEVEN, 0x1_0000_0000, 0x2_0000_0000);
    vec![
        case("uring_cmd", UringCmd::new(SEVEN, 4660).sqe(TAG)),
        case("uring_cmd128", UringCmd80::mixed(SEVEN, 4660, [0xa5; 80]).sqe(TAG)),
        case("uring_cmd_block_discard", discard.sqe(TAG)),
        case("uring_cmd_getsockopt", get.sqe(TAG)),
        case("uring_cmd_setsockopt", set.sqe(TAG)),
        case("uring_cmd_siocinq", SocketCommand::bytes_to_read(SEVEN).sqe(TAG)),
        case("uring_cmd_siocoutq", SocketCommand::bytes_to_send(SEVEN).sqe(TAG)),
        case("uring_cmd_getsockname", ours.sqe(TAG)),
        case("uring_cmd_getpeername", theirs.sqe(TAG)),
    ]
}
