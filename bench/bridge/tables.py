"""The tables of what bench.py, handoff.py and results.py measured, in Markdown: for their output and for tools/figures."""


def instructions(results):
    """{interpreter: {case: {contender: instructions}}} as cases down, interpreters across: C++ against native."""
    cases = list(next(iter(results.values())))
    lines = ["| C++ against native | " + " | ".join(results) + " |", "|---|" + "--:|" * len(results)]
    for case in cases:
        ratios = (measured[case]["C++"] / measured[case]["native"] for measured in results.values())
        lines.append(f"| {case} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    return "\n".join(lines)


def handoff(rows, baseline):
    base = next(row for row in rows if row["case"] == baseline)
    lines = [
        "| hand-off | CPU per item | of the first | latency, 1 ms apart | of the first |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        cpu, latency = row["cpu_ns_per_item"], row["latency_us"]
        lines.append(
            f"| {row['case']} | {cpu / 1000:.2f} µs | {cpu / base['cpu_ns_per_item']:.3f} "
            f"| {latency:.0f} µs | {latency / base['latency_us']:.2f} |"
        )
    return "\n".join(lines)


def fairness(rows):
    lines = ["| slice | 1 ms ticker late by, median | 99 of 100 | worst |", "|---|--:|--:|--:|"]
    for row in rows:
        figures = (f"{row[f'late_us_{which}'] / 1000:.1f} ms" for which in ("median", "99", "worst"))
        lines.append(f"| {row['slice']} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def one_result(rows):
    lines = [
        "| loop | results at a time | future | `call_soon_threadsafe(future.set_result)` | future against it |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        future, call = row["future_ns"] / 1000, row["call_soon_threadsafe_ns"] / 1000
        lines.append(f"| {row['loop']} | {row['at_once']} | {future:.1f} µs | {call:.1f} µs | {future / call:.2f} |")
    return "\n".join(lines)
