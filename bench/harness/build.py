"""Builds what the project itself brings, and a certificate."""
import json
import pathlib
import shutil
import subprocess
import sys

from .needs import Missing

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def all_of(args, scenarios, peers):
    """Where each binary is, by the peer's or client's key."""
    binaries = {key: shutil.which(key) for key in peers if key != "pointsman"}
    if "pointsman" in peers:
        binaries["pointsman"] = _given(args.pointsman) or _cargo("pointsman", "--bin", "pointsman")
    if any("openloop" in scenario.builds for scenario in scenarios):
        binaries["openloop"] = _given(args.openloop) or _cargo(
            "pointsman-backend", "--example", "openloop")
    return binaries


def certificate(work):
    """A P-256 pair: (certificate, key, both in one file)."""
    cert, key, pair = work / "cert.pem", work / "key.pem", work / "pair.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=bench.test"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"openssl made no certificate:\n{done.stderr}")
    pair.write_bytes(cert.read_bytes() + key.read_bytes())
    return cert, key, pair


def _given(path):
    if path and not path.is_file():
        raise Missing(f"{path} is no file")
    return str(path.resolve()) if path else None


def _cargo(package, kind, name):
    print(f"# building {name}", file=sys.stderr)
    command = ["cargo", "build", "--release", "--message-format", "json-render-diagnostics",
               "-p", package, kind, name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Missing(f"cargo could not build {name}")
    for line in done.stdout.splitlines():
        said = json.loads(line)
        if said.get("executable") and said["target"]["name"] == name:
            return said["executable"]
    raise Missing(f"cargo did not say where {name} is")
