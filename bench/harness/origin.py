"""The origin behind every proxy: one nginx worker that answers from memory."""
import shutil

from . import process
from .peers import Route

CONFIG = """\
daemon off;
worker_processes 1;
pid {work}/origin.pid;
error_log stderr error;
events {{ worker_connections 16000; accept_mutex off; multi_accept on; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    open_file_cache max=16 inactive=600s;
    default_type application/octet-stream;
    server {{
        listen {port} backlog=8192 reuseport;
        root {work}/files;
        location = /1k {{ return 200 "{kib}"; }}
    }}
}}
"""


class Origin:
    def __init__(self, args, work):
        self.port, self.cpu, self.work = args.origin_port, args.cpus[1], work

    def start(self):
        files, config = self.work / "files", self.work / "origin.conf"
        files.mkdir()
        (files / "1m").write_bytes(b"x" * 2**20)
        config.write_text(CONFIG.format(work=self.work, port=self.port, kib="x" * 1024))
        self.work.chmod(0o755)  # the worker may run as another user
        process.require_free(self.port)
        log = self.work / "origin.log"
        command = [shutil.which("nginx"), "-c", config, "-e", "stderr"]
        process.wait_for_port(self.port, process.start(command, self.cpu, log), log)

    def addresses(self, count):
        """So many backends: one nginx, but addresses of their own."""
        return [f"127.0.0.{n + 1}:{self.port}" for n in range(count)]

    def routes(self, count):
        return [Route(f"r{n}", f"h{n}.test", f"127.0.{1 + n // 250}.{1 + n % 250}:{self.port}")
                for n in range(count)]
