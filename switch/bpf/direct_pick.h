// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Which backend gets a packet.

#pragma once

// How many slots are looked at for a backend that can take the flow, and how far they are apart.
#define TRIES 8
#define STRIDE 16411

// A datagram after so long a silence begins a new flow, in units of 2^30 ns.
#define UDP_SILENCE 30
// So long after a ring has changed, the one before tells where connections belong that have begun
// before, in the same units.
#define GRACE 3
// A segment that follows a SYN by this much at most acknowledges it.
#define WINDOW 65536

struct choice {
	struct backend *backend;
	struct service_counters *service_counters;
	__u32 id;
	bool begins;
};

// Keeps the compiler from knowing what the verifier must see being checked.
#define forget(value) asm volatile("" : "+r"(value))

static __always_inline void count(enum reason reason)
{
	__u32 first = 0;
	struct totals *all = bpf_map_lookup_elem(&totals, &first);

	if (all && reason < REASONS)
		all->packets[reason]++;
}

static __always_inline void count_dropped(struct choice *choice, enum reason reason)
{
	count(reason);
	choice->service_counters->dropped[reason - FIRST_DROPPED]++;
}

static __always_inline void count_forwarded(struct packet *packet, struct choice *choice)
{
	struct service_counters *service = choice->service_counters;
	struct backend_counters *backend = bpf_map_lookup_elem(&backend_counters, &choice->id);
	__u32 bytes = packet->size - ETH_HLEN;

	service->packets++;
	service->bytes += bytes;
	if (choice->begins)
		service->flows++;
	if (packet->related)
		service->related++;
	if (!backend)
		return;
	backend->packets++;
	backend->bytes += bytes;
	if (choice->begins)
		backend->flows++;
}

static __always_inline struct settings *get_settings(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&settings, &first);
}

// Whether the frame is for this host.
static __always_inline bool is_for_us(void *data, void *end)
{
	struct settings *known = get_settings();
	struct ethhdr *ethernet = data;
	__u64 to = 0;

	if (!known || (void *)(ethernet + 1) > end)
		return false;
	__builtin_memcpy(&to, ethernet->h_dest, ETH_ALEN);
	for (int i = 0; i < OWN_MACS; i++) {
		if (known->own[i] == to && to)
			return true;
	}
	return false;
}

// One step of splitmix64, as `mix` of balance/hash.rs.
static __always_inline __u64 mix(__u64 value)
{
	value += 0x9e3779b97f4a7c15ULL;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

// The flow's slot: the same on every switch, as `slot` of control/direct/kernel/ring.rs.
static __always_inline __u32 slot_of(const struct packet *packet)
{
	const __be32 *client = packet->client.words;
	__u64 ports = (__u64)bpf_ntohs(packet->port) << 16 | bpf_ntohs(packet->service.port);
	__u64 upper = (__u64)bpf_ntohl(client[0]) << 32 | bpf_ntohl(client[1]);
	__u64 lower = (__u64)bpf_ntohl(client[2]) << 32 | bpf_ntohl(client[3]);
	__u64 hash = mix(mix(upper ^ ports) ^ lower);

	// Without division (Lemire: "Fast random integer generation in an interval", 2019).
	return ((hash >> 32) * SLOTS) >> 32;
}

static __always_inline __u32 state_of(__u32 id)
{
	__u32 *state = bpf_map_lookup_elem(&states, &id);

	return state ? *state & STATE : ABSENT;
}

static __always_inline bool lives(__u32 id)
{
	__u32 state = state_of(id);

	return state == ACTIVE || state == DRAINING;
}

// The backend of the slot, or of the next one whose backend can take the packet: for new flows in the
// lower half, for those that have begun before, which one that is draining takes as well, in the upper
// one; 0: nobody.
// Not static: so the verifier looks at it once by itself, and not anew wherever it is called.
__noinline __u32 from_ring(__u32 index, __u32 slot);

__noinline __u32 from_ring(__u32 index, __u32 slot)
{
	struct ring *ring = bpf_map_lookup_elem(&rings, &index);
	__u32 known = 0;

	if (!ring)
		return 0;
	for (int i = 0; i < TRIES; i++) {
		__u32 id, state;

		forget(slot);
		if (slot >= SLOTS)
			slot -= SLOTS;
		forget(slot);
		if (slot >= SLOTS)
			return 0;
		id = ring->slots[slot];
		state = state_of(id);
		if (!known && (state == ACTIVE || state == DRAINING))
			known = id << 16;
		if (state == ACTIVE)
			return known | id;
		slot += STRIDE;
	}
	return known;
}
#define FRESH(takers) ((takers) & 0xffff)
#define KNOWN(takers) ((takers) >> 16)

// Where a segment goes that belongs to a connection which the table does not know; `takers` are those of
// the ring as it is.
static __always_inline __u32 of_unknown(const struct service *service, __u32 slot, __u32 takers,
					__u32 now)
{
	__u32 id = 0;

	if (service->previous != service->ring && (__s32)(now - service->changed) <= GRACE)
		id = KNOWN(from_ring(service->previous, slot));
	return id ? id : KNOWN(takers);
}

// A connection begins that has the same ends as one that the table knows.
static __always_inline void begin_again(struct flow *flow, __u32 id, const struct packet *packet)
{
	if (flow->backend == id || !lives(flow->backend)) {
		flow->backend = id;
		flow->pending = 0;
		flow->closed = 0;
		return;
	}
	flow->began = packet->sequence;
	flow->pending = id;
}

// Where a known flow goes; 0: nowhere any more.
static __always_inline __u32 from_flow(struct flow *flow, const struct packet *packet, __u32 now)
{
	__u32 id = flow->backend, seen = flow->seen;

	if (packet->related)
		return lives(id) ? id : 0;
	if (flow->pending && packet->sequence - flow->began - 1 < WINDOW && lives(flow->pending)) {
		id = flow->pending;
		flow->backend = id;
		flow->pending = 0;
		flow->closed = 0;
	}
	if (seen != now)
		flow->seen = now;
	if (packet->service.protocol == IPPROTO_UDP && now - seen > UDP_SILENCE)
		return 0;
	if ((packet->flags & (FIN | RST)) && !flow->closed)
		flow->closed = 1;
	return lives(id) ? id : 0;
}

// Whether this CPU may learn one more flow now.
static __always_inline bool may_learn(const struct settings *known, __u32 now)
{
	__u32 first = 0;
	struct totals *all = bpf_map_lookup_elem(&totals, &first);

	if (!all)
		return false;
	if (all->unit != now) {
		all->unit = now;
		all->learnt = 0;
	}
	if (all->learnt >= known->learns) {
		all->unlearnt++;
		return false;
	}
	all->learnt++;
	return true;
}

static __always_inline void learn(struct flow *flow, const struct flow_key *key, __u32 id, __u32 now,
				  const struct settings *known)
{
	struct flow fresh = {.seen = now, .backend = id};

	if (flow) {
		flow->backend = id;
		flow->pending = 0;
		flow->closed = 0;
	} else if (may_learn(known, now)) {
		bpf_map_update_elem(&flows, key, &fresh, BPF_ANY);
	}
}

// Only what a client sends in an open connection is worth to be remembered.
static __always_inline bool is_worth_learning(const struct packet *packet)
{
	if (packet->related)
		return false;
	if (packet->service.protocol == IPPROTO_UDP)
		return true;
	return (packet->flags & (ACK | SYN | RST)) == ACK;
}

static __always_inline __u32 find(struct packet *packet, const struct service *service,
				  struct choice *choice)
{
	bool is_udp = packet->service.protocol == IPPROTO_UDP;
	bool begins = !packet->related && !is_udp && (packet->flags & (SYN | ACK)) == SYN;
	struct settings *known = get_settings();
	struct flow_key key = {.client = packet->client, .service = service->tag, .port = packet->port};
	struct flow *flow = NULL;
	__u32 id, slot, takers, now = 0;

	if (known && known->learns) {
		flow = bpf_map_lookup_elem(&flows, &key);
		now = bpf_ktime_get_coarse_ns() >> 30;
	}
	if (flow && !begins) {
		id = from_flow(flow, packet, now);
		if (id)
			return id;
	}
	choice->begins = begins || (is_udp && !packet->related);
	slot = slot_of(packet);
	takers = from_ring(service->ring, slot);
	if (!known || !known->learns)
		return choice->begins ? FRESH(takers) : KNOWN(takers);
	if (!choice->begins) {
		id = of_unknown(service, slot, takers, now);
		if (id && is_worth_learning(packet))
			learn(flow, &key, id, now, known);
		return id;
	}
	id = FRESH(takers);
	if (!id)
		return 0;
	if (is_udp)
		learn(flow, &key, id, now, known);
	else if (flow)
		begin_again(flow, id, packet);
	else if (of_unknown(service, slot, takers, now) != id)
		learn(NULL, &key, id, now, known);
	return id;
}

static __always_inline bool is_spoofed(const struct packet *packet)
{
	const __be32 *client = packet->client.words;
	__u32 first = bpf_ntohl(packet->is_ipv4 ? client[3] : client[0]) >> 24;

	if (same(&packet->client, &packet->service.address))
		return true;
	return packet->is_ipv4 ? first >= 224 : first == 0xff;
}

static __always_inline struct backend *get_backend(__u32 id)
{
	__u32 *state = bpf_map_lookup_elem(&states, &id);
	__u32 index = 2 * id;

	if (!state)
		return NULL;
	index += *state >> COPY_SHIFT & 1;
	return bpf_map_lookup_elem(&backends, &index);
}

// Only hosts of the segment can be told by their link-layer address: a router that leads to a
// tunnel's other end may lead to clients, too.
static __always_inline bool is_loop(const struct packet *packet, const struct backend *backend)
{
	__u8 difference = 0;

	for (int i = 0; i < ETH_ALEN; i++)
		difference |= packet->sender[i] ^ backend->mac[i];
	return backend->way == NEIGHBOUR && difference == 0;
}

// Length of the outer header.
static __always_inline __u32 outer(const struct backend *backend)
{
	if (backend->way == TUNNEL_IPV4)
		return sizeof(struct iphdr);
	return backend->way == TUNNEL_IPV6 ? sizeof(struct ipv6hdr) : 0;
}

static __always_inline bool is_too_big(const struct packet *packet, const struct backend *backend)
{
	__u32 length = packet->size - ETH_HLEN;

	if (backend->way == NEIGHBOUR)
		return false;
	if (!packet->segment)
		return length + outer(backend) > backend->mtu;
	// Of TCP, the kernel makes each segment so much smaller.
	length = packet->headers + packet->segment;
	if (packet->service.protocol == IPPROTO_UDP)
		length += outer(backend);
	return length > backend->mtu;
}

// Where the service is in `front`, if it is there: as `front` of control/direct/kernel/layout.rs.
static __always_inline __u32 front_of(const struct service_key *key)
{
	const __be32 *words = key->address.words;
	__u32 folded = words[0] ^ words[1] ^ words[2] ^ words[3];

	folded ^= (__u32)key->protocol << 16 | key->port;
	return (__u32)(folded * 0x9e3779b1U) >> FRONT_SHIFT;
}

static __always_inline bool same_service(const struct service_key *one,
					 const struct service_key *other)
{
	return same(&one->address, &other->address) && one->port == other->port &&
	       one->protocol == other->protocol;
}

// To search costs as much as everything else.
static __always_inline struct service *get_service(const struct service_key *key)
{
	__u32 place = front_of(key);
	struct front *found = bpf_map_lookup_elem(&front, &place);

	if (found && same_service(&found->key, key))
		return &found->service;
	return bpf_map_lookup_elem(&services, key);
}

// OURS: it goes to the backend of the choice, which is also there if it is too big. What is dropped
// is counted.
static __always_inline enum reason pick(struct packet *packet, struct choice *choice)
{
	struct service *service = get_service(&packet->service);
	enum reason reason = OURS;
	__u32 index;

	if (!service)
		return PASSED_NO_SERVICE;
	index = service->index;
	choice->service_counters = bpf_map_lookup_elem(&service_counters, &index);
	if (!choice->service_counters)
		return PASSED_NO_SERVICE;
	if (packet->malformed)
		reason = DROPPED_MALFORMED;
	else if (is_spoofed(packet))
		reason = DROPPED_SPOOFED;
	else if (packet->hops <= 1)
		reason = DROPPED_HOPS;
	if (reason != OURS)
		goto dropped;
	choice->id = find(packet, service, choice);
	choice->backend = choice->id ? get_backend(choice->id) : NULL;
	if (!choice->backend)
		reason = DROPPED_NO_BACKEND;
	else if (is_loop(packet, choice->backend))
		reason = DROPPED_LOOP;
	else if (is_too_big(packet, choice->backend))
		reason = DROPPED_TOO_BIG;
	if (reason == OURS)
		return OURS;
dropped:
	count_dropped(choice, reason);
	return reason;
}
