//! The last so many of something.

use std::collections::VecDeque;

use super::POINTS;

/// [`POINTS`] values at most; the oldest one goes. Its memory grows with what it holds.
#[derive(Debug)]
pub struct Ring<T>(VecDeque<T>);

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Ring<T> {
    /// Adds the newest one.
    pub fn push(&mut self, value: T) {
        if self.0.len() == self.0.capacity() && self.0.len() < POINTS {
            // By halves, and never beyond the bound: a deque by itself would go for 512.
            let wanted = (self.0.len() * 2).clamp(16, POINTS);
            self.0.reserve_exact(wanted - self.0.len());
        }
        if self.0.len() >= POINTS {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest one first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_and_the_memory_stays() {
        let mut ring = Ring::default();
        for n in 0..POINTS * 3 {
            ring.push(n);
        }
        assert_eq!(
            (ring.len(), ring.iter().next()),
            (POINTS, Some(&(POINTS * 2)))
        );
        assert_eq!(ring.0.capacity(), POINTS);
    }
}
