"""The rounds: in each one every peer takes its turn at every scenario."""
import sys
import time

from . import process
from .peers import Front
from .scenarios import Target


class Bench:
    def __init__(self, args, work, origin, openloop, certificate):
        self.args, self.work, self.origin = args, work, origin
        self.openloop, self.certificate = openloop, certificate

    def run(self, scenarios, peers, results):
        """Fills `results`: scenario -> {title, figure, peers: name -> figures of each round}."""
        self.origin.start()
        for number in range(1, self.args.rounds + 1):
            for scenario in scenarios:
                kept = results.setdefault(scenario.key, {
                    "title": scenario.title, "figure": scenario.figure, "peers": {}})
                for peer in peers:
                    if peer.speaks(scenario.front):
                        figures = self._figures(scenario, peer)
                        kept["peers"].setdefault(peer.name, []).append(figures)
                        print(f"# round {number} {scenario.key} {peer.name} {_brief(figures)}",
                              file=sys.stderr)

    def _figures(self, scenario, peer):
        """One peer, one scenario, once."""
        try:
            figures = self._measure(scenario, peer, scenario.routes)
            if scenario.base_routes:
                base = self._measure(scenario, peer, scenario.base_routes)
                figures["to_itself"] = figures["cpu_us"] / base["cpu_us"]
            return figures
        except (process.Failed, OSError) as why:
            print(f"# {peer.name} failed: {why}", file=sys.stderr)
            return {"failed": str(why)}

    def _measure(self, scenario, peer, routes):
        front = Front(scenario.front, self.args.port, self.origin.addresses(4),
                      self.origin.routes(routes), self.certificate)
        child = peer.start(self.work / f"{peer.key}-{scenario.key}-{routes}", front)
        try:
            target = Target(self.args.port, child, self.args.cpus[1], self.args.rate,
                            self.openloop, routes)
            time.sleep(0.3)
            if scenario.warm and self.args.warm:
                scenario.drive(target, self.args.warm)
            before = process.cpu_seconds(child.pid)
            figures = scenario.drive(target, self.args.seconds)
            return _with_cpu(figures, process.cpu_seconds(child.pid) - before, child)
        finally:
            process.stop(child)


def _with_cpu(figures, cpu, child):
    requests, seconds = figures["requests"], figures["seconds"]
    if not requests or not cpu:
        raise process.Failed("no request was answered")
    return {**figures, "rps": requests / seconds, "cpu_us": 1e6 * cpu / requests,
            "busy": 100 * cpu / seconds, "peak_mib": process.memory(child.pid, "VmHWM") / 2**20}


def _brief(figures):
    keys = ("rps", "cpu_us", "busy", "p50", "p99", "kib_conn", "to_itself", "errors")
    shown = " ".join(f"{key}={figures[key]:.1f}" for key in keys if figures.get(key) is not None)
    return shown or "failed"
