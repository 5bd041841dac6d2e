//! Where the rest of the control plane hands orders to the contact thread. The thread sleeps in
//! poll(2) and is no task of the runtime: orders lie in a bounded queue, and whoever puts one there
//! wakes it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::command::PlanDesk;
use super::exchange::Exchange;
use super::status::Board;

/// Orders that may wait.
const CAPACITY: usize = 16;
/// For an order to be carried out: the other switch has to take over before this one lets go.
const PATIENCE: Duration = Duration::from_secs(15);

/// The contact thread as the rest of the control plane knows it.
#[derive(Debug, Clone)]
pub struct ContactParts {
    /// Where it writes how things stand.
    pub board: Arc<Board>,
    /// Where it takes orders.
    pub desk: ContactDesk,
    /// Where it takes policies.
    pub plans: PlanDesk,
    /// What it carries between the reconcilers of the group.
    pub exchange: Arc<Exchange>,
}

#[cfg(test)]
impl ContactParts {
    /// Of a thread that does not exist.
    pub fn idle(board: Arc<Board>) -> Self {
        let (commands, _) = super::command::commands().expect("a descriptor");
        Self {
            board,
            desk: desk(|| {}).0,
            plans: PlanDesk::new(commands),
            exchange: Arc::default(),
        }
    }
}

/// What an operator can have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Give addresses up, and do not take them back before [`Order::Resume`].
    Yield {
        /// Those of this group, both families; `None`: all.
        group: Option<u8>,
        /// Though nobody would take over.
        force: bool,
    },
    /// Stand for addresses again.
    Resume {
        /// Those of this group, both families; `None`: all.
        group: Option<u8>,
    },
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Clients would not be served.
    Unsafe(String),
    /// It did not work.
    Failed(String),
    /// There is no such group.
    Unknown,
}

/// What became of an order, in words for the operator.
pub type Outcome = Result<String, Refusal>;

/// Takes orders.
#[derive(Clone)]
pub struct ContactDesk {
    orders: SyncSender<(Order, Reply)>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for ContactDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContactDesk")
    }
}

/// A desk and the thread's side of it. `wake` is called after each order that was put down, from any
/// thread, and must not block.
pub fn desk(wake: impl Fn() + Send + Sync + 'static) -> (ContactDesk, Inbox) {
    let (orders, inbox) = sync_channel(CAPACITY);
    let desk = ContactDesk {
        orders,
        wake: Arc::new(wake),
    };
    (desk, Inbox(inbox))
}

impl ContactDesk {
    /// Has an order carried out.
    ///
    /// # Errors
    /// Why it was not. After [`Refusal::Failed`] for want of an answer it may yet be under way.
    pub async fn order(&self, order: Order) -> Outcome {
        self.order_within(order, PATIENCE).await
    }

    async fn order_within(&self, order: Order, patience: Duration) -> Outcome {
        let failed = |why: &str| Err(Refusal::Failed(why.to_owned()));
        let (reply, answer) = oneshot::channel();
        match self.orders.try_send((order, Reply(reply))) {
            Ok(()) => (self.wake)(),
            Err(TrySendError::Full(_)) => return failed("too many orders wait already"),
            Err(TrySendError::Disconnected(_)) => return failed(ENDED),
        }
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => failed(ENDED),
            Err(_) => failed("no answer in time: `pointsman contact status` tells how it stands"),
        }
    }
}

const ENDED: &str = "the thread of the contact addresses has ended";

/// The thread's side.
#[derive(Debug)]
pub struct Inbox(Receiver<(Order, Reply)>);

impl Inbox {
    /// The next order, without waiting. One whose sender waits no more is passed over: nobody would
    /// expect it now.
    pub fn take(&self) -> Option<(Order, Reply)> {
        self.0.try_iter().find(|(_, reply)| !reply.0.is_closed())
    }
}

/// Answers one order. Dropped without an answer, it says that the thread has ended.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Outcome>);

impl Reply {
    /// Tells what became of it; whoever asked may have gone.
    pub fn answer(self, outcome: Outcome) {
        let _ = self.0.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    const SOON: Duration = Duration::from_millis(200);
    const ALL: Order = Order::Resume { group: None };

    #[tokio::test]
    async fn an_order_wakes_the_thread_and_is_answered() {
        let (wake, woken) = std::sync::mpsc::channel();
        let (desk, inbox) = desk(move || {
            let _ = wake.send(());
        });
        let thread = std::thread::spawn(move || {
            woken.recv().expect("it is woken");
            let (order, reply) = inbox.take().expect("an order is there");
            reply.answer(Ok(format!("{order:?}")));
        });
        let order = Order::Yield {
            group: Some(51),
            force: true,
        };
        assert_eq!(desk.order(order).await, Ok(format!("{order:?}")));
        thread.join().expect("it ends");
        let ended = Err(Refusal::Failed(ENDED.to_owned()));
        assert_eq!(desk.order(ALL).await, ended, "the inbox is gone");
    }

    #[tokio::test]
    async fn an_order_without_an_answer_fails_in_time_and_is_not_carried_out_later() {
        let (desk, inbox) = desk(|| {});
        let Err(Refusal::Failed(why)) = desk.order_within(ALL, SOON).await else {
            panic!("nobody has answered");
        };
        assert!(why.contains("in time"), "{why}");
        assert!(inbox.take().is_none());
    }

    #[tokio::test]
    async fn a_reply_that_is_dropped_is_an_answer() {
        let (desk, inbox) = desk(|| {});
        let asked = tokio::spawn(async move { desk.order(ALL).await });
        while inbox.take().is_none() {
            tokio::task::yield_now().await;
        }
        let outcome = asked.await.expect("it ends");
        assert_eq!(outcome, Err(Refusal::Failed(ENDED.to_owned())));
    }

    #[tokio::test]
    async fn no_more_orders_wait_than_there_is_room_for() {
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = woken.clone();
        let (desk, _inbox) = desk(move || {
            counter.fetch_add(1, Relaxed);
        });
        let orders: Vec<_> = (0..CAPACITY + 1)
            .map(|_| {
                let desk = desk.clone();
                tokio::spawn(async move { desk.order_within(ALL, SOON).await })
            })
            .collect();
        let mut refused = 0;
        for order in orders {
            let Err(Refusal::Failed(why)) = order.await.expect("it ends") else {
                panic!("nobody has answered");
            };
            refused += usize::from(why.contains("too many"));
        }
        assert_eq!((refused, woken.load(Relaxed)), (1, CAPACITY));
    }
}
