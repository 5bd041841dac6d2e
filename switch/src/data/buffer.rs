//! Byte buffers that are lent by the worker and given back as soon as they are empty, so that an
//! idle connection holds none.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a buffer for heads and small bodies.
pub const SMALL: usize = 16 * 1024;
/// Bytes of a buffer for long bodies.
pub const LARGE: usize = 32 * 1024;
/// Buffers of each size that a worker keeps for the next user.
const KEPT: usize = 128;

thread_local! {
    static LENT: Cell<usize> = const { Cell::new(0) };
    static FREE: RefCell<[Vec<Box<[u8]>>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A window of filled bytes in storage that is borrowed only while there is something to hold.
#[derive(Debug, Default)]
pub struct Buffer {
    storage: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty buffer without storage.
    pub const fn new() -> Self {
        Self {
            storage: None,
            start: 0,
            end: 0,
        }
    }

    /// The filled bytes.
    pub fn filled(&self) -> &[u8] {
        self.storage
            .as_ref()
            .map_or(&[], |storage| &storage[self.start..self.end])
    }

    /// How many bytes are filled.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes `n` bytes from the front.
    pub fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        self.start += n;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Drops what is filled beyond the first `n` bytes.
    pub fn truncate(&mut self, n: usize) {
        self.end = self.end.min(self.start + n);
    }

    /// Gives the storage back when nothing is filled.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
            if let Some(storage) = self.storage.take() {
                give_back(storage);
            }
        }
    }

    /// Appends bytes, growing as needed.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        if let Some(storage) = &mut self.storage {
            storage[self.end..self.end + bytes.len()].copy_from_slice(bytes);
            self.end += bytes.len();
        }
    }

    /// Makes room for `more` bytes behind the filled ones.
    pub fn reserve(&mut self, more: usize) {
        let room = self.storage.as_ref().map_or(0, |storage| storage.len());
        if room - self.end >= more && room > 0 {
            return;
        }
        let need = self.len() + more;
        if need <= room {
            let (start, end) = (self.start, self.end);
            if let Some(storage) = &mut self.storage {
                storage.copy_within(start..end, 0);
            }
        } else {
            let mut storage = borrow(need);
            storage[..self.len()].copy_from_slice(self.filled());
            if let Some(old) = self.storage.replace(storage) {
                give_back(old);
            }
        }
        self.end -= self.start;
        self.start = 0;
    }

    /// Reads once into the room behind the filled bytes; makes room for at least `want` bytes
    /// first. Resolves to the bytes read, 0 at the end of the stream. Holds no storage while it
    /// waits with nothing filled.
    pub fn poll_read_from<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        want: usize,
    ) -> Poll<io::Result<usize>> {
        self.reserve(want);
        let end = self.end;
        let Some(storage) = &mut self.storage else {
            return Poll::Ready(Ok(0));
        };
        let mut room = ReadBuf::new(&mut storage[end..]);
        match Pin::new(stream).poll_read(cx, &mut room) {
            Poll::Ready(Ok(())) => {
                let n = room.filled().len();
                self.end += n;
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.release();
                Poll::Pending
            }
        }
    }

    /// Writes the filled bytes out; resolves when none is left.
    pub fn poll_write_to<S: tokio::io::AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let n = ready!(Pin::new(&mut *stream).poll_write(cx, self.filled()))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.consume(n);
        }
        Poll::Ready(Ok(()))
    }
}

impl From<&[u8]> for Buffer {
    /// These bytes in storage that is no larger than they are.
    fn from(bytes: &[u8]) -> Self {
        LENT.set(LENT.get() + bytes.len());
        Self {
            storage: Some(bytes.into()),
            start: 0,
            end: bytes.len(),
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(storage) = self.storage.take() {
            give_back(storage);
        }
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of storage that this thread's buffers hold now.
pub fn lent() -> usize {
    LENT.get()
}

fn borrow(need: usize) -> Box<[u8]> {
    let storage = match class(need.max(1).next_power_of_two().max(SMALL)) {
        Some((class, size)) => FREE
            .with_borrow_mut(|free| free[class].pop())
            .unwrap_or_else(|| vec![0; size].into_boxed_slice()),
        None => vec![0; need.next_power_of_two()].into_boxed_slice(),
    };
    LENT.set(LENT.get() + storage.len());
    storage
}

fn give_back(storage: Box<[u8]>) {
    // The thread's storage is gone when the thread itself ends; then the buffer just goes too.
    let _ = LENT.try_with(|lent| lent.set(lent.get().saturating_sub(storage.len())));
    let Some((class, _)) = class(storage.len()) else {
        return;
    };
    let _ = FREE.try_with(|free| {
        let kept = &mut free.borrow_mut()[class];
        if kept.len() < KEPT {
            kept.push(storage);
        }
    });
}

/// The place and size of the kept buffers of this size, if such are kept.
fn class(size: usize) -> Option<(usize, usize)> {
    [SMALL, LARGE]
        .into_iter()
        .position(|kept| kept == size)
        .map(|class| (class, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let mut buffer = Buffer::new();
        buffer.extend(b"hello ");
        buffer.extend(b"world");
        buffer.consume(6);
        assert_eq!(buffer.filled(), b"world");
        buffer.extend(&vec![b'x'; SMALL]);
        assert_eq!(&buffer.filled()[..5], b"world");
        assert_eq!(buffer.len(), SMALL + 5);
    }

    #[test]
    fn an_empty_buffer_holds_no_storage_once_released() {
        let mut buffer = Buffer::new();
        buffer.extend(b"abc");
        buffer.consume(3);
        buffer.release();
        assert!(buffer.storage.is_none());
    }
}
