"""The command line."""
import argparse
import json
import pathlib
import resource
import shutil
import signal
import sys
import tempfile

from . import build, needs, process, report, rounds
from .origin import Origin
from .peers import ALL as PEERS
from .scenarios import ALL as SCENARIOS

EXAMPLES = """\
examples:
  bench/run
  bench/run --scenarios keepalive,tcp --rounds 3 --seconds 4 --json out.json
  bench/run --pointsman target/release/pointsman --peers pointsman,haproxy
"""


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, _end)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    work = pathlib.Path(tempfile.mkdtemp(prefix="pointsman-bench-"))
    try:
        return _run(args, work)
    except (needs.Missing, process.Failed) as why:
        print(f"error: {why}", file=sys.stderr)
        return 1
    finally:
        process.stop_all()
        shutil.rmtree(work, ignore_errors=True)


def arguments():
    ask = argparse.ArgumentParser(
        prog="bench/run", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--scenarios", type=_some_of(SCENARIOS), default=list(SCENARIOS),
                     help=f"of {','.join(SCENARIOS)}; all of them unless told otherwise")
    ask.add_argument("--peers", type=_some_of(PEERS), default=list(PEERS),
                     help=f"of {','.join(PEERS)}")
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--seconds", type=int, default=4, help="of load per measurement")
    ask.add_argument("--warm", type=int, default=1, help="seconds of load before measuring")
    ask.add_argument("--rate", type=int, default=8000, help="requests/s of the scenario latency")
    ask.add_argument("--pointsman", type=pathlib.Path, metavar="PATH",
                     help="this binary; it is built otherwise")
    ask.add_argument("--openloop", type=pathlib.Path, metavar="PATH",
                     help="the fixed-rate client; it is built otherwise")
    ask.add_argument("--nginx-stream", type=pathlib.Path, metavar="PATH",
                     help="nginx's ngx_stream_module.so, if not where nginx looks for it")
    ask.add_argument("--cpus", type=_two_cpus, default=[0, 1], metavar="PROXY,LOAD",
                     help="CPU of the proxy, CPU of load and origin; 0,1 unless told otherwise")
    ask.add_argument("--port", type=int, default=28080, help="where the proxies listen")
    ask.add_argument("--origin-port", type=int, default=29000)
    ask.add_argument("--json", type=pathlib.Path, metavar="FILE",
                     help="keep the figures of every round")
    return ask.parse_args()


def _run(args, work):
    scenarios = [SCENARIOS[key] for key in args.scenarios]
    peers, left_out = needs.check(args, scenarios)
    for line in left_out:
        print(f"warning: {line}", file=sys.stderr)
    binaries = build.all_of(args, scenarios, peers)
    certificate = build.certificate(work) if any(s.front == "tls" for s in scenarios) else None
    peers = [PEERS[key](binaries[key], args) for key in peers]
    for peer in peers:
        print(f"# {peer.name}: {peer.version()}", file=sys.stderr)
    bench = rounds.Bench(args, work, Origin(args, work), binaries.get("openloop"), certificate)
    results = {}
    try:  # what was measured is told even when the run is cut short
        bench.run(scenarios, peers, results)
    finally:
        print(report.tables(results))
        if args.json:
            versions = {peer.name: peer.version() for peer in peers}
            kept = {"versions": versions, "seconds": args.seconds, "scenarios": results}
            args.json.write_text(json.dumps(kept, indent=1) + "\n")
    return 1 if report.failed(results) else 0


def _some_of(known):
    def read(text):
        words = text.split(",")
        unknown = [word for word in words if word not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"`{unknown[0]}` is none of {', '.join(known)}")
        return words
    return read


def _two_cpus(text):
    try:
        proxy, load = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not two CPUs, like 0,1") from None
    return [proxy, load]


def _end(*_):
    """Told to end: once only, so that nothing interrupts the stopping of what runs."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)
