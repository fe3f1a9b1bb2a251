//! The worker's own executor: the futures of `fetch` and of `spawn`, polled on the worker's thread.
//!
//! A future never leaves its thread; its waker may. What is woken goes to one ready queue, which the worker empties once a
//! turn. While the worker runs, a wake costs a push; when it may be asleep, the first wake also wakes the poller.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::core::let_go;
use super::table::SocketId;

pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Something that asked to be polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    /// A spawned task, by its place and its generation.
    Task(u32, u32),
    /// The HTTP side of a connection.
    Exchange(SocketId),
}

/// Where wakers put what is ready. Shared with other threads.
#[derive(Debug)]
pub(crate) struct ReadyQueue {
    inner: Mutex<Queue>,
    poller: Waker,
}

#[derive(Debug, Default)]
struct Queue {
    ready: VecDeque<Ready>,
    /// Whether the worker is sure to look here before it sleeps.
    awake: bool,
}

impl ReadyQueue {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic cannot leave the queue half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, ready: Ready) {
        let mut queue = self.lock();
        queue.ready.push_back(ready);
        if !queue.awake {
            queue.awake = true;
            drop(queue);
            self.poller.wake_by_ref();
        }
    }

    /// The worker is awake and will call [`ReadyQueue::sleep`] before it stops looking.
    pub fn awake(&self) {
        self.lock().awake = true;
    }

    /// Announces that the worker is going to sleep; `false` when there is something to do first.
    pub fn sleep(&self) -> bool {
        let mut queue = self.lock();
        queue.awake = !queue.ready.is_empty();
        !queue.awake
    }

    /// Takes the next ready thing.
    pub fn pop(&self) -> Option<Ready> {
        self.lock().ready.pop_front()
    }

    pub fn len(&self) -> usize {
        self.lock().ready.len()
    }
}

#[derive(Debug)]
struct ReadyWaker {
    ready: Ready,
    queue: Arc<ReadyQueue>,
}

impl Wake for ReadyWaker {
    fn wake(self: Arc<Self>) {
        self.queue.push(self.ready);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue.push(self.ready);
    }
}

pub(crate) struct Executor {
    queue: Arc<ReadyQueue>,
    tasks: RefCell<Tasks>,
}

#[derive(Default)]
struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    /// Empty while the task is being polled.
    task: Option<(Task, Waker)>,
    living: bool,
}

impl Executor {
    pub fn new(poller: Waker) -> Self {
        let queue = Arc::new(ReadyQueue { inner: Mutex::new(Queue::default()), poller });
        Self { queue, tasks: RefCell::default() }
    }

    pub fn queue(&self) -> &Arc<ReadyQueue> {
        &self.queue
    }

    /// A waker that marks something ready.
    pub fn waker(&self, ready: Ready) -> Waker {
        Waker::from(Arc::new(ReadyWaker { ready, queue: self.queue.clone() }))
    }

    /// Keeps a future and has it polled soon.
    pub fn spawn(&self, task: Task) {
        let (at, generation) = self.keep(task);
        self.queue.push(Ready::Task(at, generation));
    }

    /// Keeps a future and polls it now, with nothing borrowed: one that is ready at once has no others beside it in memory, though
    /// a thousand begin in one turn.
    pub fn start(&self, task: Task) {
        let (at, generation) = self.keep(task);
        self.poll(at, generation);
    }

    fn keep(&self, task: Task) -> (u32, u32) {
        let mut tasks = self.tasks.borrow_mut();
        let at = tasks.free.pop().unwrap_or_else(|| {
            tasks.slots.push(Slot { generation: 0, task: None, living: false });
            tasks.slots.len() as u32 - 1
        });
        let slot = &mut tasks.slots[at as usize];
        slot.task = Some((task, self.waker(Ready::Task(at, slot.generation))));
        slot.living = true;
        (at, slot.generation)
    }

    /// Polls one task. Nothing is borrowed meanwhile; what the task spawns or wakes waits its turn.
    pub fn poll(&self, at: u32, generation: u32) {
        let taken = {
            let mut tasks = self.tasks.borrow_mut();
            match tasks.slots.get_mut(at as usize) {
                Some(slot) if slot.generation == generation => slot.task.take(),
                _ => None,
            }
        };
        let Some((mut task, waker)) = taken else { return };
        let poll = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut Context::from_waker(&waker)))).unwrap_or_else(|_| {
            // One task's panic must not take the worker's sockets with it. The panic hook has said what happened.
            tracing::error!("a spawned future panicked and is dropped");
            Poll::Ready(())
        });
        let mut tasks = self.tasks.borrow_mut();
        let Some(slot) = tasks.slots.get_mut(at as usize) else { return };
        if poll.is_pending() && slot.living {
            slot.task = Some((task, waker));
            return;
        }
        slot.generation = slot.generation.wrapping_add(1);
        slot.living = false;
        tasks.free.push(at);
        drop(tasks);
        let_go(task);
    }

    /// Drops every task; one that is being polled goes when its poll returns.
    pub fn clear(&self) {
        let mut taken = Vec::new();
        {
            let Tasks { slots, free } = &mut *self.tasks.borrow_mut();
            for (at, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.living) {
                slot.living = false;
                if let Some(task) = slot.task.take() {
                    slot.generation = slot.generation.wrapping_add(1);
                    free.push(at as u32);
                    taken.push(task);
                }
            }
        }
        for task in taken {
            let_go(task);
        }
    }

    /// How many tasks are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        let tasks = self.tasks.borrow();
        tasks.slots.len() - tasks.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    fn run(executor: &Executor) {
        while let Some(ready) = executor.queue().pop() {
            if let Ready::Task(at, generation) = ready {
                executor.poll(at, generation);
            }
        }
    }

    #[test]
    fn a_task_runs_when_it_is_woken_and_leaves_nothing() {
        let executor = Executor::new(Waker::noop().clone());
        let (polls, waker) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None::<Waker>)));
        let (count, slot) = (polls.clone(), waker.clone());
        executor.spawn(Box::pin(std::future::poll_fn(move |context| {
            count.set(count.get() + 1);
            *slot.borrow_mut() = Some(context.waker().clone());
            if count.get() == 2 { Poll::Ready(()) } else { Poll::Pending }
        })));
        run(&executor);
        run(&executor);
        assert_eq!((polls.get(), executor.len()), (1, 1));
        let stale = waker.borrow_mut().take().unwrap();
        stale.wake_by_ref();
        run(&executor);
        assert_eq!((polls.get(), executor.len()), (2, 0));
        stale.wake();
        run(&executor);
        assert_eq!(polls.get(), 2);
    }

    #[test]
    fn a_task_that_clears_the_executor_is_dropped_after_its_poll() {
        let executor = Rc::new(Executor::new(Waker::noop().clone()));
        let guard = Rc::new(());
        let (inner, held) = (executor.clone(), guard.clone());
        executor.spawn(Box::pin(async move {
            inner.clear();
            assert_eq!(Rc::strong_count(&held), 2);
            std::future::pending::<()>().await;
        }));
        run(&executor);
        assert_eq!((Rc::strong_count(&guard), executor.len()), (1, 0));
    }

    #[test]
    fn sleep_is_refused_while_something_is_ready() {
        let executor = Executor::new(Waker::noop().clone());
        executor.queue().awake();
        executor.spawn(Box::pin(async {}));
        assert!(!executor.queue().sleep());
        run(&executor);
        assert!(executor.queue().sleep());
    }
}
