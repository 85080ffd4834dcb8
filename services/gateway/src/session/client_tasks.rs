//! The tasks of one WhatsApp client: watched while they run, and ended before the next client begins.
//!
//! The client decrypts a message in a task of its chat, and the message's keys are in the client's cache from then on.
//! The task then hands the message to the store, and waits for nothing in between but the store itself. So the messages
//! that are decrypted and not yet handed over belong to the tasks that run, or that are inside a call of the store, at this
//! moment. [`ClientTasks::settled`] waits for each of them before the cache is written.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    task::AbortHandle as TokioAbortHandle,
};
use tokio_util::task::TaskTracker;
use wacore::runtime::{AbortHandle, Runtime};
use whatsapp_rust::{TokioRuntime, async_trait};

tokio::task_local! {
    /// The task of a client in which this code runs.
    static CURRENT: Arc<TaskProgress>;
}

/// The tasks of one client. Clones are the same tasks.
#[derive(Clone, Default)]
pub struct ClientTasks(Arc<Shared>);

#[derive(Default)]
struct Shared {
    tracker: TaskTracker,
    next: AtomicU64,
    running: Mutex<HashMap<u64, RunningTask>>,
    /// Notified when a task that somebody waits for has moved on.
    moved: Notify,
    waiting: AtomicUsize,
    has_ended: AtomicBool,
}

/// A task, and the handle that ends it once it has begun.
type RunningTask = (Arc<TaskProgress>, Option<TokioAbortHandle>);

/// How far a task has come.
#[derive(Default)]
struct TaskProgress {
    is_polled: AtomicBool,
    /// The number of store calls that the task is inside of. None of them writes keys.
    store_calls: AtomicUsize,
    /// Counts the moments at which the task holds no message that is decrypted and not handed over.
    settled: AtomicU64,
}

/// A call of the store, for as long as it lasts.
pub struct StoreCall(Option<(Arc<TaskProgress>, ClientTasks)>);

impl ClientTasks {
    /// Says that the task in which this runs calls the store.
    #[must_use]
    pub fn begin_store_call(&self) -> StoreCall {
        let task = CURRENT.try_with(Arc::clone).ok();
        if let Some(task) = &task {
            task.store_calls.fetch_add(1, SeqCst);
        }
        StoreCall(task.map(|task| (task, self.clone())))
    }

    /// Waits until each task that may hold a message at this moment has handed it over, or turned out to hold none.
    ///
    /// Meanwhile no task decrypts another message, if the caller holds the lock of the client's cache, as it does whenever it
    /// writes keys. The task of the caller is left out.
    pub async fn settled(&self) {
        let current = CURRENT.try_with(Arc::clone).ok();
        let is_other = |task: &Arc<TaskProgress>| current.as_ref().is_none_or(|current| !Arc::ptr_eq(current, task));
        let busy: Vec<_> = {
            let tasks = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
            let all = tasks.values().map(|(task, _)| task);
            all.filter(|task| is_other(task))
                .filter_map(|task| {
                    // First, so that a task which goes on meanwhile is seen to have done so.
                    let settled = task.settled.load(SeqCst);
                    task.is_busy().then(|| (Arc::clone(task), settled))
                })
                .collect()
        };
        if busy.is_empty() {
            return;
        }
        self.0.waiting.fetch_add(1, SeqCst);
        let _waiting = Waiting(&self.0.waiting);
        for (task, before) in busy {
            loop {
                let moved = self.0.moved.notified();
                tokio::pin!(moved);
                moved.as_mut().enable();
                if task.settled.load(SeqCst) != before || !task.is_busy() {
                    break;
                }
                moved.await;
            }
        }
    }

    /// Ends all tasks and waits until none is left. A task that is spawned later never runs.
    pub async fn end(&self) {
        self.0.has_ended.store(true, SeqCst);
        self.0.tracker.close();
        loop {
            self.abort_all();
            // A task that began in this moment is ended in the next round.
            if tokio::time::timeout(END_AGAIN, self.0.tracker.wait()).await.is_ok() {
                return;
            }
        }
    }

    /// Runs work as a task of the client: it goes on if the caller goes away, and ends with the client. None if it was ended
    /// so.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        self.start(Box::pin(async move {
            // A caller that went away needs no result.
            let _ = done.send(work.await);
        }));
        result.await.ok()
    }

    fn abort_all(&self) {
        let running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().filter_map(|(_, task)| task.as_ref()).for_each(TokioAbortHandle::abort);
    }

    fn start(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Option<TokioAbortHandle> {
        if self.0.has_ended.load(SeqCst) {
            return None;
        }
        let (id, task) = (self.0.next.fetch_add(1, SeqCst), Arc::<TaskProgress>::default());
        let watched = WatchedTask { id, future, task: Arc::clone(&task), tasks: self.clone() };
        let running = || self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it begins, since it may end at once.
        running().insert(id, (Arc::clone(&task), None));
        let handle = self.0.tracker.spawn(CURRENT.scope(task, watched)).abort_handle();
        if let Some((_, known)) = running().get_mut(&id) {
            *known = Some(handle.clone());
        }
        Some(handle)
    }

    fn notify_waiting(&self) {
        if self.0.waiting.load(SeqCst) > 0 {
            self.0.moved.notify_waiters();
        }
    }
}

/// The pause before tasks that have not ended are aborted again.
const END_AGAIN: Duration = Duration::from_millis(100);

impl TaskProgress {
    fn is_busy(&self) -> bool {
        self.is_polled.load(SeqCst) || self.store_calls.load(SeqCst) > 0
    }
}

impl StoreCall {
    /// Says that the message of this task is handed over.
    pub fn message_is_kept(&self) {
        if let Some((task, tasks)) = &self.0 {
            task.settled.fetch_add(1, SeqCst);
            tasks.notify_waiting();
        }
    }
}

impl Drop for StoreCall {
    fn drop(&mut self) {
        // The task goes on from here, so it is not settled by this.
        if let Some((task, tasks)) = &self.0 {
            task.store_calls.fetch_sub(1, SeqCst);
            tasks.notify_waiting();
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

struct WatchedTask {
    id: u64,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    task: Arc<TaskProgress>,
    tasks: ClientTasks,
}

impl Future for WatchedTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.task.is_polled.store(true, SeqCst);
        let polled = self.future.as_mut().poll(context);
        if self.task.store_calls.load(SeqCst) == 0 {
            self.task.settled.fetch_add(1, SeqCst);
        }
        self.task.is_polled.store(false, SeqCst);
        self.tasks.notify_waiting();
        polled
    }
}

impl Drop for WatchedTask {
    fn drop(&mut self) {
        self.tasks.0.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.task.settled.fetch_add(1, SeqCst);
        self.tasks.notify_waiting();
    }
}

#[async_trait]
impl Runtime for ClientTasks {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send + 'static>>) -> AbortHandle {
        let task = self.start(future);
        AbortHandle::new(move || {
            if let Some(task) = task {
                task.abort();
            }
        })
    }

    fn spawn_detached(&self, future: Pin<Box<dyn Future<Output = ()> + Send + 'static>>) {
        self.start(future);
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        TokioRuntime.sleep(duration)
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        TokioRuntime.spawn_blocking(work)
    }

    fn yield_now(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        TokioRuntime.yield_now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{sync::Barrier, time::timeout};

    const SOON: Duration = Duration::from_secs(10);
    const MOMENT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn work_goes_on_without_its_caller_and_ends_with_the_client() {
        let tasks = ClientTasks::default();
        let (release, released) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let work = tasks.run(async move {
            let _ = released.await;
            done.send(()).expect("the test waits");
        });
        assert!(timeout(MOMENT, work).await.is_err(), "it waits");
        release.send(()).expect("the work goes on");
        timeout(SOON, is_done).await.expect("in time").expect("done");

        let endless = tasks.clone();
        let endless = tokio::spawn(async move { endless.run(std::future::pending::<()>()).await });
        tokio::task::yield_now().await;
        tasks.end().await;
        assert_eq!(timeout(SOON, endless).await.expect("in time").expect("a task"), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_task_that_runs_or_calls_the_store_is_waited_for() {
        let tasks = ClientTasks::default();
        let (go_on, wait) = oneshot::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let inside = tasks.clone();
        tasks.spawn_detached(Box::pin(async move {
            let call = inside.begin_store_call();
            let _ = begun.send(());
            let _ = wait.await;
            drop(call);
            std::future::pending().await
        }));
        has_begun.await.expect("it begins");
        assert!(timeout(MOMENT, tasks.settled()).await.is_err(), "a call of the store was not waited for");
        go_on.send(()).expect("it waits");
        timeout(SOON, tasks.settled()).await.expect("the call is over");
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        tasks.spawn_detached(Box::pin(async move {
            let _ = begun.send(());
            // As a thread that stands still.
            let _ = wait.recv();
            std::future::pending().await
        }));
        tokio::task::spawn_blocking(move || has_begun.recv()).await.expect("no panic").expect("it begins");
        assert!(timeout(MOMENT, tasks.settled()).await.is_err(), "a task that runs was not waited for");
        go_on.send(()).expect("it waits");
        timeout(SOON, tasks.settled()).await.expect("the task waits for something else");
        tasks.end().await;
    }

    #[tokio::test]
    async fn a_task_that_waits_for_something_else_is_not_waited_for() {
        let tasks = ClientTasks::default();
        let begun = Arc::new(Barrier::new(2));
        let inside = Arc::clone(&begun);
        tasks.spawn_detached(Box::pin(async move {
            inside.wait().await;
            std::future::pending().await
        }));
        begun.wait().await;
        timeout(SOON, tasks.settled()).await.expect("nothing is on its way");
        timeout(SOON, tasks.end()).await.expect("it ends");
    }

    #[tokio::test]
    async fn after_the_end_no_task_is_left_and_none_begins() {
        let tasks = ClientTasks::default();
        let alive = Arc::new(());
        for _ in 0..100 {
            let (alive, tasks) = (Arc::clone(&alive), tasks.clone());
            tasks.clone().spawn_detached(Box::pin(async move {
                let inner = Arc::clone(&alive);
                tasks.spawn_detached(Box::pin(async move {
                    let _inner = inner;
                    std::future::pending().await
                }));
                let _alive = alive;
                std::future::pending().await
            }));
        }
        tokio::task::yield_now().await;
        timeout(SOON, tasks.end()).await.expect("all end");
        assert_eq!(Arc::strong_count(&alive), 1);
        let (begun, has_begun) = oneshot::channel();
        tasks.spawn_detached(Box::pin(async move {
            let _ = begun.send(());
        }));
        assert!(has_begun.await.is_err(), "a task began after the end");
    }
}
