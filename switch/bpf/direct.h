// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What the programs of direct return and `control/direct/kernel/layout.rs` both know.

#pragma once

// Slots of a ring, a prime (Eisenbud et al.: "Maglev", NSDI 2016).
#define SLOTS 65537

// Sizes of the maps; the loader may choose others.
#define MAX_SERVICES 512
#define MAX_RINGS 128
#define MAX_BACKENDS 4096
#define MAX_FLOWS 262144

// A power of two.
#define FRONT 1024
#define FRONT_SHIFT (32 - 10)

#define OWN_MACS 8
// Of packets that check a backend, whose number is in the lower half; as in `control/direct/detours.rs`.
#define CHECK_MARK 0x504d0000
#define CHECK_BACKEND 0x0000ffff
#define VLAN_ID 0x0fff

// What becomes of a packet, and why: indices of `totals.packets`.
enum reason {
	PASSED_OTHER_PROTOCOL = 0,
	PASSED_OTHER_HOST = 1,
	PASSED_VLAN = 2,
	PASSED_MALFORMED = 3,
	PASSED_FRAGMENT = 4,
	PASSED_EXTENSION = 5,
	PASSED_NO_SERVICE = 6,
	FIRST_DROPPED = 8,
	DROPPED_MALFORMED = 8,
	DROPPED_SPOOFED = 9,
	DROPPED_HOPS = 10,
	DROPPED_LOOP = 11,
	DROPPED_NO_BACKEND = 12,
	DROPPED_TOO_BIG = 13,
	DROPPED_FAILED = 14,
	OURS = 15,
	REASONS = 16,
};

// An IPv6 address, or an IPv4 address as ::ffff:a.b.c.d.
struct address {
	__be32 words[4];
};

struct settings {
	// Of all layouts here: maps that another version has left are not taken over.
	__u32 version;
	// Flows that a CPU learns per unit of time (2^30 ns) at most; 0: there is no table.
	__u32 learns;
	// Link-layer addresses that frames are for, in the lower six bytes; 0: none. Of interfaces with
	// `xdp`, and of groups that have their own.
	__u64 own[OWN_MACS];
};

struct service_key {
	struct address address;
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

struct service {
	// Never used again for another service: flows in the table carry it.
	__u32 tag;
	// Of its counters.
	__u32 index;
	__u32 ring;
	// How often its ring was changed, when last (in units of 2^30 ns), and which one it was before.
	__u32 generation;
	__u32 changed;
	__u32 previous;
};

// A service where it is found without a search. With another key, the place is another one's.
struct front {
	struct service_key key;
	struct service service;
	__u32 unused;
};

struct ring {
	// Of the members and their weights, for the loader.
	__u64 digest;
	// Numbers of backends; 0: none.
	__u16 slots[SLOTS];
	__u16 unused[3];
};

enum state {
	ABSENT = 0,
	ACTIVE = 1,
	DRAINING = 2,
	DEAD = 3,
};
#define STATE 0xffff
#define COPY_SHIFT 16

enum way {
	NEIGHBOUR = 0,
	TUNNEL_IPV4 = 1,
	TUNNEL_IPV6 = 2,
};

struct backend {
	// As at the start of a frame: to whom, from whom.
	__u8 mac[6];
	__u8 source_mac[6];
	// Index of the interface that packets leave through.
	__u32 interface;
	// Of the tunnel's outer header.
	struct address address;
	struct address source;
	// The loader's.
	__u64 identity;
	// Bytes of the longest packet that the tunnel's outer header may stand before, with that header.
	__u16 mtu;
	__u8 way;
	__u8 unused[5];
};

struct flow_key {
	struct address client;
	__u32 service;
	__be16 port;
	__u16 zero;
};

struct flow {
	// When the last packet came, in units of 2^30 ns of CLOCK_MONOTONIC.
	__u32 seen;
	// Sequence number of a SYN that waits to be acknowledged, and where it went; 0: none.
	__u32 began;
	__u16 pending;
	__u16 backend;
	// Whether the client has sent FIN or RST.
	__u32 closed;
};

struct service_counters {
	__u64 packets;
	__u64 bytes;
	__u64 flows;
	__u64 related;
	// From FIRST_DROPPED on.
	__u64 dropped[8];
};

struct backend_counters {
	__u64 packets;
	__u64 bytes;
	__u64 flows;
	__u64 unused;
};

struct totals {
	__u64 packets[REASONS];
	// Flows that were not learnt, as there were too many in one unit of time.
	__u64 unlearnt;
	// In this unit of time, this many were.
	__u32 unit;
	__u32 learnt;
};
