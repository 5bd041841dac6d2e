//! Packet sockets: frames to the wire as they are (packet(7)).
