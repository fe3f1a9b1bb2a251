//! One server, or all clients, on Node's thread: the worker, what turns it, and its end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tidewire::engine::{Dial, DialError, Group, LocalSocket, LocalWorker, Options, Worker};
use tidewire::sys::{Endpoint, Io, ListenOptions, Readiness};
use tidewire::tls::Tls;

use crate::application::JsApplication;
use crate::driver::Driver;
use crate::groups::Membership;
use crate::napi::Env;
use crate::options;
use crate::seats::Seat;

/// Why a server cannot be opened.
pub enum Refused {
    /// An option is no good.
    Option(String),
    /// The system refuses, with its number where it has one.
    System(String, Option<i32>),
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::System(why, None)
    }
}

fn poller() -> Result<Readiness, String> {
    Readiness::new().map_err(|error| format!("the system gives no poller: {error}"))
}

pub struct Host {
    env: Env,
    /// Borrowed while it turns; what JavaScript calls meanwhile goes through `local`.
    worker: RefCell<Option<Worker>>,
    pub local: LocalWorker,
    /// Its place among the servers that share its topics.
    pub membership: Membership,
    pub application: Rc<JsApplication>,
    /// Where it listens; clients do not.
    pub endpoint: Option<Endpoint>,
    driver: RefCell<Option<Driver>>,
    /// A doorbell was rung since the last turn.
    rung: Cell<bool>,
    /// The worker's deadline that the driver knows of.
    deadline: Cell<Option<Duration>>,
}

impl Host {
    /// Puts a worker on the loop for connections that this side begins. It keeps no process alive by itself.
    pub fn clients(env: Env, options: Options, application: Rc<JsApplication>) -> Result<Rc<Self>, String> {
        let io = poller()?;
        let waker = io.waker();
        let membership = Membership::alone(waker.clone());
        let worker = Worker::new(Box::new(io), &membership.group, membership.place, options, application.clone());
        let host = Self::start(env, worker, waker, membership, application, None)?;
        host.keep_alive(false);
        Ok(host)
    }

    /// Opens a server and puts it on the loop.
    pub fn open(
        env: Env,
        endpoint: &Endpoint,
        listen: &ListenOptions,
        options: Options,
        tls: Option<&Tls>,
        application: Rc<JsApplication>,
    ) -> Result<Rc<Self>, Refused> {
        let mut io = poller()?;
        let waker = io.waker();
        let refused = |error: std::io::Error| {
            let why = match error.kind() {
                std::io::ErrorKind::AddrInUse => format!("Failed to start server. Is {endpoint} in use?"),
                _ => format!("cannot listen on {endpoint}: {error}"),
            };
            Refused::System(why, error.raw_os_error())
        };
        // First, because only now a port that was left open is known, and with it who else is there.
        let listening = io.listen(endpoint, listen).map_err(refused)?;
        let local = listening.local.clone();
        let membership = match listen.reuse_port {
            true => Membership::shared(&local, waker.clone()),
            false => Some(Membership::alone(waker.clone())),
        };
        let Some(membership) = membership else {
            io.close(listening.socket);
            return Err(format!("cannot share {local}: at most {} servers of a process may", Group::MAX_WORKERS).into());
        };
        let mut worker = Worker::new(Box::new(io), &membership.group, membership.place, options, application.clone());
        worker.add_listener(listening, false).map_err(refused)?;
        if let Some(tls) = tls {
            worker.secure(tls).map_err(|error| Refused::Option(options::tls_error(&error)))?;
        }
        Self::start(env, worker, waker, membership, application, Some(local)).map_err(Refused::from)
    }

    /// Puts a worker on the loop.
    fn start(
        env: Env,
        worker: Worker,
        waker: Waker,
        membership: Membership,
        application: Rc<JsApplication>,
        endpoint: Option<Endpoint>,
    ) -> Result<Rc<Self>, String> {
        let descriptor = worker.descriptor().ok_or("this system has no poller that a foreign loop can watch")?;
        let local = worker.handle();
        let worker = RefCell::new(Some(worker));
        let (driver, rung, deadline) = (RefCell::new(None), Cell::new(false), Cell::new(None));
        let host = Rc::new(Self { env, worker, local, membership, application, endpoint, driver, rung, deadline });
        let driver = Driver::attach(env, &host, descriptor, waker)?;
        *host.driver.borrow_mut() = Some(driver);
        Ok(host)
    }

    /// Begins a connection. What it waits for may be due before the loop knows.
    pub fn connect(&self, dial: &Dial, seat: Rc<Seat>) -> Result<LocalSocket, DialError> {
        let socket = self.local.connect(dial, self.application.clone(), Some(seat))?;
        if let Some(driver) = &*self.driver.borrow() {
            driver.soon();
        }
        Ok(socket)
    }

    /// Lets the worker do what is due. Called by the loop, with no JavaScript on the stack.
    pub fn turn(&self) {
        self.application.run_ticks(self.must_be_told());
        let finished = self.turn_worker();
        // What streams of JavaScript's have caused is told outside the turn, with nothing of the worker borrowed.
        self.env.scope(|| self.application.tell_notices());
        self.application.run_ticks(false);
        if let Some(worker) = finished {
            return self.finished(worker);
        }
        let Ok(place) = self.worker.try_borrow() else { return };
        let Some(worker) = place.as_ref() else { return };
        self.deadline.set(worker.deadline());
        if let Some(driver) = &*self.driver.borrow() {
            driver.after_turn(self.next_turn(worker));
        }
    }

    /// How long the loop may sleep before the next turn, if the descriptor stays quiet.
    fn next_turn(&self, worker: &Worker) -> Option<Duration> {
        let due = worker.is_busy() || self.application.outgoing.has_notices();
        if due { Some(Duration::ZERO) } else { worker.timeout() }
    }

    /// One turn; gives the worker when it has ended.
    fn turn_worker(&self) -> Option<Worker> {
        let mut place = self.worker.try_borrow_mut().ok()?;
        let worker = place.as_mut()?;
        self.rung.set(false);
        if let Err(error) = self.application.turn(|| worker.turn(Some(Duration::ZERO))) {
            tracing::error!(%error, "a turn failed");
        }
        // What waits to be polled may have to tell JavaScript of the last connection's end.
        (worker.is_finished() && !worker.is_busy()).then(|| place.take()).flatten()
    }

    /// Sends what JavaScript sent outside a turn. Called before the loop sleeps.
    pub fn flush(&self) {
        let Ok(place) = self.worker.try_borrow() else { return };
        let Some(worker) = place.as_ref() else { return };
        self.env.scope(|| worker.flush());
        let Some(driver) = &*self.driver.borrow() else { return };
        // What JavaScript did outside a turn may have brought the next one nearer.
        let deadline = worker.deadline();
        if self.application.outgoing.has_notices() || self.deadline.replace(deadline) != deadline {
            driver.after_turn(self.next_turn(worker));
        }
    }

    /// Whether it must be told with [`Host::touched`].
    pub fn must_be_told(&self) -> bool {
        self.driver.borrow().as_ref().is_some_and(|driver| !driver.runs_ticks())
    }

    /// JavaScript calls something that may send. While the worker turns, the turn's end sends it.
    pub fn touched(&self) {
        if self.rung.get() || self.worker.try_borrow_mut().is_err() {
            return;
        }
        if let Some(driver) = &*self.driver.borrow() {
            self.rung.set(true);
            driver.touched();
        }
    }

    /// Runs something that may upgrade or answer, so that the worker is the thread's current one.
    pub fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        match self.worker.try_borrow() {
            Ok(place) => match place.as_ref() {
                Some(worker) => worker.enter(run),
                None => run(),
            },
            // It is turning: it is the current one already.
            Err(_) => run(),
        }
    }

    /// Stops listening and closes all sockets.
    pub fn stop(&self, patience: Duration) {
        match self.worker.try_borrow_mut() {
            Ok(mut place) => {
                if let Some(worker) = place.as_mut() {
                    worker.stop(patience);
                }
                drop(place);
                // Nobody may be left: then the loop has no event for us.
                if let Some(driver) = &*self.driver.borrow() {
                    driver.soon();
                }
            }
            Err(_) => self.local.stop(patience),
        }
    }

    /// Whether the server keeps the process alive.
    pub fn keep_alive(&self, keep: bool) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.keep_alive(keep);
        }
    }

    fn finished(&self, worker: Worker) {
        if let Some(driver) = self.driver.take() {
            driver.close(); // before the descriptor that it watches
        }
        drop(worker);
        self.env.scope(|| self.application.stopped());
    }

    /// JavaScript is not to be called any more; the handles must go.
    pub fn environment_ends(&self) {
        self.application.silence();
        if let Some(driver) = self.driver.take() {
            driver.close();
        }
        // Inside a handler the worker is turning: then it is left as it is, for the process is ending.
        if let Ok(mut place) = self.worker.try_borrow_mut() {
            let worker = place.take();
            drop(place);
            drop(worker);
            // Each holds the worker that holds them.
            let unanswered = self.application.pending.take();
            drop(unanswered);
        }
    }
}
