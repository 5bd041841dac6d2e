//! Who holds a contact address: a state machine without I/O.
