//! What happens to connections: [`Server`].

use core::fmt;
use core::time::Duration;
use std::ffi::CString;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::SystemTime;

use ringbolt::Timespec;
use ringbolt::jobs::{Cause, Done, Event, Key, OwnedJobs, Slot};
use ringbolt::rustix::io::Errno;

use crate::client::{BLOCK, Client, End, HEAD, Pipe, Step, Task};
use crate::files::{Files, Open};
use crate::report;
use crate::request::Request;
use crate::response::{Status, answer, refuse};

/// The most buffers, and the most pipes, that are kept for later answers.
const SPARE: usize = 256;
const SPARE_PIPES: usize = 64;

/// How long an accept that failed is not repeated.
const BACKOFF: Timespec = Timespec::new(0, 100_000_000);

/// The most time between two ticks of the clock: a date is not older.
const TICK: Duration = Duration::from_millis(500);

pub(crate) enum Never {}

/// A connection as the clock sees it.
#[derive(Clone, Copy)]
struct Watch {
    key: Key,
    /// The tick at which it began to do what must not take too long.
    since: u32,
}

pub(crate) struct Server {
    root: Rc<OwnedFd>,
    files: Files,
    /// Buffers for answers.
    spare: Vec<Box<[u8]>>,
    /// Empty pipes.
    pipes: Vec<Pipe>,
    /// Connections, by their number.
    watches: Vec<Option<Watch>>,
    free: Vec<u32>,
    /// Ticks of the clock; how many of them are too many, and how many make a second.
    now: u32,
    patience: u32,
    second: u32,
    /// The time as answers have it.
    date: String,
    /// Room for the path of a request.
    path: Vec<u8>,
    /// What was reported last, so that it is not reported each time.
    last_report: Option<Errno>,
}

type Jobs = OwnedJobs<Task>;
type TaskEvent<'j> = Event<'j, 'static, 'static, Task>;
type TaskDone<'j> = Done<'j, 'static, 'static, Task>;

impl Server {
    pub(crate) fn new(root: OwnedFd, files: Files, connections: u32) -> Self {
        Self {
            root: Rc::new(root),
            files,
            spare: Vec::new(),
            pipes: Vec::new(),
            watches: (0..connections).map(|_| None).collect(),
            free: (0..connections).rev().collect(),
            now: 0,
            patience: 0,
            second: 0,
            date: String::new(),
            path: Vec::new(),
            last_report: None,
        }
    }

    pub(crate) fn run(
        mut self,
        mut jobs: Jobs,
        listener: TcpListener,
        timeout: Duration,
    ) -> Result<Never, Cause> {
        let tick = (timeout / 8).clamp(Duration::from_millis(1), TICK);
        // A client has at least its time, and a file at most a second.
        let count = |ticks: u128| u32::try_from(ticks).unwrap_or(u32::MAX);
        self.patience = count(timeout.as_nanos().div_ceil(tick.as_nanos()));
        self.second = count(Duration::from_secs(1).as_nanos() / tick.as_nanos());
        self.date = httpdate::fmt_http_date(SystemTime::now());
        jobs.start_multi(Task::Listen { listener, pause: BACKOFF }, Task::accept)?;
        jobs.start(Task::Tick(tick.into()), Task::once)?;
        loop {
            // Submits what the last events have started when there is none any more.
            let Some(event) = jobs.wait_next()? else { unreachable!("the clock goes on") };
            match *event {
                Task::Serve(_) => self.go_on(event.expect_done())?,
                Task::Listen { .. } => {
                    if let Some(slot) = self.accepted(event)? {
                        self.connected(&mut jobs, slot)?;
                    }
                }
                Task::Tick(_) => {
                    event.expect_done().restart(Task::once)?;
                    self.tick(&mut jobs)?;
                }
            }
        }
    }

    /// A connection has come, or none can come. Goes on accepting.
    fn accepted(&mut self, mut event: TaskEvent<'_>) -> Result<Option<Slot>, Cause> {
        let slot = event.slot();
        match event.result() {
            // The peer has gone again already; or the pause after a failure is over.
            Ok(_) | Err(Errno::CONNABORTED | Errno::INTR | Errno::TIME) => {}
            Err(errno) => {
                // Out of slots or memory, most often. At once it would fail again.
                self.report_once(errno, format_args!("accept: {errno}; trying again"));
                if let Some(done) = event.done() {
                    done.restart(Task::once)?;
                }
                return Ok(None);
            }
        }
        if let Some(done) = event.done() {
            done.restart_multi(Task::accept)?;
        }
        Ok(slot)
    }

    /// Receives from a new connection, or closes it if there are too many.
    fn connected(&mut self, jobs: &mut Jobs, slot: Slot) -> Result<(), Cause> {
        let Some(index) = self.free.pop() else {
            let most = self.watches.len();
            self.report_once(Errno::USERS, format_args!("refusing more than {most} at once"));
            return Ok(());
        };
        self.last_report = None;
        let client = Client {
            index,
            slot,
            step: Step::Receive,
            inbox: vec![0; HEAD].into(),
            filled: 0,
            outbox: Box::default(),
            head: 0,
            root: Rc::clone(&self.root),
            path: CString::default(),
            file: None,
            offset: 0,
            left: 0,
            pipe: None,
            end: End::Next,
        };
        let key = jobs.start(Task::Serve(Box::new(client)), Task::once)?;
        if let Some(watch) = self.watches.get_mut(index as usize) {
            *watch = Some(Watch { key, since: self.now });
        }
        Ok(())
    }

    fn report_once(&mut self, errno: Errno, line: impl fmt::Display) {
        if self.last_report != Some(errno) {
            self.last_report = Some(errno);
            report(line);
        }
    }

    /// One tick of the clock has passed.
    fn tick(&mut self, jobs: &mut Jobs) -> Result<(), Cause> {
        self.now = self.now.wrapping_add(1);
        self.date = httpdate::fmt_http_date(SystemTime::now());
        self.files.close_old(self.now, self.second);
        for watch in self.watches.iter().flatten() {
            if self.now.wrapping_sub(watch.since) > self.patience {
                // Its event comes, and ends the connection.
                jobs.cancel(watch.key)?;
            }
        }
        Ok(())
    }

    /// The client has so much time from now on.
    fn wait_anew(&mut self, client: &Client) {
        if let Some(Some(watch)) = self.watches.get_mut(client.index as usize) {
            watch.since = self.now;
        }
    }

    /// A connection has done one step. Starts the next one, or closes it.
    fn go_on(&mut self, mut done: TaskDone<'_>) -> Result<(), Cause> {
        let file = done.descriptor();
        let results = [done.result(), done.result_of(1), done.result_of(2)];
        let client = done.client();
        let next = match client.step {
            Step::Splice | Step::SpliceRest => self.spliced(client, results),
            step => self.next_step(client, step, file, results[0]),
        };
        let Some(step) = next else {
            let index = client.index;
            self.keep(client);
            drop(done.finish());
            if let Some(watch) = self.watches.get_mut(index as usize) {
                *watch = None;
            }
            self.free.push(index);
            return Ok(());
        };
        client.step = step;
        match step {
            Step::ReadAndSend => done.restart_quiet(Task::read_and_send)?,
            Step::Splice => done.restart_quiet(Task::splice)?,
            Step::SpliceRest => done.restart_quiet(Task::splice_rest)?,
            _ => done.restart(Task::once)?,
        };
        Ok(())
    }

    /// What a connection does after `step`, unless it is to be closed.
    fn next_step(
        &mut self,
        client: &mut Client,
        step: Step,
        file: Option<OwnedFd>,
        result: Result<u32, Errno>,
    ) -> Option<Step> {
        match (step, result) {
            (Step::Receive | Step::Open | Step::Drain, Err(Errno::INTR)) => Some(step),
            (Step::Receive, Ok(len @ 1..)) => {
                if client.filled == 0 {
                    self.wait_anew(client);
                }
                client.filled += len as usize;
                Some(self.decide(client))
            }
            (Step::Open, Err(errno)) if errno != Errno::CANCELED => {
                Some(self.cannot_open(client, errno))
            }
            (Step::Open, Ok(_)) => file.map(|file| self.opened(client, file)),
            (Step::Send, Ok(len)) if len as usize == client.head => match client.left {
                0 => self.answered(client),
                _ => Some(Step::Splice),
            },
            // Unless the read was short, as the file has shrunk: the result is its own then.
            (Step::ReadAndSend, Ok(len)) if len as usize == client.head + client.part() => {
                self.wait_anew(client);
                let part = client.part() as u64;
                (client.head, client.left) = (0, client.left - part);
                client.offset += part;
                if client.left > 0 { Some(Step::ReadAndSend) } else { self.answered(client) }
            }
            (Step::Shutdown, Ok(_)) | (Step::Drain, Ok(1..)) => Some(Step::Drain),
            // The client has ended, is gone, or was too slow.
            _ => None,
        }
    }

    /// A part of a file has gone into the pipe, or out of it, or both.
    fn spliced(&mut self, client: &mut Client, results: [Result<u32, Errno>; 3]) -> Option<Step> {
        let pipeful = client.pipeful();
        let pipe = client.pipe.as_mut()?;
        let sent = if let Step::Splice = client.step {
            let (filled, sent) = match results {
                // As it should be.
                [_, Err(Errno::NODATA), sent] => (pipeful, sent),
                // Less than was asked for: the second splice has not begun.
                [_, Ok(filled @ 1..), _] => (filled, Ok(0)),
                _ => return None,
            };
            pipe.filled = filled;
            client.offset += u64::from(filled);
            sent
        } else {
            results[1]
        };
        let sent = match sent {
            Ok(sent) => sent,
            // The room in the socket is gone again.
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => return None,
        };
        pipe.filled -= sent;
        let is_empty = pipe.filled == 0;
        client.left -= u64::from(sent);
        if sent > 0 {
            self.wait_anew(client);
        }
        match client.left {
            0 => self.answered(client),
            _ if is_empty => Some(Step::Splice),
            _ => Some(Step::SpliceRest),
        }
    }

    /// What to do about what was received and not answered.
    fn decide(&mut self, client: &mut Client) -> Step {
        let received = client.inbox.get(..client.filled).unwrap_or_default();
        let request = match Request::parse(received, &mut self.path) {
            Ok(Some(request)) => request,
            Ok(None) if client.filled == client.inbox.len() => {
                return self.refuse(client, Status::HEAD_TOO_LARGE, false, End::Drain);
            }
            Ok(None) => return Step::Receive,
            Err(status) => return self.refuse(client, status, false, End::Drain),
        };
        let file = client.file.take().or_else(|| self.files.get(&self.path));
        let Some(file) = file else {
            // The request is looked at again when its file is open.
            client.path = CString::new(&*self.path).expect("the path has no NUL");
            return Step::Open;
        };
        client.outbox = self.spare.pop().unwrap_or_else(|| vec![0; BLOCK].into());
        let answer = answer(&mut client.outbox, &request, &file, &self.date);
        client.head = answer.head;
        (client.offset, client.left) = (answer.body.start, answer.body.end - answer.body.start);
        client.end = if request.closes { End::Close } else { End::Next };
        let len = request.len;
        client.file = Some(file);
        client.consume(len);
        if client.left <= client.room() {
            return if client.left > 0 { Step::ReadAndSend } else { Step::Send };
        }
        // Without a pipe, in parts.
        client.pipe = self.pipes.pop().or_else(|| Pipe::new().ok());
        if client.pipe.is_some() { Step::Send } else { Step::ReadAndSend }
    }

    /// The file of a request is open.
    fn opened(&mut self, client: &mut Client, file: OwnedFd) -> Step {
        match Open::new(file, client.path.as_bytes(), self.now) {
            Ok(file) => {
                let file = Rc::new(file);
                self.files.keep(client.path.as_bytes(), &file);
                client.file = Some(file);
                self.decide(client)
            }
            Err(error) => {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::NOENT);
                self.cannot_open(client, errno)
            }
        }
    }

    /// The file of a request cannot be opened.
    fn cannot_open(&mut self, client: &mut Client, errno: Errno) -> Step {
        let status = match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::NXIO => {
                Status::NOT_FOUND
            }
            // It would lead out of the root directory, for one.
            Errno::ACCESS | Errno::PERM | Errno::XDEV => Status::FORBIDDEN,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => {
                self.files.close_all();
                Status::BUSY
            }
            _ => Status::FAILED,
        };
        let received = client.inbox.get(..client.filled).unwrap_or_default();
        // It was one a moment ago.
        let Ok(Some(request)) = Request::parse(received, &mut self.path) else {
            return self.refuse(client, status, false, End::Drain);
        };
        let (is_head, len) = (request.is_head, request.len);
        let end = if request.closes { End::Close } else { End::Next };
        client.consume(len);
        self.refuse(client, status, is_head, end)
    }

    /// Answers without a file.
    fn refuse(&mut self, client: &mut Client, status: Status, is_head: bool, end: End) -> Step {
        client.outbox = self.spare.pop().unwrap_or_else(|| vec![0; BLOCK].into());
        client.head = refuse(&mut client.outbox, status, &self.date, is_head, end != End::Next);
        client.end = end;
        Step::Send
    }

    /// An answer was sent. Returns what follows.
    fn answered(&mut self, client: &mut Client) -> Option<Step> {
        self.wait_anew(client);
        self.keep(client);
        match client.end {
            End::Close if client.filled == 0 => None,
            End::Close | End::Drain => Some(Step::Shutdown),
            // Clients may send several requests at once.
            End::Next if client.filled > 0 => Some(self.decide(client)),
            End::Next => Some(Step::Receive),
        }
    }

    /// Keeps what an answer needed for the next one.
    fn keep(&mut self, client: &mut Client) {
        client.file = None;
        let block = core::mem::take(&mut client.outbox);
        if !block.is_empty() && self.spare.len() < SPARE {
            self.spare.push(block);
        }
        let pipe = client.pipe.take().filter(|pipe| pipe.filled == 0);
        self.pipes.extend(pipe.filter(|_| self.pipes.len() < SPARE_PIPES));
    }
}
