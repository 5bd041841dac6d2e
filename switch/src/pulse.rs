//! Whether the workers still turn: each one marks the time, whoever doubts looks.
