//! Where others ask the reconciler for something.

use std::sync::Arc;

use pointsman_config::policy::Policy;
use tokio::sync::{mpsc, oneshot};

use crate::control::explain::Look;
use crate::control::orders::{self, BackendOrder, Done};
use crate::control::source::{Loaded, Refused};
use crate::control::status::Status;
use crate::control::upgrade::Known;

/// What others ask of the reconciler.
#[derive(Debug)]
pub(super) enum Message {
    Apply(Box<Loaded>, oneshot::Sender<Result<Arc<Policy>, Refused>>),
    Status(oneshot::Sender<Status>),
    News(u64, oneshot::Sender<Status>),
    Look(oneshot::Sender<Look>),
    Known(oneshot::Sender<Known>),
    Order(
        Box<BackendOrder>,
        oneshot::Sender<Result<Done, orders::Refusal>>,
    ),
}

/// Where messages to the reconciler are handed in.
#[derive(Debug, Clone)]
pub struct Desk(pub(super) mpsc::Sender<Message>);

impl Desk {
    /// Puts a policy into force, all of it or nothing.
    ///
    /// # Errors
    /// An address cannot be listened on, or the process is about to end.
    pub async fn apply(&self, loaded: Loaded) -> Result<Arc<Policy>, Refused> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Apply(Box::new(loaded), reply);
        self.0.send(message).await.map_err(|_| Refused::Ending)?;
        answer.await.map_err(|_| Refused::Ending)?
    }

    /// What has been found out; `None` when the process is about to end.
    pub async fn known(&self) -> Option<Known> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Message::Known(reply)).await.ok()?;
        answer.await.ok()
    }

    /// What explanations look at; `None` when the process is about to end.
    pub async fn look(&self) -> Option<Look> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Message::Look(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Carries out an operator's order about a backend; `None` when the process is about to end.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub async fn order(&self, order: BackendOrder) -> Option<Result<Done, orders::Refusal>> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Order(Box::new(order), reply);
        self.0.send(message).await.ok()?;
        answer.await.ok()
    }

    /// What is going on; `None` when the process is about to end.
    pub async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Message::Status(reply)).await.ok()?;
        answer.await.ok()
    }

    /// The same, of what has changed since this generation ([`status::Sources::news`]).
    pub async fn news(&self, generation: u64) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Message::News(generation, reply)).await.ok()?;
        answer.await.ok()
    }
}
