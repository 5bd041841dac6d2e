// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Passes TCP segments of connections that this host does not know on to the host that held their
// address before, by rewriting the link-layer addresses. It stands at tc ingress of the interface
// that the address is on; with no address in `relays`, every packet passes.
//
// Built by `switch/bpf/build`, and loaded by `control/contact/relay/`. Packets are read by copies
// and never through pointers into them: so CAP_PERFMON is not needed, and a packet that passes is
// never unshared from those who look at it, too (AF_PACKET).

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Programs that stand behind this one have their say, too.
#define PASS TC_ACT_UNSPEC

#define VLAN_ID 0x0fff
#define FRAGMENT_OFFSET 0x1fff
// Addresses that are relayed at once, at most.
#define MAX_RELAYS 1024

// The start of an ICMP or ICMPv6 message; what it quotes follows.
struct icmp_head {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

// Types of errors (RFC 792; RFC 4443: 1 to 4).
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMPV6_FIRST_ERROR 1
#define ICMPV6_LAST_ERROR 4

// An IPv6 address, or an IPv4 address as ::ffff:a.b.c.d.
struct address {
	__be32 words[4];
};

// Layout shared with `encode` of relay/mod.rs.
struct relay {
	// Where segments go to, and what they come from then: as at the start of a frame.
	__u8 old_holder[ETH_ALEN];
	__u8 own[ETH_ALEN];
	// Index of the interface that they leave through.
	__u32 interface;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_RELAYS);
	__type(key, struct address);
	__type(value, struct relay);
} relays SEC(".maps");

// How many `relays` has: asked first, as it costs less than to look for an address.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} count SEC(".maps");

// Packets that were passed on.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} relayed SEC(".maps");

static __always_inline int from_ipv4(struct __sk_buff *packet);
static __always_inline int from_ipv6(struct __sk_buff *packet);
static __always_inline bool quotes_ipv4(struct __sk_buff *packet, __u32 at, __be32 own,
					struct bpf_sock_tuple *flow);
static __always_inline bool quotes_ipv6(struct __sk_buff *packet, __u32 at,
					const struct in6_addr *own, struct bpf_sock_tuple *flow);
static __always_inline bool same(const struct in6_addr *one, const struct in6_addr *other);
static __always_inline bool begins(const struct tcphdr *tcp);
static __always_inline bool is_known(struct __sk_buff *packet, struct bpf_sock_tuple *flow,
				     __u32 flow_size, void *ip, __u32 ip_size, struct tcphdr *tcp);
static __always_inline bool comes_from(struct __sk_buff *packet, const struct relay *relay);
static __always_inline int pass_on(struct __sk_buff *packet, const struct relay *relay);

// The type of the argument is hidden: the object's BTF would hold the whole structure as the
// kernel headers of whoever builds it have it, and would differ with them.
SEC("classifier")
int pointsman_relay(void *context)
{
	struct __sk_buff *packet = context;
	__u32 first = 0;
	__u32 *relays_now = bpf_map_lookup_elem(&count, &first);

	if (!relays_now || *relays_now == 0)
		return PASS;
	// Of an interface that listens to everything, or of a VLAN, whose packets come by again at
	// the VLAN's own interface: not meant for this one.
	if (packet->pkt_type != PACKET_HOST)
		return PASS;
	if (packet->vlan_present && (packet->vlan_tci & VLAN_ID))
		return PASS;
	if (packet->protocol == bpf_htons(ETH_P_IP))
		return from_ipv4(packet);
	if (packet->protocol == bpf_htons(ETH_P_IPV6))
		return from_ipv6(packet);
	return PASS;
}

static __always_inline int from_ipv4(struct __sk_buff *packet)
{
	struct address address = {};
	struct bpf_sock_tuple flow = {};
	struct relay *relay;
	struct tcphdr tcp;
	struct iphdr ip;
	__u32 at;

	if (bpf_skb_load_bytes(packet, ETH_HLEN, &ip, sizeof(ip)))
		return PASS;
	address.words[2] = bpf_htonl(0xffff);
	address.words[3] = ip.daddr;
	relay = bpf_map_lookup_elem(&relays, &address);
	if (!relay || ip.version != 4 || ip.ihl < 5 || ip.ttl <= 1)
		return PASS;
	if ((ip.frag_off & bpf_htons(FRAGMENT_OFFSET)) || comes_from(packet, relay))
		return PASS;
	at = ETH_HLEN + ip.ihl * 4;
	if (ip.protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(packet, at, &tcp, sizeof(tcp)) || begins(&tcp))
			return PASS;
		flow.ipv4.saddr = ip.saddr;
		flow.ipv4.daddr = ip.daddr;
		flow.ipv4.sport = tcp.source;
		flow.ipv4.dport = tcp.dest;
		if (is_known(packet, &flow, sizeof(flow.ipv4), &ip, sizeof(ip), &tcp))
			return PASS;
	} else if (ip.protocol == IPPROTO_ICMP) {
		if (!quotes_ipv4(packet, at, ip.daddr, &flow))
			return PASS;
		if (is_known(packet, &flow, sizeof(flow.ipv4), NULL, 0, NULL))
			return PASS;
	} else {
		return PASS;
	}
	// One hop less, so that no packet goes round for ever between hosts that relay to each other.
	if (bpf_l3_csum_replace(packet, ETH_HLEN + offsetof(struct iphdr, check),
				bpf_htons(ip.ttl << 8), bpf_htons((ip.ttl - 1) << 8), 2))
		return TC_ACT_SHOT;
	ip.ttl--;
	if (bpf_skb_store_bytes(packet, ETH_HLEN + offsetof(struct iphdr, ttl), &ip.ttl, 1, 0))
		return TC_ACT_SHOT;
	return pass_on(packet, relay);
}

// Packets with extension headers pass.
static __always_inline int from_ipv6(struct __sk_buff *packet)
{
	const __u32 at = ETH_HLEN + sizeof(struct ipv6hdr);
	struct bpf_sock_tuple flow = {};
	struct relay *relay;
	struct ipv6hdr ip;
	struct tcphdr tcp;

	if (bpf_skb_load_bytes(packet, ETH_HLEN, &ip, sizeof(ip)))
		return PASS;
	relay = bpf_map_lookup_elem(&relays, &ip.daddr);
	if (!relay || ip.version != 6 || ip.hop_limit <= 1 || comes_from(packet, relay))
		return PASS;
	if (ip.nexthdr == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(packet, at, &tcp, sizeof(tcp)) || begins(&tcp))
			return PASS;
		__builtin_memcpy(flow.ipv6.saddr, &ip.saddr, sizeof(ip.saddr));
		__builtin_memcpy(flow.ipv6.daddr, &ip.daddr, sizeof(ip.daddr));
		flow.ipv6.sport = tcp.source;
		flow.ipv6.dport = tcp.dest;
		if (is_known(packet, &flow, sizeof(flow.ipv6), &ip, sizeof(ip), &tcp))
			return PASS;
	} else if (ip.nexthdr == IPPROTO_ICMPV6) {
		if (!quotes_ipv6(packet, at, &ip.daddr, &flow))
			return PASS;
		if (is_known(packet, &flow, sizeof(flow.ipv6), NULL, 0, NULL))
			return PASS;
	} else {
		return PASS;
	}
	ip.hop_limit--;
	if (bpf_skb_store_bytes(packet, ETH_HLEN + offsetof(struct ipv6hdr, hop_limit), &ip.hop_limit,
				1, BPF_F_RECOMPUTE_CSUM))
		return TC_ACT_SHOT;
	return pass_on(packet, relay);
}

// Whether the ICMP message at this place is an error about a TCP segment from the own address, and
// if so, of which flow, seen from its other end (RFC 792: eight bytes of it are quoted at least).
static __always_inline bool quotes_ipv4(struct __sk_buff *packet, __u32 at, __be32 own,
					struct bpf_sock_tuple *flow)
{
	struct icmp_head icmp;
	struct iphdr quoted;
	__be16 ports[2];

	if (bpf_skb_load_bytes(packet, at, &icmp, sizeof(icmp)))
		return false;
	if (icmp.type != ICMP_UNREACHABLE && icmp.type != ICMP_TIME_EXCEEDED &&
	    icmp.type != ICMP_PARAMETER_PROBLEM)
		return false;
	at += sizeof(icmp);
	if (bpf_skb_load_bytes(packet, at, &quoted, sizeof(quoted)))
		return false;
	if (quoted.version != 4 || quoted.ihl < 5 || quoted.protocol != IPPROTO_TCP ||
	    quoted.saddr != own || (quoted.frag_off & bpf_htons(FRAGMENT_OFFSET)))
		return false;
	if (bpf_skb_load_bytes(packet, at + quoted.ihl * 4, ports, sizeof(ports)))
		return false;
	flow->ipv4.saddr = quoted.daddr;
	flow->ipv4.daddr = quoted.saddr;
	flow->ipv4.sport = ports[1];
	flow->ipv4.dport = ports[0];
	return true;
}

// The same of ICMPv6 (RFC 4443).
static __always_inline bool quotes_ipv6(struct __sk_buff *packet, __u32 at,
					const struct in6_addr *own, struct bpf_sock_tuple *flow)
{
	struct icmp_head icmp;
	struct ipv6hdr quoted;
	__be16 ports[2];

	if (bpf_skb_load_bytes(packet, at, &icmp, sizeof(icmp)))
		return false;
	if (icmp.type < ICMPV6_FIRST_ERROR || icmp.type > ICMPV6_LAST_ERROR)
		return false;
	at += sizeof(icmp);
	if (bpf_skb_load_bytes(packet, at, &quoted, sizeof(quoted)))
		return false;
	if (quoted.version != 6 || quoted.nexthdr != IPPROTO_TCP || !same(&quoted.saddr, own))
		return false;
	if (bpf_skb_load_bytes(packet, at + sizeof(quoted), ports, sizeof(ports)))
		return false;
	__builtin_memcpy(flow->ipv6.saddr, &quoted.daddr, sizeof(quoted.daddr));
	__builtin_memcpy(flow->ipv6.daddr, &quoted.saddr, sizeof(quoted.saddr));
	flow->ipv6.sport = ports[1];
	flow->ipv6.dport = ports[0];
	return true;
}

static __always_inline bool same(const struct in6_addr *one, const struct in6_addr *other)
{
	__u32 difference = 0;

	for (int i = 0; i < 4; i++)
		difference |= one->in6_u.u6_addr32[i] ^ other->in6_u.u6_addr32[i];
	return difference == 0;
}

// Whether the segment asks for a new connection, which is this host's.
static __always_inline bool begins(const struct tcphdr *tcp)
{
	return tcp->syn && !tcp->ack;
}

// Whether this host has a socket of the flow: established, in a handshake or in TIME_WAIT. One
// that listens counts if the segment brings back a SYN cookie of its own, which no other socket
// knows of.
static __always_inline bool is_known(struct __sk_buff *packet, struct bpf_sock_tuple *flow,
				     __u32 flow_size, void *ip, __u32 ip_size, struct tcphdr *tcp)
{
	struct bpf_sock *socket;
	bool known;

	socket = bpf_skc_lookup_tcp(packet, flow, flow_size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return false;
	known = socket->state != BPF_TCP_LISTEN;
	if (!known && tcp)
		known = bpf_tcp_check_syncookie(socket, ip, ip_size, tcp, sizeof(*tcp)) == 0;
	bpf_sk_release(socket);
	return known;
}

// Whether the old holder itself has sent the packet: nothing goes back to where it came from.
static __always_inline bool comes_from(struct __sk_buff *packet, const struct relay *relay)
{
	__u8 source[ETH_ALEN];
	__u8 difference = 0;

	if (bpf_skb_load_bytes(packet, ETH_ALEN, source, sizeof(source)))
		return true;
	for (int i = 0; i < ETH_ALEN; i++)
		difference |= source[i] ^ relay->old_holder[i];
	return difference == 0;
}

static __always_inline int pass_on(struct __sk_buff *packet, const struct relay *relay)
{
	__u32 first = 0;
	__u64 *packets;

	// What cannot be changed is dropped: this host would answer it by a reset.
	if (bpf_skb_store_bytes(packet, 0, relay->old_holder, 2 * ETH_ALEN, 0))
		return TC_ACT_SHOT;
	packets = bpf_map_lookup_elem(&relayed, &first);
	if (packets)
		(*packets)++;
	return bpf_redirect(relay->interface, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
