//! Which of two routes wins.
