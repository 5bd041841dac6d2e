"""What is measured: a load, and the figure that peers are compared by."""
from dataclasses import dataclass
from typing import Callable

from . import load


@dataclass(frozen=True)
class Scenario:
    key: str
    title: str
    front: str  # what clients speak to the proxy: h1, h2c, tls or tcp
    drive: Callable  # given a Target and seconds; returns figures
    tools: tuple = ("wrk",)
    builds: tuple = ()
    figure: str = "cpu_us"  # ratios are made of this one
    routes: int = 0
    base_routes: int = 0  # also measured with so many routes, for the ratio to itself
    warm: bool = True


@dataclass(frozen=True)
class Target:
    """The proxy that is measured."""
    port: int
    child: object
    load_cpu: int
    rate: int
    openloop: str | None
    routes: int


def _wrk(path, connections, scheme="http", headers=()):
    def drive(target, seconds):
        url = f"{scheme}://127.0.0.1:{target.port}{path}"
        return load.wrk(target.load_cpu, url, seconds, connections, headers, target.routes)
    return drive


def _h2(target, seconds):
    return load.h2load(target.load_cpu, f"http://127.0.0.1:{target.port}/1k", seconds, 10, 100)


def _fixed_rate(target, seconds):
    return load.openloop(target.load_cpu, target.openloop, target.port, seconds, 64, target.rate)


def _idle(target, _seconds):
    return load.idle(target.port, target.child, 5000)


ALL = {scenario.key: scenario for scenario in [
    Scenario("keepalive", "HTTP/1.1 keep-alive, 1 KiB, 64 connections", "h1", _wrk("/1k", 64)),
    Scenario("new-connection", "HTTP/1.1, a new connection per request, 1 KiB", "h1",
             _wrk("/1k", 64, headers=("Connection: close",))),
    Scenario("h2", "HTTP/2 cleartext, 10 connections of 100 streams, 1 KiB", "h2c", _h2,
             tools=("h2load",)),
    Scenario("tls", "TLS 1.3 (P-256), HTTP/1.1 keep-alive, 1 KiB", "tls",
             _wrk("/1k", 64, "https")),
    Scenario("large", "HTTP/1.1, 1 MiB bodies, 16 connections", "h1", _wrk("/1m", 16)),
    Scenario("tcp", "TCP forwarding, keep-alive 1 KiB, 64 connections", "tcp", _wrk("/1k", 64)),
    Scenario("routes", "1,000 routes by host to 1,000 backends, 64 connections", "h1",
             _wrk("/1k", 64), routes=1000, base_routes=1),
    Scenario("idle", "Memory of 5,000 idle keep-alive connections", "h1", _idle,
             tools=(), figure="kib_conn", warm=False),
    Scenario("latency", "Latency at a fixed rate, 64 connections", "h1", _fixed_rate,
             tools=(), builds=("openloop",), figure="p99"),
]}
