from .peer import Peer


class Pointsman(Peer):
    key, name, version_flags = "pointsman", "Pointsman", ["--version"]

    def command(self, work):
        return [self.binary, "run", work / "pointsman.toml"]

    def files(self, work, front):
        return {"pointsman.toml": _policy(work, front)}


def _policy(work, front):
    lines = ["[admin]", f'listen = "unix:{work}/admin.sock"',
             "[listener.in]", f'bind = ":{front.port}"']
    if front.kind == "tls":
        cert, key, _ = front.certificate
        lines.append(f'tls = {{ cert = "{cert}", key = "{key}" }}')
    if front.kind == "tcp":
        lines += ['protocol = "tcp"', 'pool = "all"']
    else:
        lines += ['timeouts = { idle = "600s" }', "[[route]]", 'pool = "all"']
    backends = ", ".join(f'"{addr}"' for addr in front.backends)
    for route in front.routes:
        lines += ["[[route]]", f'match = {{ host = "{route.host}" }}', f'pool = "{route.name}"']
    lines += ["[pool.all]", 'balance = "round-robin"', f"backends = [{backends}]",
              'health = { interval = "2s" }']
    for route in front.routes:
        lines += [f"[pool.{route.name}]", f'backends = ["{route.backend}"]']
    return "\n".join(lines) + "\n"
