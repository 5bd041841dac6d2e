"""Tables of medians, with ratios to the cheapest peer."""
import statistics

OURS = "Pointsman"
COLUMNS = [  # key, heading, format
    ("rps", "req/s", "{:,.0f}"), ("cpu_us", "CPU us/req", "{:.1f}"),
    ("lowest", "lowest", "{:.1f}"), ("p50", "p50 us", "{:,.0f}"), ("p99", "p99 us", "{:,.0f}"),
    ("kib_conn", "KiB/conn", "{:.1f}"), ("to_itself", "to 1 route", "{:.2f}"),
    ("peak_mib", "peak MiB", "{:.0f}"), ("busy", "busy %", "{:.0f}"),
    ("errors", "errors", "{:.0f}"), ("ratio", "ratio", "{:.2f}"),
]


def tables(results):
    return "\n".join(_table(key, result) for key, result in results.items())


def failed(results):
    """Whether anything could not be measured, or not without errors."""
    rounds = [r for result in results.values() for rs in result["peers"].values() for r in rs]
    return any(r.get("failed") or r.get("errors") for r in rounds)


def cheapest(result):
    """The peer, not Pointsman, with the lowest median of the scenario's figure."""
    costs = {name: _median(rounds, result["figure"])
             for name, rounds in result["peers"].items() if name != OURS}
    costs = {name: cost for name, cost in costs.items() if cost is not None}
    return min(costs, key=costs.get) if costs else None


def ratio(result, name):
    """The median over the rounds of a peer's figure to the cheapest one's in the same round."""
    base, figure = cheapest(result), result["figure"]
    if base is None:
        return None
    pairs = zip(result["peers"][name], result["peers"][base])
    ratios = [ours[figure] / theirs[figure] for ours, theirs in pairs
              if ours.get(figure) and theirs.get(figure)]
    return statistics.median(ratios) if ratios else None


def _table(key, result):
    rows = {name: _row(result, name) for name in result["peers"]}
    used = [c for c in COLUMNS if any(row.get(c[0]) is not None for row in rows.values())]
    lines = [f"\n## {key}: {result['title']}\n",
             "| peer | " + " | ".join(heading for _, heading, _ in used) + " |",
             "|---|" + "---:|" * len(used)]
    for name, row in sorted(rows.items(), key=lambda item: item[1].get("ratio") or float("inf")):
        cells = [form.format(row[k]) if row.get(k) is not None else "-" for k, _, form in used]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    names = {k: heading for k, heading, _ in COLUMNS}
    base = cheapest(result)
    if base:
        lines.append(f"\nratio: {names[result['figure']]} to {base}'s in the same round")
    return "\n".join(lines)


def _row(result, name):
    rounds = result["peers"][name]
    row = {key: _median(rounds, key) for key, _, _ in COLUMNS if key not in ("lowest", "ratio")}
    costs = [figures["cpu_us"] for figures in rounds if figures.get("cpu_us")]
    if len(costs) > 1:
        row["lowest"] = min(costs)
    if any(figures.get("failed") for figures in rounds):
        row["errors"] = None
    row["ratio"] = ratio(result, name)
    return row


def _median(rounds, key):
    values = [figures[key] for figures in rounds if figures.get(key) is not None]
    return statistics.median(values) if values else None
