//! Open lines: TCP connections and tunnels, which may last for days. A request ends by itself; a
//! line to a backend that an operator has disabled is cut.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::endpoint::{Duty, Endpoint, EndpointId};

/// The open lines of one worker.
#[derive(Debug, Default)]
pub struct Lines {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
}

#[derive(Debug)]
struct Slot {
    /// `None`: the place is free.
    endpoint: Option<EndpointId>,
    cut: bool,
    waker: Option<Waker>,
}

impl Lines {
    /// A line to this backend, until it is dropped.
    pub fn enter(self: &Rc<Self>, endpoint: &Endpoint) -> Line {
        let slot = Slot {
            endpoint: Some(endpoint.id),
            // It may have been disabled while the connection was made.
            cut: endpoint.duty() == Duty::Disabled,
            waker: None,
        };
        let mut slots = self.slots.borrow_mut();
        let place = match self.free.borrow_mut().pop() {
            Some(place) => {
                slots[place] = slot;
                place
            }
            None => {
                slots.push(slot);
                slots.len() - 1
            }
        };
        Line {
            lines: self.clone(),
            place,
        }
    }

    /// Cuts all lines to these backends.
    pub fn cut(&self, endpoints: &[EndpointId]) {
        let mut wakers = Vec::new();
        for slot in self.slots.borrow_mut().iter_mut() {
            if slot.endpoint.is_some_and(|id| endpoints.contains(&id)) {
                slot.cut = true;
                wakers.extend(slot.waker.take());
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// One open line.
#[derive(Debug)]
pub struct Line {
    lines: Rc<Lines>,
    place: usize,
}

impl Line {
    /// The future's output; `None` once the line is cut.
    pub async fn unless_cut<F: Future>(&self, mut future: Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            if self.poll_cut(cx).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        let slot = &mut self.lines.slots.borrow_mut()[self.place];
        if slot.cut {
            return Poll::Ready(());
        }
        let known = slot.waker.as_ref();
        if !known.is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let slot = &mut self.lines.slots.borrow_mut()[self.place];
        *slot = Slot {
            endpoint: None,
            cut: false,
            waker: None,
        };
        self.lines.free.borrow_mut().push(self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use super::*;
    use crate::endpoint::Address;

    fn endpoint(id: EndpointId) -> Endpoint {
        let address = Address::Tcp(([127, 0, 0, 1], 1).into());
        Endpoint::new(id, "app".to_owned(), id.to_string(), address)
    }

    #[tokio::test]
    async fn only_lines_to_the_backend_are_cut() {
        let lines = Rc::new(Lines::default());
        let (one, other) = (lines.enter(&endpoint(1)), lines.enter(&endpoint(2)));
        let waits = pin!(pending::<()>());
        let cut = one.unless_cut(waits);
        let cutter = async { lines.cut(&[1, 7]) };
        assert_eq!(tokio::join!(cut, cutter).0, None);
        assert_eq!(other.unless_cut(pin!(ready(5))).await, Some(5));
    }

    #[tokio::test]
    async fn places_are_used_again_and_a_new_line_is_whole() {
        let lines = Rc::new(Lines::default());
        let line = lines.enter(&endpoint(1));
        lines.cut(&[1]);
        drop(line);
        let line = lines.enter(&endpoint(1));
        assert_eq!(line.unless_cut(pin!(ready(()))).await, Some(()));
        assert_eq!(lines.slots.borrow().len(), 1);
    }

    #[tokio::test]
    async fn a_line_to_a_backend_that_was_disabled_meanwhile_is_cut_at_once() {
        let (lines, endpoint) = (Rc::new(Lines::default()), endpoint(1));
        endpoint.set_duty(Duty::Disabled);
        assert_eq!(
            lines.enter(&endpoint).unless_cut(pin!(ready(()))).await,
            None
        );
    }
}
