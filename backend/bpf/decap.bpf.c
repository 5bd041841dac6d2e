// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The backend's end of the tunnel by which a switch in another subnet sends packets of its services
// (RFC 2003, RFC 2473, RFC 4213): takes the outer header off, and leaves the packet to the host.
// `xdp` and `tc` (at the interface's ingress) do the same.
//
// Taken are packets that come from one of `switches` and whose inner destination is one of
// `addresses`. Everything else passes as it is: the host has no other use for it, or another one.
//  - Passed: from strangers; to other addresses, so that a switch cannot reach what only this host's
//    network should; with options or extension headers in the outer header; tagged for a VLAN.
//  - Dropped, of what comes from a switch: lengths that contradict each other; outer fragments, since
//    the switch never sends any; and what congestion has marked though it cannot be told (RFC 6040).
//
// Built by `switch/bpf/build`.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Programs that stand behind this one have their say, too.
#define TC_PASS TC_ACT_UNSPEC

// Since Linux 6.3; the headers here are older.
#define ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)

#define FRAGMENT 0x3fff
#define VLAN_ID 0x0fff
#define MAX_SWITCHES 256
#define MAX_ADDRESSES 4096

// Explicit congestion notification, in the lower bits of the class (RFC 3168).
#define ECN 3
#define CONGESTED 3

// Indices of `counters`.
enum outcome {
	TAKEN = 0,
	BYTES = 1,
	STRANGER = 2,
	OTHER_ADDRESS = 3,
	MALFORMED = 4,
	FRAGMENTED = 5,
	FAILED = 6,
	OUTCOMES = 8,
	// Not counted: it is no tunnel's.
	NONE = 9,
};

// An IPv6 address, or an IPv4 address as ::ffff:a.b.c.d.
struct address {
	__be32 words[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SWITCHES);
	__type(key, struct address);
	__type(value, __u8);
} switches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ADDRESSES);
	__type(key, struct address);
	__type(value, __u8);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OUTCOMES);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct tunnelled {
	struct address from, to;
	bool outer_is_ipv4;
	bool inner_is_ipv4;
	bool fragment;
	// Classes of both headers.
	__u8 outer_class;
	__u8 inner_class;
	// Of the outer header and of what it says that follows.
	__u32 length;
	__u32 payload;
	__u32 inner_length;
};

static __always_inline void count(__u32 outcome, __u64 by)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &outcome);

	if (counter)
		*counter += by;
}

static __always_inline void from_ipv4(struct address *address, __be32 from)
{
	address->words[0] = 0;
	address->words[1] = 0;
	address->words[2] = bpf_htonl(0xffff);
	address->words[3] = from;
}

static __always_inline __u8 class_of(const struct ipv6hdr *ip)
{
	return ip->priority << 4 | ip->flow_lbl[0] >> 4;
}

static __always_inline bool parse_outer(void *data, void *end, struct tunnelled *packet)
{
	struct ethhdr *ethernet = data;
	struct iphdr *ipv4 = data + ETH_HLEN;
	struct ipv6hdr *ipv6 = data + ETH_HLEN;
	__u8 protocol;

	// Nothing that is shorter can be a tunnel's.
	if (data + ETH_HLEN + 2 * sizeof(*ipv4) > end)
		return false;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		protocol = ipv4->protocol;
		if (ipv4->version != 4 || ipv4->ihl != 5)
			return false;
		packet->outer_is_ipv4 = true;
		packet->fragment = ipv4->frag_off & bpf_htons(FRAGMENT);
		packet->outer_class = ipv4->tos;
		packet->length = sizeof(*ipv4);
		packet->payload = bpf_ntohs(ipv4->tot_len) - sizeof(*ipv4);
		from_ipv4(&packet->from, ipv4->saddr);
	} else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ipv6 + 1) > end || ipv6->version != 6)
			return false;
		protocol = ipv6->nexthdr;
		packet->outer_class = class_of(ipv6);
		packet->length = sizeof(*ipv6);
		packet->payload = bpf_ntohs(ipv6->payload_len);
		__builtin_memcpy(&packet->from, &ipv6->saddr, sizeof(packet->from));
	} else {
		return false;
	}
	packet->inner_is_ipv4 = protocol == IPPROTO_IPIP;
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

static __always_inline bool parse_inner(void *at, void *end, struct tunnelled *packet)
{
	struct iphdr *ipv4 = at;
	struct ipv6hdr *ipv6 = at;

	if (packet->inner_is_ipv4) {
		if ((void *)(ipv4 + 1) > end || ipv4->version != 4 || ipv4->ihl < 5)
			return false;
		packet->inner_class = ipv4->tos;
		packet->inner_length = bpf_ntohs(ipv4->tot_len);
		from_ipv4(&packet->to, ipv4->daddr);
		return true;
	}
	if ((void *)(ipv6 + 1) > end || ipv6->version != 6)
		return false;
	packet->inner_class = class_of(ipv6);
	packet->inner_length = bpf_ntohs(ipv6->payload_len) + sizeof(*ipv6);
	__builtin_memcpy(&packet->to, &ipv6->daddr, sizeof(packet->to));
	return true;
}

// Marked on its way, though its sender cannot be told so.
static __always_inline bool is_lost_mark(const struct tunnelled *packet)
{
	return (packet->outer_class & ECN) == CONGESTED && (packet->inner_class & ECN) == 0;
}

static __always_inline bool is_new_mark(const struct tunnelled *packet)
{
	return (packet->outer_class & ECN) == CONGESTED && (packet->inner_class & ECN) != CONGESTED;
}

// TAKEN: the outer header is to go. `size` is that of the frame, `merged` whether it is several
// packets in one, of which the lengths do not tell.
static __always_inline enum outcome judge(void *data, void *end, __u32 size, bool merged,
					  struct tunnelled *packet)
{
	void *inner;

	if (!parse_outer(data, end, packet))
		return NONE;
	if (!bpf_map_lookup_elem(&switches, &packet->from))
		return STRANGER;
	if (packet->fragment)
		return FRAGMENTED;
	inner = data + ETH_HLEN + (packet->outer_is_ipv4 ? sizeof(struct iphdr)
							 : sizeof(struct ipv6hdr));
	if (!parse_inner(inner, end, packet))
		return MALFORMED;
	if (!merged && (packet->payload > size - ETH_HLEN - packet->length ||
			packet->inner_length > packet->payload))
		return MALFORMED;
	if (!bpf_map_lookup_elem(&addresses, &packet->to))
		return OTHER_ADDRESS;
	return is_lost_mark(packet) ? FAILED : TAKEN;
}

static __always_inline bool passes(enum outcome outcome)
{
	return outcome == NONE || outcome == STRANGER || outcome == OTHER_ADDRESS;
}

// The check of a header whose second byte grows by this much (RFC 1624).
static __always_inline __sum16 check_of_more(__sum16 check, __u8 more)
{
	__u32 sum = (__u16)~check + bpf_htons(more);

	return ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline void mark_ipv4(struct iphdr *ip)
{
	ip->check = check_of_more(ip->check, CONGESTED - (ip->tos & ECN));
	ip->tos |= CONGESTED;
}

static __always_inline void mark_ipv6(struct ipv6hdr *ip)
{
	ip->flow_lbl[0] |= CONGESTED << 4;
}

// The addresses of the link layer move to before the inner header.
static __always_inline bool xdp_take_off(struct xdp_md *frame, const struct tunnelled *packet)
{
	void *data = (void *)(long)frame->data;
	void *end = (void *)(long)frame->data_end;
	struct ethhdr ethernet;

	if (data + ETH_HLEN > end)
		return false;
	__builtin_memcpy(&ethernet, data, ETH_HLEN);
	ethernet.h_proto = packet->inner_is_ipv4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	if (bpf_xdp_adjust_head(frame, packet->outer_is_ipv4 ? sizeof(struct iphdr)
							      : sizeof(struct ipv6hdr)))
		return false;
	data = (void *)(long)frame->data;
	end = (void *)(long)frame->data_end;
	if (data + ETH_HLEN + sizeof(struct iphdr) > end)
		return false;
	__builtin_memcpy(data, &ethernet, ETH_HLEN);
	if (!is_new_mark(packet))
		return true;
	if (packet->inner_is_ipv4)
		mark_ipv4(data + ETH_HLEN);
	else
		mark_ipv6(data + ETH_HLEN);
	return true;
}

// The types of the arguments are hidden: the object's BTF would hold the whole structures as the
// kernel headers of whoever builds it have them, and would differ with them.
SEC("xdp")
int pointsman_decap_xdp(void *context)
{
	struct xdp_md *frame = context;
	void *data = (void *)(long)frame->data;
	void *end = (void *)(long)frame->data_end;
	struct tunnelled packet = {};
	__u32 size = end - data;
	enum outcome outcome = judge(data, end, size, false, &packet);

	if (outcome == TAKEN && !xdp_take_off(frame, &packet))
		outcome = FAILED;
	if (outcome != NONE)
		count(outcome, 1);
	if (outcome == TAKEN)
		count(BYTES, size - ETH_HLEN - packet.length);
	return outcome == TAKEN || passes(outcome) ? XDP_PASS : XDP_DROP;
}

static __always_inline bool tc_mark(struct __sk_buff *buffer, const struct tunnelled *packet)
{
	struct ipv6hdr ipv6;
	struct iphdr ipv4;

	if (packet->inner_is_ipv4) {
		if (bpf_skb_load_bytes(buffer, ETH_HLEN, &ipv4, sizeof(ipv4)))
			return false;
		mark_ipv4(&ipv4);
		return bpf_skb_store_bytes(buffer, ETH_HLEN, &ipv4, sizeof(ipv4), 0) == 0;
	}
	if (bpf_skb_load_bytes(buffer, ETH_HLEN, &ipv6, sizeof(ipv6)))
		return false;
	mark_ipv6(&ipv6);
	return bpf_skb_store_bytes(buffer, ETH_HLEN, &ipv6, sizeof(ipv6),
				   BPF_F_RECOMPUTE_CSUM) == 0;
}

// Without a change of family, kernels before 6.3 need no word about it, and know none.
static __always_inline bool tc_take_off(struct __sk_buff *buffer, const struct tunnelled *packet)
{
	__be16 protocol = packet->inner_is_ipv4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	int less = -(int)sizeof(struct ipv6hdr);

	if (packet->outer_is_ipv4)
		less = -(int)sizeof(struct iphdr);
	if (packet->outer_is_ipv4 != packet->inner_is_ipv4)
		flags |= packet->inner_is_ipv4 ? ADJ_ROOM_DECAP_L3_IPV4 : ADJ_ROOM_DECAP_L3_IPV6;
	if (bpf_skb_adjust_room(buffer, less, BPF_ADJ_ROOM_MAC, flags))
		return false;
	if (packet->outer_is_ipv4 != packet->inner_is_ipv4 &&
	    bpf_skb_store_bytes(buffer, offsetof(struct ethhdr, h_proto), &protocol,
				sizeof(protocol), 0))
		return false;
	return !is_new_mark(packet) || tc_mark(buffer, packet);
}

SEC("classifier")
int pointsman_decap_tc(void *context)
{
	struct __sk_buff *buffer = context;
	const __u32 most = ETH_HLEN + 2 * sizeof(struct ipv6hdr);
	__u32 size = buffer->len, merged = buffer->gso_size;
	struct tunnelled packet = {};
	enum outcome outcome;
	void *data, *end;

	if (buffer->pkt_type != PACKET_HOST)
		return TC_PASS;
	if (buffer->vlan_present && (buffer->vlan_tci & VLAN_ID))
		return TC_PASS;
	data = (void *)(long)buffer->data;
	end = (void *)(long)buffer->data_end;
	// Headers may stand apart from the first piece of the packet.
	if (data + most > end && data + size > end &&
	    bpf_skb_pull_data(buffer, size < most ? size : most))
		return TC_PASS;
	data = (void *)(long)buffer->data;
	end = (void *)(long)buffer->data_end;
	outcome = judge(data, end, size, merged, &packet);
	if (outcome == TAKEN && !tc_take_off(buffer, &packet))
		outcome = FAILED;
	if (outcome != NONE)
		count(outcome, 1);
	if (outcome == TAKEN)
		count(BYTES, size - ETH_HLEN - packet.length);
	return outcome == TAKEN || passes(outcome) ? TC_PASS : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
