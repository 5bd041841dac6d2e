from .peer import Peer


class HAProxy(Peer):
    key, name, version_flags = "haproxy", "HAProxy", ["-v"]
    # glibc gives its heap back and takes it again every few requests otherwise
    env = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_TOP_PAD_": "16777216"}

    def command(self, work):
        return [self.binary, "-db", "-f", work / "haproxy.cfg"]

    def files(self, work, front):
        hosts = "".join(f"{route.host} {route.name}\n" for route in front.routes)
        return {"haproxy.cfg": _config(work, front), "hosts.map": hosts}


def _config(work, front):
    tcp = front.kind == "tcp"
    lines = [
        "global", " nbthread 1", " tune.bufsize 16384", " tune.ssl.cachesize 0",
        " ssl-default-bind-options ssl-min-ver TLSv1.3",
        "defaults", f" mode {'tcp' if tcp else 'http'}", " timeout connect 5s",
        " timeout client 600s", " timeout server 600s", " timeout http-keep-alive 600s",
        " balance roundrobin", " option splice-auto", *([] if tcp else [" http-reuse always"]),
        "frontend in", f" bind :{front.port}{_bind(front)}",
    ]
    if front.routes:
        lines.append(f" use_backend %[req.hdr(host),lower,map({work}/hosts.map,all)]")
    lines += [" default_backend all", "backend all"]
    lines += [f" server s{n} {addr} check inter 2s" for n, addr in enumerate(front.backends)]
    for route in front.routes:
        lines += [f"backend {route.name}", f" server s {route.backend}"]
    return "\n".join(lines) + "\n"


def _bind(front):
    if front.kind == "tls":
        return f" ssl crt {front.certificate[2]} alpn http/1.1 no-tls-tickets"
    return " proto h2" if front.kind == "h2c" else ""
