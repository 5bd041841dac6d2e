// SPDX-License-Identifier: MIT OR Apache-2.0
//
// How a packet is changed for its backend: one hop less, other link-layer addresses, and for a
// tunnel a header before its own (RFC 2003, RFC 2473, RFC 4213).

#pragma once

#define TUNNEL_HOPS 64
#define DONT_FRAGMENT 0x4000

// The sum of a header of IPv4 whose check is 0.
static __always_inline __u16 sum_of(const void *header, __u32 size)
{
	const __u16 *words = header;
	__u32 sum = 0;

	for (int i = 0; i < size / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

// The check of a header whose time to live, in the upper half of a word, is one less (RFC 1624).
static __always_inline __sum16 check_of_one_less(__sum16 check)
{
	__u32 sum = (__u32)check + bpf_htons(0x0100);

	return sum + (sum >= 0xffff);
}

static __always_inline void make_outer_ipv4(struct iphdr *ip, const struct packet *packet,
					    const struct backend *backend)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tos = packet->class;
	ip->tot_len = bpf_htons(packet->size - ETH_HLEN + sizeof(*ip));
	ip->frag_off = bpf_htons(DONT_FRAGMENT);
	ip->ttl = TUNNEL_HOPS;
	ip->protocol = packet->is_ipv4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	ip->saddr = backend->source.words[3];
	ip->daddr = backend->address.words[3];
	ip->check = sum_of(ip, sizeof(*ip));
}

// Routers between spread flows by the label (RFC 6438).
static __always_inline void make_outer_ipv6(struct ipv6hdr *ip, const struct packet *packet,
					    const struct backend *backend)
{
	__u32 label = slot_of(packet) + 1;

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->priority = packet->class >> 4;
	ip->flow_lbl[0] = packet->class << 4 | (label >> 16 & 0x0f);
	ip->flow_lbl[1] = label >> 8;
	ip->flow_lbl[2] = label;
	ip->payload_len = bpf_htons(packet->size - ETH_HLEN);
	ip->nexthdr = packet->is_ipv4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	ip->hop_limit = TUNNEL_HOPS;
	__builtin_memcpy(&ip->saddr, &backend->source, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &backend->address, sizeof(ip->daddr));
}

static __always_inline void make_ethernet(struct ethhdr *ethernet, bool is_ipv4,
					  const struct backend *backend)
{
	__builtin_memcpy(ethernet->h_dest, backend->mac, 2 * ETH_ALEN);
	ethernet->h_proto = is_ipv4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
}

static __always_inline bool xdp_encapsulate(struct xdp_md *frame, const struct packet *packet,
					    const struct backend *backend)
{
	void *data, *end;

	if (backend->way == TUNNEL_IPV4) {
		if (bpf_xdp_adjust_head(frame, -(int)sizeof(struct iphdr)))
			return false;
		data = (void *)(long)frame->data;
		end = (void *)(long)frame->data_end;
		if (data + ETH_HLEN + sizeof(struct iphdr) > end)
			return false;
		make_ethernet(data, true, backend);
		make_outer_ipv4(data + ETH_HLEN, packet, backend);
		return true;
	}
	if (bpf_xdp_adjust_head(frame, -(int)sizeof(struct ipv6hdr)))
		return false;
	data = (void *)(long)frame->data;
	end = (void *)(long)frame->data_end;
	if (data + ETH_HLEN + sizeof(struct ipv6hdr) > end)
		return false;
	make_ethernet(data, false, backend);
	make_outer_ipv6(data + ETH_HLEN, packet, backend);
	return true;
}

// One hop less. Of IPv6 nothing in the header makes up for it.
static __always_inline bool take_hop(void *data, void *end, const struct packet *packet)
{
	struct ipv6hdr *ipv6 = data + ETH_HLEN;
	struct iphdr *ipv4 = data + ETH_HLEN;

	if (packet->is_ipv4) {
		if ((void *)(ipv4 + 1) > end)
			return false;
		ipv4->check = check_of_one_less(ipv4->check);
		ipv4->ttl--;
		return true;
	}
	if ((void *)(ipv6 + 1) > end)
		return false;
	ipv6->hop_limit--;
	return true;
}

static __always_inline bool xdp_change(struct xdp_md *frame, const struct packet *packet,
				       const struct backend *backend)
{
	void *data = (void *)(long)frame->data;
	void *end = (void *)(long)frame->data_end;

	if (!take_hop(data, end, packet))
		return false;
	if (backend->way != NEIGHBOUR)
		return xdp_encapsulate(frame, packet, backend);
	make_ethernet(data, packet->is_ipv4, backend);
	return true;
}

// As of Linux 5.2; the header of TCP is never cut into two of those that are a little smaller.
static __always_inline bool tc_encapsulate(struct __sk_buff *buffer, const struct packet *packet,
					   const struct backend *backend)
{
	__u64 flags = packet->service.protocol == IPPROTO_TCP ? 0 : BPF_F_ADJ_ROOM_FIXED_GSO;
	struct {
		__u16 unused;
		struct ethhdr ethernet;
		union {
			struct iphdr ipv4;
			struct ipv6hdr ipv6;
		};
	} headers;

	make_ethernet(&headers.ethernet, backend->way == TUNNEL_IPV4, backend);
	if (backend->way == TUNNEL_IPV4) {
		flags |= BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
		if (bpf_skb_adjust_room(buffer, sizeof(headers.ipv4), BPF_ADJ_ROOM_MAC, flags))
			return false;
		make_outer_ipv4(&headers.ipv4, packet, backend);
		return bpf_skb_store_bytes(buffer, 0, &headers.ethernet, ETH_HLEN + sizeof(headers.ipv4),
					   0) == 0;
	}
	flags |= BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
	if (bpf_skb_adjust_room(buffer, sizeof(headers.ipv6), BPF_ADJ_ROOM_MAC, flags))
		return false;
	make_outer_ipv6(&headers.ipv6, packet, backend);
	return bpf_skb_store_bytes(buffer, 0, &headers.ethernet, ETH_HLEN + sizeof(headers.ipv6), 0) == 0;
}

// Packets are written through pointers, which is the quickest. For that the kernel gives packets that
// somebody else looks at, too (AF_PACKET), a first piece of their own before the program, though they may
// pass as they are.
static __always_inline bool tc_change(struct __sk_buff *buffer, const struct packet *packet,
				      const struct backend *backend)
{
	void *data = (void *)(long)buffer->data;
	void *end = (void *)(long)buffer->data_end;

	if (!take_hop(data, end, packet))
		return false;
	// Cards may have summed up the whole packet.
	if (!packet->is_ipv4)
		bpf_csum_update(buffer, ~(__u32)bpf_htons(1));
	if (backend->way != NEIGHBOUR)
		return tc_encapsulate(buffer, packet, backend);
	make_ethernet(data, packet->is_ipv4, backend);
	return true;
}
