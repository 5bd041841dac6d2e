// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What a packet tells about itself.

#pragma once

#define MORE_FRAGMENTS 0x2000
#define FRAGMENT_OFFSET 0x1fff

// Of TCP, as in the header's 14th byte.
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

// Types of errors: destination unreachable, time exceeded, parameter problem (RFC 792); RFC 4443: 1
// to 4.
#define UNREACHABLE 3
#define TIME_EXCEEDED 11
#define PARAMETER_PROBLEM 12
#define ICMPV6_FIRST_ERROR 1
#define ICMPV6_LAST_ERROR 4

struct packet {
	struct service_key service;
	struct address client;
	__be16 port;
	// Its headers contradict each other.
	bool malformed;
	// It is an error about the flow.
	bool related;
	bool is_ipv4;
	bool to_service;
	__u8 hops;
	// Type of service, or traffic class.
	__u8 class;
	// Of TCP.
	__u8 flags;
	// Between Ethernet's header and the transport's payload.
	__u16 headers;
	__u32 sequence;
	// Of the frame.
	__u32 size;
	// Of TCP's payload in each segment, if it is several in one; 0 if not.
	__u32 segment;
	__u8 sender[ETH_ALEN];
};

// The start of an ICMP or ICMPv6 message; what it quotes follows.
struct icmp_head {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 rest;
};

struct ports {
	__be16 source;
	__be16 destination;
};

static __always_inline bool same(const struct address *one, const struct address *other)
{
	__u32 difference = 0;

	for (int i = 0; i < 4; i++)
		difference |= one->words[i] ^ other->words[i];
	return difference == 0;
}

static __always_inline void from_ipv4(struct address *address, __be32 from)
{
	address->words[0] = 0;
	address->words[1] = 0;
	address->words[2] = bpf_htonl(0xffff);
	address->words[3] = from;
}

static __always_inline void from_ipv6(struct address *address, const struct in6_addr *from)
{
	__builtin_memcpy(address, from, sizeof(*address));
}

// The transport's header; `length` is that of header and payload.
static __always_inline enum reason parse_transport(void *at, void *end, __u32 length,
						   struct packet *packet)
{
	struct udphdr *udp = at;
	struct tcphdr *tcp = at;

	if ((void *)(udp + 1) > end)
		return PASSED_MALFORMED;
	packet->port = udp->source;
	packet->service.port = udp->dest;
	if (packet->service.protocol == IPPROTO_UDP) {
		packet->headers += sizeof(*udp);
		if (length < sizeof(*udp) || bpf_ntohs(udp->len) < sizeof(*udp))
			packet->malformed = true;
		return OURS;
	}
	if ((void *)(tcp + 1) > end) {
		packet->malformed = true;
		return OURS;
	}
	packet->headers += tcp->doff * 4;
	packet->sequence = bpf_ntohl(tcp->seq);
	packet->flags = ((__u8 *)tcp)[13];
	if (tcp->doff < 5 || length < tcp->doff * 4)
		packet->malformed = true;
	return OURS;
}

// The packet that an error quotes, which the service has sent (at least eight bytes of its payload).
static __always_inline enum reason parse_quoted_ipv4(void *at, void *end, struct packet *packet)
{
	struct icmp_head *icmp = at;
	struct iphdr *ip = at + sizeof(*icmp);
	struct ports *ports;

	if ((void *)(ip + 1) > end)
		return PASSED_NO_SERVICE;
	if (icmp->type != UNREACHABLE && icmp->type != TIME_EXCEEDED &&
	    icmp->type != PARAMETER_PROBLEM)
		return PASSED_NO_SERVICE;
	if (ip->version != 4 || ip->ihl < 5 || ip->saddr != packet->service.address.words[3] ||
	    (ip->frag_off & bpf_htons(FRAGMENT_OFFSET)))
		return PASSED_NO_SERVICE;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return PASSED_NO_SERVICE;
	ports = (void *)ip + ip->ihl * 4;
	if ((void *)(ports + 1) > end)
		return PASSED_NO_SERVICE;
	from_ipv4(&packet->client, ip->daddr);
	packet->service.protocol = ip->protocol;
	packet->service.port = ports->source;
	packet->port = ports->destination;
	packet->related = true;
	return OURS;
}

static __always_inline enum reason parse_quoted_ipv6(void *at, void *end, struct packet *packet)
{
	struct icmp_head *icmp = at;
	struct ipv6hdr *ip = at + sizeof(*icmp);
	struct ports *ports = (void *)(ip + 1);
	struct address source;

	if ((void *)(ports + 1) > end)
		return PASSED_NO_SERVICE;
	if (icmp->type < ICMPV6_FIRST_ERROR || icmp->type > ICMPV6_LAST_ERROR)
		return PASSED_NO_SERVICE;
	from_ipv6(&source, &ip->saddr);
	if (ip->version != 6 || !same(&source, &packet->service.address))
		return PASSED_NO_SERVICE;
	if (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP)
		return PASSED_NO_SERVICE;
	from_ipv6(&packet->client, &ip->daddr);
	packet->service.protocol = ip->nexthdr;
	packet->service.port = ports->source;
	packet->port = ports->destination;
	packet->related = true;
	return OURS;
}

static __always_inline enum reason parse_ipv4(void *at, void *end, struct packet *packet)
{
	struct iphdr *ip = at;
	__u32 header, total;

	if ((void *)(ip + 1) > end)
		return PASSED_MALFORMED;
	header = ip->ihl * 4;
	if (ip->version != 4 || header < sizeof(*ip))
		return PASSED_MALFORMED;
	from_ipv4(&packet->client, ip->saddr);
	from_ipv4(&packet->service.address, ip->daddr);
	packet->service.protocol = ip->protocol;
	packet->is_ipv4 = true;
	packet->hops = ip->ttl;
	packet->class = ip->tos;
	packet->headers = header;
	if (ip->frag_off & bpf_htons(MORE_FRAGMENTS | FRAGMENT_OFFSET))
		return PASSED_FRAGMENT;
	total = bpf_ntohs(ip->tot_len);
	// What the kernel has merged may be longer than the field can say.
	if (packet->segment)
		total = packet->size - ETH_HLEN;
	if (total < header || total > packet->size - ETH_HLEN)
		packet->malformed = true;
	at += header;
	if (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP)
		return parse_transport(at, end, total - header, packet);
	if (ip->protocol == IPPROTO_ICMP)
		return parse_quoted_ipv4(at, end, packet);
	return PASSED_NO_SERVICE;
}

static __always_inline enum reason parse_ipv6(void *at, void *end, struct packet *packet)
{
	struct ipv6hdr *ip = at;
	__u32 length;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return PASSED_MALFORMED;
	from_ipv6(&packet->client, &ip->saddr);
	from_ipv6(&packet->service.address, &ip->daddr);
	packet->service.protocol = ip->nexthdr;
	packet->hops = ip->hop_limit;
	packet->class = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	packet->headers = sizeof(*ip);
	length = bpf_ntohs(ip->payload_len);
	if (packet->segment)
		length = packet->size - ETH_HLEN - sizeof(*ip);
	if (length > packet->size - ETH_HLEN - sizeof(*ip))
		packet->malformed = true;
	at = ip + 1;
	if (ip->nexthdr == IPPROTO_TCP || ip->nexthdr == IPPROTO_UDP)
		return parse_transport(at, end, length, packet);
	if (ip->nexthdr == IPPROTO_ICMPV6)
		return parse_quoted_ipv6(at, end, packet);
	if (ip->nexthdr == IPPROTO_FRAGMENT)
		return PASSED_FRAGMENT;
	if (ip->nexthdr == IPPROTO_HOPOPTS || ip->nexthdr == IPPROTO_ROUTING ||
	    ip->nexthdr == IPPROTO_DSTOPTS)
		return PASSED_EXTENSION;
	return PASSED_NO_SERVICE;
}

// `size` and `segment` are known before. OURS: it may be a service's.
static __always_inline enum reason parse(void *data, void *end, struct packet *packet)
{
	struct ethhdr *ethernet = data;

	if ((void *)(ethernet + 1) > end)
		return PASSED_MALFORMED;
	__builtin_memcpy(packet->sender, ethernet->h_source, ETH_ALEN);
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		return parse_ipv4(ethernet + 1, end, packet);
	if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(ethernet + 1, end, packet);
	if (ethernet->h_proto == bpf_htons(ETH_P_8021Q) ||
	    ethernet->h_proto == bpf_htons(ETH_P_8021AD))
		return PASSED_VLAN;
	return PASSED_OTHER_PROTOCOL;
}

// Headers may stand apart from the first piece of the packet: they are fetched if they are missed.
static __always_inline enum reason tc_parse(struct __sk_buff *buffer, struct packet *packet)
{
	void *data = (void *)(long)buffer->data;
	void *end = (void *)(long)buffer->data_end;
	__u32 size = buffer->len;
	enum reason reason;

	packet->size = size;
	packet->segment = buffer->gso_size;
	reason = parse(data, end, packet);
	if (data + size <= end || data + READ_MOST <= end)
		return reason;
	if (reason == OURS && !packet->malformed)
		return reason;
	if (reason != OURS && reason != PASSED_MALFORMED && reason != PASSED_NO_SERVICE)
		return reason;
	if (bpf_skb_pull_data(buffer, size < READ_MOST ? size : READ_MOST))
		return PASSED_MALFORMED;
	data = (void *)(long)buffer->data;
	end = (void *)(long)buffer->data_end;
	__builtin_memset(packet, 0, sizeof(*packet));
	packet->size = size;
	packet->segment = buffer->gso_size;
	return parse(data, end, packet);
}
