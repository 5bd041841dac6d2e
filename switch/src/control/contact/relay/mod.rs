//! Passes segments of connections that this switch does not know on to the switch that held the
//! contact address before, so that a planned handover breaks no connection.
