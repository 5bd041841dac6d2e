import pathlib
import re
import shutil
import subprocess

from .peer import Peer

HTTP = """\
http {{
    access_log off;
    client_body_temp_path {work}/t1;
    proxy_temp_path {work}/t2;
    fastcgi_temp_path {work}/t3;
    uwsgi_temp_path {work}/t4;
    scgi_temp_path {work}/t5;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    server_names_hash_max_size 4096;
    server_names_hash_bucket_size 128;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_buffers 16 16k;
    proxy_busy_buffers_size 32k;
    proxy_buffer_size 16k;
    proxy_max_temp_file_size 0;
    upstream all {{
        {backends}
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {port}{listen} default_server backlog=8192 reuseport;
        {settings}
        location / {{ proxy_pass http://all; }}
    }}
    {routes}
}}
"""
ROUTE = """\
    upstream {name} {{ server {backend}; keepalive 64; keepalive_requests 1000000000; }}
    server {{ listen {port}; server_name {host}; location / {{ proxy_pass http://{name}; }} }}
"""
STREAM = """\
stream {{
    upstream all {{ {backends} }}
    server {{
        listen {port} backlog=8192 reuseport;
        proxy_pass all;
        proxy_buffer_size 64k;
    }}
}}
"""
TLS = ("ssl_certificate {0}; ssl_certificate_key {1}; "
       "ssl_protocols TLSv1.3; ssl_session_tickets off;")


class Nginx(Peer):
    key, name, version_flags = "nginx", "nginx", ["-v"]

    def __init__(self, binary, args):
        super().__init__(binary, args)
        self.stream, self.module = stream_module(args)

    def speaks(self, kind):
        return kind != "tcp" or self.stream

    def command(self, work):
        return [self.binary, "-c", work / "nginx.conf", "-e", "stderr"]

    def files(self, work, front):
        tcp = front.kind == "tcp"
        module = f"load_module {self.module};\n" if tcp and self.module else ""
        head = (f"{module}daemon off;\nworker_processes 1;\npid {work}/nginx.pid;\n"
                "error_log stderr error;\n"
                "events { worker_connections 16000; multi_accept on; }\n")
        return {"nginx.conf": head + (self._stream(front) if tcp else self._http(work, front))}

    def _stream(self, front):
        return STREAM.format(port=front.port, backends=_servers(front))

    def _http(self, work, front):
        listen, settings = "", "http2_max_concurrent_streams 256;"
        if front.kind == "tls":
            listen, settings = " ssl", TLS.format(*front.certificate)
        elif front.kind == "h2c" and self._number() >= (1, 25, 1):
            settings += " http2 on;"
        elif front.kind == "h2c":
            listen = " http2"
        routes = "".join(ROUTE.format(name=r.name, backend=r.backend, host=r.host, port=front.port)
                         for r in front.routes)
        return HTTP.format(work=work, port=front.port, listen=listen, settings=settings,
                           backends=_servers(front), routes=routes)

    def _number(self):
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", self.version())
        return tuple(map(int, found.groups())) if found else (0, 0, 0)


def stream_module(args):
    """Whether nginx can forward TCP, and the module that it must load for it."""
    told = subprocess.run([shutil.which("nginx"), "-V"], capture_output=True, text=True).stderr
    if "--with-stream " in told + " ":
        return True, None
    folder = re.search(r"--modules-path=(\S+)", told)
    default = pathlib.Path(folder[1]) / "ngx_stream_module.so" if folder else None
    module = args.nginx_stream or default
    found = bool(module and module.is_file())
    return found, module.resolve() if found else None


def _servers(front):
    return " ".join(f"server {addr};" for addr in front.backends)
