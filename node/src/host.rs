//! One server on Node's thread: its worker, its handles on the loop, and its end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tidewire::engine::{Group, LocalWorker, Options, Worker};
use tidewire::sys::{Endpoint, Io, ListenOptions, Readiness};

use crate::application::JsApplication;
use crate::napi::Env;
use crate::uv::{self, Attached};

pub struct Host {
    env: Env,
    /// Borrowed while it turns; what JavaScript calls meanwhile goes through `local`.
    worker: RefCell<Option<Worker>>,
    pub local: LocalWorker,
    pub group: Group,
    pub application: Rc<JsApplication>,
    pub endpoint: Endpoint,
    attached: Cell<Option<Attached>>,
}

impl Host {
    /// Opens a server and puts it on the loop.
    pub fn open(
        env: Env,
        endpoint: &Endpoint,
        listen: &ListenOptions,
        options: Options,
        application: Rc<JsApplication>,
    ) -> Result<Rc<Self>, String> {
        let io = Readiness::new().map_err(|error| format!("the system gives no poller: {error}"))?;
        let group = Group::new(vec![io.waker()]);
        let mut worker = Worker::new(Box::new(io), &group, 0, options, application.clone());
        let endpoint = worker.listen(endpoint, listen).map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => format!("Failed to start server. Is {endpoint} in use?"),
            _ => format!("cannot listen on {endpoint}: {error}"),
        })?;
        let descriptor = worker.descriptor().ok_or("this system has no poller that a foreign loop can watch")?;
        let local = worker.handle();
        let worker = RefCell::new(Some(worker));
        let host = Rc::new(Self { env, worker, local, group, application, endpoint, attached: Cell::new(None) });
        let attached = uv::attach(env, &host, descriptor).map_err(|uv::NoLoop(why)| why.to_owned())?;
        host.attached.set(Some(attached));
        Ok(host)
    }

    /// Lets the worker do what is due. Called by the loop, with no JavaScript on the stack.
    pub fn turn(&self) {
        let Ok(mut place) = self.worker.try_borrow_mut() else { return };
        let Some(worker) = place.as_mut() else { return };
        let result = self.env.scope(|| worker.turn(Some(Duration::ZERO)));
        if let Err(error) = result {
            tracing::error!(%error, "a turn failed");
        }
        if worker.is_finished() {
            let worker = place.take();
            drop(place);
            return self.finished(worker);
        }
        let wait = if worker.is_busy() { Some(Duration::ZERO) } else { worker.timeout() };
        if let Some(attached) = self.attached.get() {
            attached.wake_after(wait);
        }
    }

    /// Sends what JavaScript sent outside a turn. Called before the loop sleeps.
    pub fn flush(&self) {
        let Ok(place) = self.worker.try_borrow() else { return };
        if let Some(worker) = place.as_ref() {
            self.env.scope(|| worker.flush());
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
                if let Some(attached) = self.attached.get() {
                    attached.wake_after(Some(Duration::ZERO));
                }
            }
            Err(_) => self.group.stop(patience),
        }
    }

    /// Whether the server keeps the process alive.
    pub fn keep_alive(&self, keep: bool) {
        if let Some(attached) = self.attached.get() {
            attached.keep_alive(keep);
        }
    }

    fn finished(&self, worker: Option<Worker>) {
        if let Some(attached) = self.attached.take() {
            attached.close(); // before the descriptor that it watches
        }
        drop(worker);
        self.env.scope(|| self.application.stopped());
    }

    /// JavaScript is not to be called any more; the handles must go.
    pub fn environment_ends(&self) {
        self.application.silence();
        if let Some(attached) = self.attached.take() {
            attached.close();
        }
        // Inside a handler the worker is turning: then it is left as it is, for the process is ending.
        if let Ok(mut place) = self.worker.try_borrow_mut() {
            let worker = place.take();
            drop(place);
            drop(worker);
        }
    }
}
