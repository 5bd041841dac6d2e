// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The answer to a packet that does not fit into its tunnel: how long one may be (RFC 1191, RFC 8201).
// It goes back to the link-layer address that the packet came from, in the service's name.

#pragma once

// Bytes of the packet that are quoted: both headers with room for options.
#define QUOTED_IPV4 64
#define QUOTED_IPV6 96
#define ANSWER_HOPS 64
#define FRAGMENTATION_NEEDED 4
#define PACKET_TOO_BIG 2

struct pseudo_ipv6 {
	struct address source, destination;
	__be32 length;
	__be32 protocol;
};

struct answer {
	struct pseudo_ipv6 pseudo;
	__u16 unused;
	struct ethhdr ethernet;
	union {
		struct {
			struct iphdr ip;
			struct icmp_head icmp;
			__u8 quoted[QUOTED_IPV4];
		} ipv4;
		struct {
			struct ipv6hdr ip;
			struct icmp_head icmp;
			__u8 quoted[QUOTED_IPV6];
		} ipv6;
	};
};
#define HEADS_IPV4 (sizeof(struct iphdr) + sizeof(struct icmp_head))
#define HEADS_IPV6 (sizeof(struct ipv6hdr) + sizeof(struct icmp_head))

// Where an answer is made: the stack has no room for it.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct answer);
} answers SEC(".maps");

static __always_inline struct answer *get_answer(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&answers, &first);
}

static __always_inline __u16 folded(__s64 sum)
{
	__u32 low = sum;

	low = (low & 0xffff) + (low >> 16);
	low = (low & 0xffff) + (low >> 16);
	return ~low;
}

// Back to whom it has come from. The quoted packet is there already.
static __always_inline void turn(struct ethhdr *ethernet)
{
	__u8 other[ETH_ALEN];

	__builtin_memcpy(other, ethernet->h_dest, ETH_ALEN);
	__builtin_memcpy(ethernet->h_dest, ethernet->h_source, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, other, ETH_ALEN);
}

static __always_inline void make_answer_ipv4(struct answer *answer, const struct packet *packet,
					     __u16 mtu)
{
	struct icmp_head *icmp = &answer->ipv4.icmp;
	struct iphdr *ip = &answer->ipv4.ip;

	turn(&answer->ethernet);
	__builtin_memset(ip, 0, HEADS_IPV4);
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tot_len = bpf_htons(sizeof(answer->ipv4));
	ip->frag_off = bpf_htons(DONT_FRAGMENT);
	ip->ttl = ANSWER_HOPS;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = packet->service.address.words[3];
	ip->daddr = packet->client.words[3];
	ip->check = sum_of(ip, sizeof(*ip));
	icmp->type = UNREACHABLE;
	icmp->code = FRAGMENTATION_NEEDED;
	icmp->rest = bpf_htonl(mtu);
	icmp->checksum =
		folded(bpf_csum_diff(NULL, 0, (void *)icmp, sizeof(*icmp) + QUOTED_IPV4, 0));
}

static __always_inline void make_answer_ipv6(struct answer *answer, const struct packet *packet,
					     __u16 mtu)
{
	struct icmp_head *icmp = &answer->ipv6.icmp;
	struct ipv6hdr *ip = &answer->ipv6.ip;
	__s64 sum;

	turn(&answer->ethernet);
	__builtin_memset(ip, 0, HEADS_IPV6);
	ip->version = 6;
	ip->payload_len = bpf_htons(sizeof(*icmp) + QUOTED_IPV6);
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = ANSWER_HOPS;
	__builtin_memcpy(&ip->saddr, &packet->service.address, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &packet->client, sizeof(ip->daddr));
	icmp->type = PACKET_TOO_BIG;
	icmp->rest = bpf_htonl(mtu);
	answer->pseudo.source = packet->service.address;
	answer->pseudo.destination = packet->client;
	answer->pseudo.length = bpf_htonl(sizeof(*icmp) + QUOTED_IPV6);
	answer->pseudo.protocol = bpf_htonl(IPPROTO_ICMPV6);
	sum = bpf_csum_diff(NULL, 0, (void *)&answer->pseudo, sizeof(answer->pseudo), 0);
	icmp->checksum =
		folded(bpf_csum_diff(NULL, 0, (void *)icmp, sizeof(*icmp) + QUOTED_IPV6, sum));
}

static __always_inline __u16 inner_mtu(const struct backend *backend)
{
	return backend->mtu - outer(backend);
}

// The packet is shortened to what is quoted, and gets new headers.
static __always_inline bool xdp_answer(struct xdp_md *frame, const struct answer *answer,
				       __u32 size, __u32 quoted, __u32 heads)
{
	void *data, *end;

	if (bpf_xdp_adjust_tail(frame, (int)(ETH_HLEN + quoted) - (int)size) ||
	    bpf_xdp_adjust_head(frame, -(int)heads))
		return false;
	data = (void *)(long)frame->data;
	end = (void *)(long)frame->data_end;
	if (data + ETH_HLEN + heads > end)
		return false;
	__builtin_memcpy(data, &answer->ethernet, ETH_HLEN + heads);
	return true;
}

// Nobody is told about an error.
static __always_inline bool xdp_answer_too_big(struct xdp_md *frame, const struct packet *packet,
					       const struct backend *backend)
{
	void *data = (void *)(long)frame->data;
	void *end = (void *)(long)frame->data_end;
	struct answer *answer = get_answer();

	if (!answer || packet->related || !backend || data + ETH_HLEN + QUOTED_IPV6 > end)
		return false;
	__builtin_memcpy(&answer->ethernet, data, ETH_HLEN);
	if (packet->is_ipv4) {
		__builtin_memcpy(answer->ipv4.quoted, data + ETH_HLEN, QUOTED_IPV4);
		make_answer_ipv4(answer, packet, inner_mtu(backend));
		return xdp_answer(frame, answer, packet->size, QUOTED_IPV4, HEADS_IPV4);
	}
	__builtin_memcpy(answer->ipv6.quoted, data + ETH_HLEN, QUOTED_IPV6);
	make_answer_ipv6(answer, packet, inner_mtu(backend));
	return xdp_answer(frame, answer, packet->size, QUOTED_IPV6, HEADS_IPV6);
}

static __always_inline bool tc_answer(struct __sk_buff *buffer, struct answer *answer, __u32 quoted,
				      __u32 heads)
{
	if (bpf_skb_change_tail(buffer, ETH_HLEN + quoted, 0) ||
	    bpf_skb_adjust_room(buffer, heads, BPF_ADJ_ROOM_MAC, 0))
		return false;
	return bpf_skb_store_bytes(buffer, 0, &answer->ethernet, ETH_HLEN + heads, 0) == 0;
}

// What the kernel has merged cannot be cut.
static __always_inline bool tc_answer_too_big(struct __sk_buff *buffer, const struct packet *packet,
					      const struct backend *backend)
{
	struct answer *answer = get_answer();

	if (!answer || packet->related || packet->segment || !backend)
		return false;
	if (bpf_skb_load_bytes(buffer, 0, &answer->ethernet, ETH_HLEN))
		return false;
	if (packet->is_ipv4) {
		if (bpf_skb_load_bytes(buffer, ETH_HLEN, answer->ipv4.quoted, QUOTED_IPV4))
			return false;
		make_answer_ipv4(answer, packet, inner_mtu(backend));
		return tc_answer(buffer, answer, QUOTED_IPV4, HEADS_IPV4);
	}
	if (bpf_skb_load_bytes(buffer, ETH_HLEN, answer->ipv6.quoted, QUOTED_IPV6))
		return false;
	make_answer_ipv6(answer, packet, inner_mtu(backend));
	return tc_answer(buffer, answer, QUOTED_IPV6, HEADS_IPV6);
}
