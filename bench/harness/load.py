"""The load generators. Each returns its figures; times in microseconds."""
import os
import pathlib
import re
import socket
import subprocess
import time

from . import process

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "clients" / "wrk.lua"
UNITS = {"us": 1, "ms": 1e3, "s": 1e6}


def wrk(cpu, url, seconds, connections, headers=(), hosts=0):
    """HTTP/1.1, as fast as it goes; `hosts` host names in turn."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
               "-s", SCRIPT, *(word for h in headers for word in ("-H", h)), url]
    text = _run(cpu, command, seconds, {"BENCH_HOSTS": str(hosts)})
    requests, took, size, p50, p99, errors = _result(text)
    return {"requests": requests, "seconds": took / 1e6, "bytes": size,
            "p50": p50, "p99": p99, "errors": errors}


def h2load(cpu, url, seconds, connections, streams):
    """HTTP/2; it tells no percentiles, so that p50 is the mean."""
    text = _run(cpu, ["h2load", f"-c{connections}", f"-m{streams}", f"-D{seconds}", url], seconds)
    found = [re.search(r"finished in ([\d.]+)s", text),
             re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", text),
             re.search(r"traffic: .*?\((\d+)\) total", text),
             re.search(r"time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)", text)]
    if None in found:
        raise process.Failed(f"h2load gave no result:\n{text[-800:]}")
    took, counts, size, mean = found
    good, failed, errored = map(int, counts.groups())
    return {"requests": good, "seconds": float(took[1]), "bytes": int(size[1]),
            "p50": float(mean[1]) * UNITS[mean[2]], "errors": failed + errored}


def openloop(cpu, client, port, seconds, connections, rate):
    """A fixed rate; each time is counted from when the request was due."""
    command = [client, f"127.0.0.1:{port}", connections, rate, seconds]
    requests, took, p50, p99, errors = _result(_run(cpu, command, seconds))
    return {"requests": requests, "seconds": took / 1e6, "bytes": 0,
            "p50": p50, "p99": p99, "errors": errors}


def idle(port, child, count):
    """Opens keep-alive connections, asks once on each, and leaves them idle."""
    ask = f"GET /1k HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    before = process.memory(child.pid, "VmRSS")
    began, clients, errors = time.monotonic(), [], 0
    try:
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), 5)
            clients.append(client)
            client.sendall(ask)
            errors += not _read_1k(client)
        took = time.monotonic() - began
        time.sleep(1.5)  # whatever was needed for the requests alone is given back
        grown = process.memory(child.pid, "VmRSS") - before
    finally:
        for client in clients:
            client.close()
    return {"requests": count, "seconds": took, "bytes": 0, "errors": errors,
            "kib_conn": grown / count / 1024}


def _read_1k(client):
    have, part = b"", b"?"
    while part and len(have.partition(b"\r\n\r\n")[2]) < 1024:
        part = client.recv(65536)
        have += part
    return have.startswith(b"HTTP/1.1 200")


def _result(text):
    found = re.search(r"^RESULT (.+)$", text, re.M)
    if not found:
        raise process.Failed(f"the load generator gave no result:\n{text[-800:]}")
    return map(int, found[1].split())


def _run(cpu, command, seconds, env=None):
    try:
        done = subprocess.run(["taskset", "-c", str(cpu), *map(str, command)], text=True,
                              capture_output=True, timeout=seconds + 30,
                              env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired:
        raise process.Failed(f"{command[0]} did not end") from None
    return done.stdout + done.stderr
