"""Starting, measuring and stopping process trees, always by process id."""
import os
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
_live = []  # what start() started and stop() has not yet seen the end of


class Failed(Exception):
    """A process did not do what it was started for."""


def start(command, cpu, log, env=None):
    """Starts a command on one CPU, in a session of its own."""
    with open(log, "wb") as sink:
        child = subprocess.Popen(
            ["taskset", "-c", str(cpu), *map(str, command)], stdin=subprocess.DEVNULL,
            stdout=sink, stderr=sink, start_new_session=True, env={**os.environ, **(env or {})})
    _live.append(child)
    return child


def stop(child, patience=2.0):
    """Ends a process that start() started, and whatever it started."""
    family = tree(child.pid)
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in family:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass
        until = time.monotonic() + patience
        while time.monotonic() < until:
            ended = child.poll() is not None
            family = [pid for pid in family if _running(pid)]
            if ended and not family:
                _live.remove(child)
                return
            time.sleep(0.02)


def stop_all():
    for child in list(_live):
        stop(child)


def tree(root):
    """The ids of a process and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        fields = _stat(name) if name.isdigit() else None
        if fields:
            children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(root):
    """User and system time that the tree has used so far."""
    known = filter(None, map(_stat, tree(root)))
    return sum(int(fields[11]) + int(fields[12]) for fields in known) / TICK


def memory(root, field):
    """Bytes of the tree's peak (VmHWM) or present (VmRSS) resident set."""
    total = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith(field + ":"))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total * 1024


def require_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            raise Failed(f"port {port} is in use: choose another one "
                         "with --port or --origin-port") from None


def wait_for_port(port, child, log, patience=20.0):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if child.poll() is not None:
            said = log.read_text(errors="replace")[-2000:]
            raise Failed(f"ended with {child.returncode} before it listened:\n{said}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Failed(f"nothing listens on port {port}")


def _running(pid):
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def _stat(pid):
    """/proc/PID/stat after the command's name: state, parent, group, ..."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
