//! System calls that a policy refuses, or a supervisor answers: what the program is told then.
//!
//! Filters are for a thread and those that it starts, and for good: each test runs in a process of
//! its own, and each filter on a thread of its own.

use std::fs::{read_dir, read_to_string};
use std::thread;
use std::time::Instant;

use crate::common::process::{in_child, refuse_call, refuse_register};
use crate::common::{PATIENCE, cpus, require};
use crate::op_common::{leaked, pipe, start};
use ringbolt::ops::{Nop, Read};
use ringbolt::sys::{Opcode, RegisterOp, SetupFlags};
use ringbolt::{Advice, BuildError, Capabilities, IoUring, SystemCall};
use rustix::io::Errno;

const POLICIES: [Errno; 3] = [Errno::PERM, Errno::ACCESS, Errno::NOSYS];

/// Runs `body` on a thread of its own, which takes its filters with it.
fn apart<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(body).join()).expect("the thread returns")
}

#[test]
fn a_refused_set_up_names_who_may_have_refused_it() {
    in_child("a_refused_set_up_names_who_may_have_refused_it", || {
        let refused = |errno| {
            apart(move || {
                refuse_call(libc::SYS_io_uring_setup, errno);
                let error = IoUring::local(4).map(drop).expect_err("set-up is refused");
                assert_eq!(error.errno(), Some(errno));
                assert_eq!(Capabilities::of_kernel().map(drop), Err(error));
                error
            })
        };
        for (errno, error, names) in [
            (Errno::PERM, BuildError::NotPermitted, ["EPERM", "seccomp", "io_uring_disabled"]),
            (Errno::ACCESS, BuildError::AccessDenied, ["EACCES", "SELinux", "seccomp"]),
            (Errno::NOSYS, BuildError::NotSupported, ["ENOSYS", "seccomp", "5.1"]),
        ] {
            assert_eq!(refused(errno), error);
            let text = error.to_string();
            for name in names.into_iter().chain(["io_uring_setup"]) {
                assert!(text.contains(name), "{text}");
            }
        }
    });
}

#[test]
fn what_the_kernel_can_do_is_not_guessed_where_a_call_is_refused() {
    in_child("what_the_kernel_can_do_is_not_guessed_where_a_call_is_refused", || {
        let calls = [
            (libc::SYS_io_uring_enter, SystemCall::Enter),
            (libc::SYS_io_uring_register, SystemCall::Register),
        ];
        for (number, call) in calls {
            for errno in POLICIES {
                let asked = apart(|| {
                    refuse_call(number, errno);
                    Capabilities::of_kernel().map(drop)
                });
                let error = asked.expect_err("a policy answered");
                assert_eq!(error, BuildError::CallRefused { call, errno });
                assert_eq!(error.errno(), Some(errno));
                let text = error.to_string();
                let names = text.contains(&call.to_string()) && text.contains("seccomp");
                assert!(names && text.contains("refused"), "{text}");
            }
        }
    });
}

/// Goal: an operation that a filter refuses is not taken for one that the kernel knows, or lacks.
/// Method: refuse one after the other of those that are asked and, where the kernel cannot be
/// asked, tried.
#[test]
fn what_the_kernel_can_do_is_not_guessed_where_one_operation_is_refused() {
    in_child("what_the_kernel_can_do_is_not_guessed_where_one_operation_is_refused", || {
        let asked = [RegisterOp::REGISTER_PROBE, RegisterOp::REGISTER_QUERY];
        let tried = [
            RegisterOp::REGISTER_RING_FDS,
            RegisterOp::REGISTER_IOWQ_AFF,
            RegisterOp::UNREGISTER_EVENTFD,
            RegisterOp::REGISTER_SEND_MSG_RING,
            RegisterOp::REGISTER_PBUF_RING,
        ];
        for (op, by_trial) in
            asked.map(|op| (op, false)).into_iter().chain(tried.map(|op| (op, true)))
        {
            for errno in POLICIES {
                let answer = apart(|| {
                    refuse_register(op, errno);
                    if by_trial {
                        refuse_register(RegisterOp::REGISTER_QUERY, Errno::INVAL);
                    }
                    Capabilities::of_kernel().map(drop)
                });
                let refused = BuildError::CallRefused { call: SystemCall::Register, errno };
                assert_eq!(answer, Err(refused), "{op:?}");
            }
        }
    });
}

#[test]
fn a_local_ring_works_though_nothing_can_be_registered() {
    in_child("a_local_ring_works_though_nothing_can_be_registered", || {
        for errno in POLICIES {
            apart(|| {
                refuse_call(libc::SYS_io_uring_register, errno);
                let mut ring = IoUring::local(4).expect("a ring without a registered descriptor");
                assert!(!ring.is_fd_registered());
                ring.submission().push_safe(Nop::new().sqe(7)).expect("room");
                assert_eq!(ring.submit_and_wait(1), Ok(1));
                let cqe = ring.completion().pop().expect("a completion");
                assert_eq!((cqe.user_data(), cqe.result()), (7, Ok(0)));
            });
        }
    });
}

#[test]
fn entries_stay_queued_when_entering_is_refused() {
    in_child("entries_stay_queued_when_entering_is_refused", || {
        for errno in POLICIES {
            apart(|| {
                let mut ring = IoUring::new(4).expect("a ring");
                refuse_call(libc::SYS_io_uring_enter, errno);
                ring.submission().push_safe(Nop::new().sqe(7)).expect("room");
                let error = ring.submit().expect_err("it is refused");
                assert_eq!((error.errno, error.taken, error.queued), (errno, 0, 1));
                assert_eq!(error.advice(), Advice::Stop);
            });
        }
    });
}

/// A supervisor's answers to system calls (`SECCOMP_RET_USER_NOTIF`).
mod supervisor {
    use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};

    /// Has `number` wait for a supervisor, on this thread and for good. Returns what it listens to.
    pub(super) fn ask_for(number: libc::c_long) -> OwnedFd {
        let number = u32::try_from(number).expect("the number of a system call");
        let code = |code: u32| u16::try_from(code).expect("16 bits");
        let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
        let give = code(libc::BPF_RET | libc::BPF_K);
        let mut program = [
            step(code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), 0, 0),
            step(code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), 1, number),
            step(give, 0, libc::SECCOMP_RET_USER_NOTIF),
            step(give, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
        // SAFETY: numbers only; the kernel wants this of those without privileges.
        let alone = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        assert_eq!(alone, 0);
        let (call, mode) = (libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER);
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        // SAFETY: a filter of four steps, which the kernel copies during the call.
        let fd = unsafe { libc::syscall(call, mode, flags, &raw const filter) };
        let fd = i32::try_from(fd).expect("a descriptor");
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the call just made it.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    /// Answers the next call with `error`, whatever that is.
    pub(super) fn answer(listener: &OwnedFd, error: i32) {
        const RECV: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
        const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
        // SAFETY: a struct of numbers, all zero.
        let mut asked: libc::seccomp_notif = unsafe { core::mem::zeroed() };
        // SAFETY: the struct that this request fills in.
        let got = unsafe { libc::ioctl(listener.as_raw_fd(), RECV, &raw mut asked) };
        assert_eq!(got, 0, "{}", std::io::Error::last_os_error());
        let mut told = libc::seccomp_notif_resp { id: asked.id, val: 0, error, flags: 0 };
        // SAFETY: the struct that this request reads.
        let sent = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut told) };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    }
}

/// Goal: an answer that is no errno is an error like any other, and no panic.
/// Method: a supervisor answers -5000, which no kernel does.
#[test]
fn an_answer_that_is_not_an_errno_is_an_error() {
    in_child("an_answer_that_is_not_an_errno_is_an_error", || {
        let with = |number, call: fn(&mut IoUring) -> Errno| {
            let (give, take) = std::sync::mpsc::channel();
            thread::scope(|scope| {
                let caller = scope.spawn(move || {
                    let mut ring = IoUring::new(4).expect("a ring");
                    give.send(supervisor::ask_for(number)).expect("a supervisor");
                    call(&mut ring)
                });
                let listener = take.recv().expect("a listener");
                supervisor::answer(&listener, -5000);
                caller.join().expect("no panic")
            })
        };
        let setup = with(libc::SYS_io_uring_setup, |_| {
            let error = IoUring::new(4).map(drop).expect_err("an answer that is an error");
            assert_eq!(error, BuildError::Setup(Errno::OVERFLOW));
            Errno::OVERFLOW
        });
        let enter = with(libc::SYS_io_uring_enter, |ring| {
            ring.submission().push_safe(Nop::new().sqe(7)).expect("room");
            ring.submit().expect_err("an answer that is an error").errno
        });
        let register = with(libc::SYS_io_uring_register, |ring| {
            ring.registrar()
                .unregister_files()
                .map_err(Errno::from)
                .expect_err("an answer that is an error")
        });
        assert_eq!([setup, enter, register], [Errno::OVERFLOW; 3]);
    });
}

/// The CPUs that a worker of this thread's may run on.
fn cpus_of_a_worker() -> String {
    // SAFETY: the call has no precondition.
    let name = format!("iou-wrk-{}", unsafe { libc::gettid() });
    let end = Instant::now() + PATIENCE;
    loop {
        for task in read_dir("/proc/self/task").expect("this process").flatten() {
            // A worker may end in between.
            let Ok(status) = read_to_string(task.path().join("status")) else { continue };
            if status.lines().next().is_some_and(|line| line.ends_with(&name)) {
                let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:"));
                return line.expect("the list").split_whitespace().nth(1).expect("CPUs").to_owned();
            }
        }
        assert!(Instant::now() < end, "no worker of this thread's");
        thread::yield_now();
    }
}

/// Goal: trials leave the thread's workers where they are.
/// Method: bind them to a CPU, have a kernel that cannot be asked tried, and see where a worker
/// runs that is started afterwards. What would reset it is not called either.
#[test]
fn trials_leave_the_thread_as_it_was() {
    require!(op: Opcode::READ);
    require!(register: RegisterOp::REGISTER_IOWQ_AFF);
    require!(machine: cpus() > 1, "a second CPU");
    in_child("trials_leave_the_thread_as_it_was", || {
        apart(|| {
            let mut ring = IoUring::new(4).expect("a ring");
            ring.registrar().set_worker_cpus(&[1]).expect("a CPU");
            refuse_register(RegisterOp::REGISTER_QUERY, Errno::INVAL);
            let kernel = Capabilities::of_kernel().expect("what a trial finds out");
            assert!(kernel.has_register_op(RegisterOp::UNREGISTER_IOWQ_AFF));
            assert!(kernel.setup_flags().contains(SetupFlags::CQSIZE));
            refuse_register(RegisterOp::UNREGISTER_IOWQ_AFF, Errno::PERM);
            assert!(Capabilities::of_kernel().is_ok(), "it is not called");
            let pipe = pipe();
            let read = Read::new(&pipe.0, leaked::<8>().as_mut_ptr(), 8).sqe(1).force_async();
            // SAFETY: the buffer stays for ever, and is not touched.
            unsafe { start(&mut ring, read) };
            assert_eq!(cpus_of_a_worker(), "0");
        });
    });
}
