//! Tells the neighbours where a contact address is now: gratuitous ARP (RFC 5227) and unsolicited
//! neighbour advertisements (RFC 4861, 7.2.6).
