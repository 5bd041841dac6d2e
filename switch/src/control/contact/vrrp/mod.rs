//! VRRP version 3 (RFC 9568) on the wire: adverts, their checksums, the raw sockets.
