// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Direct return: packets of a service go on to one of its backends, which answers the client itself.
// `xdp` and `tc` (at an interface's ingress) differ in how they read and change a packet alone; who
// gets it is decided in `pick`.
//
// Who gets a packet:
//  - A segment that begins a connection (SYN) goes where the service's Maglev ring says. The table
//    learns nothing of it: a flood of SYNs takes no place there. Exceptions are where the segments that
//    follow would go elsewhere (the slot's backend is draining, or the ring has just changed there).
//    If the table knows a connection of the same ends that has another backend, the choice is noted
//    beside it, and counts as soon as the client acknowledges with a number that follows this SYN's:
//    who forges a SYN moves nothing.
//  - Any other segment goes where the table says, as long as that backend is not dead; otherwise
//    where the ring says, and the table learns it. For three seconds after a change, that is the ring
//    before: the connection may have begun then. A CPU learns a bounded number of flows per second,
//    so that a flood of other segments cannot sweep the table at once; what is not learnt goes by the
//    ring all the same, and is only moved with it.
//  - A datagram of UDP goes like a segment, but a flow that was silent for half a minute begins anew.
//  - An ICMP error follows the flow that it quotes.
//  - New flows are not given to backends that are draining or dead: slots of those are passed over.
//
// What passes, to the host's own network stack:
//  - Whatever is not IPv4 or IPv6, is for another host (flooded, broadcast, multicast), carries a
//    VLAN tag (the VLAN's own interface is the place for it), or is of no service: ICMP but for
//    errors about our flows, too.
//  - Fragments: they are put together first. IPv6 extension headers.
//  - Packets too short or too odd to see whose they are: the stack refuses them.
//
// What is dropped, of a service's packets alone:
//  - Malformed: lengths that contradict each other, or no room for the transport's header.
//  - Spoofed: from the service's own address, or from a multicast address.
//  - Out of hops: each packet loses one here, so that none goes round for ever.
//  - A loop: the backend that would get it has sent it.
//  - There is no backend, and the kernel could not change the packet.
//  - Too big for the tunnel: the client is told so (RFC 1191, RFC 8201), in the service's name.
// IPv4 options are allowed.
//
// Built by `switch/bpf/build`, and loaded by `control/direct/kernel/`, which has the same layouts.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "direct.h"

// Programs that stand behind this one have their say, too.
#define TC_PASS TC_ACT_UNSPEC

// What a packet needs to be read, at most: two IPv4 headers with options, ICMP, and eight bytes.
#define READ_MOST (ETH_HLEN + 60 + 8 + 60 + 8)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

// Without BPF_F_NO_PREALLOC an element that is replaced could be read while it is written anew.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SERVICES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct service_key);
	__type(value, struct service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FRONT);
	__type(key, __u32);
	__type(value, struct front);
} front SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_RINGS);
	__type(key, __u32);
	__type(value, struct ring);
} rings SEC(".maps");

// One per backend: its state in the lower half, which of its two copies in `backends` counts in the
// upper one.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BACKENDS);
	__type(key, __u32);
	__type(value, __u32);
} states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * MAX_BACKENDS);
	__type(key, __u32);
	__type(value, struct backend);
} backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOWS);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct service_counters);
} service_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_BACKENDS);
	__type(key, __u32);
	__type(value, struct backend_counters);
} backend_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct totals);
} totals SEC(".maps");

#include "direct_parse.h"
#include "direct_pick.h"
#include "direct_send.h"
#include "direct_answer.h"

static __always_inline int xdp_pass(enum reason reason)
{
	count(reason);
	return XDP_PASS;
}

// The types of the arguments are hidden: the object's BTF would hold the whole structures as the
// kernel headers of whoever builds it have them, and would differ with them.
SEC("xdp")
int pointsman_direct_xdp(void *context)
{
	struct xdp_md *frame = context;
	void *data = (void *)(long)frame->data;
	void *end = (void *)(long)frame->data_end;
	__u32 arrived = frame->ingress_ifindex;
	struct packet packet = {};
	struct choice choice = {};
	enum reason reason;

	packet.size = end - data;
	reason = parse(data, end, &packet);
	if (reason != OURS)
		return xdp_pass(reason);
	if (!is_for_us(data, end))
		return xdp_pass(PASSED_OTHER_HOST);
	reason = pick(&packet, &choice);
	if (reason == PASSED_NO_SERVICE)
		return xdp_pass(reason);
	if (reason == DROPPED_TOO_BIG && xdp_answer_too_big(frame, &packet, choice.backend))
		return XDP_TX;
	if (reason != OURS)
		return XDP_DROP;
	if (!xdp_change(frame, &packet, choice.backend)) {
		count_dropped(&choice, DROPPED_FAILED);
		return XDP_DROP;
	}
	count_forwarded(&packet, &choice);
	if (choice.backend->interface == arrived)
		return XDP_TX;
	return bpf_redirect(choice.backend->interface, 0);
}

// The kernel takes frames for a group's own link-layer address for another host's, until they are at
// the group's interface, which stands on top of this one.
static __always_inline bool tc_is_for_us(struct __sk_buff *buffer)
{
	__u32 type = buffer->pkt_type;

	if (type == PACKET_HOST)
		return true;
	return type == PACKET_OTHERHOST &&
	       is_for_us((void *)(long)buffer->data, (void *)(long)buffer->data_end);
}

static __always_inline int tc_pass(enum reason reason)
{
	count(reason);
	return TC_PASS;
}

SEC("classifier")
int pointsman_direct_tc(void *context)
{
	struct __sk_buff *buffer = context;
	struct packet packet = {};
	struct choice choice = {};
	enum reason reason;

	// Of an interface that listens to everything, or of a VLAN, whose packets come by again at the
	// VLAN's own interface: not meant for this one.
	if (!tc_is_for_us(buffer))
		return tc_pass(PASSED_OTHER_HOST);
	if (buffer->vlan_present && (buffer->vlan_tci & VLAN_ID))
		return tc_pass(PASSED_VLAN);
	reason = tc_parse(buffer, &packet);
	if (reason != OURS)
		return tc_pass(reason);
	reason = pick(&packet, &choice);
	if (reason == PASSED_NO_SERVICE)
		return tc_pass(reason);
	if (reason == DROPPED_TOO_BIG && tc_answer_too_big(buffer, &packet, choice.backend))
		return bpf_redirect(buffer->ifindex, 0);
	if (reason != OURS)
		return TC_ACT_SHOT;
	if (!tc_change(buffer, &packet, choice.backend)) {
		count_dropped(&choice, DROPPED_FAILED);
		return TC_ACT_SHOT;
	}
	count_forwarded(&packet, &choice);
	return bpf_redirect(choice.backend->interface, 0);
}

// At the egress of interfaces that lead to tunnels: checks of backends go through them as clients'
// packets do. Everything else passes.
SEC("classifier")
int pointsman_direct_checks(void *context)
{
	struct __sk_buff *buffer = context;
	struct packet packet = {};
	struct backend *backend;
	__u32 mark = buffer->mark;

	if ((mark & ~CHECK_BACKEND) != CHECK_MARK)
		return TC_PASS;
	backend = get_backend(mark & CHECK_BACKEND);
	if (!backend || backend->way == NEIGHBOUR || tc_parse(buffer, &packet) != OURS)
		return TC_PASS;
	// An interface below may have this program, too.
	buffer->mark = 0;
	return tc_encapsulate(buffer, &packet, backend) ? TC_PASS : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
