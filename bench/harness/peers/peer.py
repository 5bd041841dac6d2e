"""What all proxies have in common."""
import subprocess
from dataclasses import dataclass

from .. import process


@dataclass(frozen=True)
class Route:
    name: str
    host: str
    backend: str


@dataclass(frozen=True)
class Front:
    """What a proxy has to offer, and to whom it forwards."""
    kind: str  # h1, h2c, tls or tcp
    port: int
    backends: list  # "HOST:PORT"
    routes: list
    certificate: tuple | None  # certificate, key, both in one file


class Peer:
    """A proxy. Each one says its key, its name, its files and its command."""
    env = {}

    def __init__(self, binary, args):
        self.binary, self.args = binary, args

    def speaks(self, kind):
        return True

    def version(self):
        done = subprocess.run([self.binary, *self.version_flags], capture_output=True, text=True)
        return (done.stdout + done.stderr).strip().partition("\n")[0]

    def start(self, work, front):
        work.mkdir(parents=True, exist_ok=True)
        for name, text in self.files(work, front).items():
            (work / name).write_text(text)
        process.require_free(front.port)
        log = work / "log"
        child = process.start(self.command(work), self.args.cpus[0], log, self.env)
        try:
            process.wait_for_port(front.port, child, log)
        except process.Failed:
            process.stop(child)
            raise
        return child
