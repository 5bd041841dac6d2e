"""What must be installed for the scenarios asked for."""
import os
import shutil

from .peers import nginx

PACKAGES = {"haproxy": "haproxy", "nginx": "nginx", "wrk": "wrk", "h2load": "nghttp2-client",
            "openssl": "openssl", "taskset": "util-linux", "cargo": "cargo"}


class Missing(Exception):
    """Something without which nothing can be measured."""


def check(args, scenarios):
    """The peers that can be measured, and a line on each that cannot.

    Raises Missing with everything that is lacking, not only the first of it.
    """
    tools = {tool for scenario in scenarios for tool in scenario.tools}
    tools |= {"nginx", "taskset"}  # nginx is the origin
    if any(scenario.front == "tls" for scenario in scenarios):
        tools.add("openssl")
    if _builds(args, scenarios):
        tools.add("cargo")
    lacking = [_advice(tool) for tool in sorted(tools) if not shutil.which(tool)]
    absent = set(args.cpus) - os.sched_getaffinity(0)
    if absent:
        lacking.append(f"CPU {min(absent)} is not there for us: choose two others with --cpus")
    if args.cpus[0] == args.cpus[1]:
        lacking.append("the proxy needs a CPU of its own: choose two with --cpus")
    if lacking:
        raise Missing("\n       ".join(lacking))
    return _peers(args, scenarios)


def _peers(args, scenarios):
    found, left_out = [], []
    for key in args.peers:
        if key == "pointsman" or shutil.which(key):
            found.append(key)
        else:
            left_out.append(f"{_advice(key)}; it is left out")
    tcp = any(scenario.front == "tcp" for scenario in scenarios)
    if "nginx" in found and tcp and not nginx.stream_module(args)[0]:
        left_out.append("nginx lacks its stream module: apt-get install libnginx-mod-stream, or "
                        "--nginx-stream PATH; it sits out the scenario tcp")
    if not found:
        raise Missing("\n       ".join(left_out))
    return found, left_out


def _builds(args, scenarios):
    openloop = any("openloop" in scenario.builds for scenario in scenarios)
    return "pointsman" in args.peers and not args.pointsman or openloop and not args.openloop


def _advice(tool):
    return f"{tool} not found: apt-get install {PACKAGES[tool]}"
