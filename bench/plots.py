"""Draws the measured figures as SVG files: plots.py FOLDER. Measures nothing.

The figures come from where the benchmarks leave them: bench/python/results/{instructions,time}.json, bench/cpp/results.json,
bench/bridge/results.json. Each plot gets a .txt with its caption: what was measured, the machine, the command. A plot
without figures is not drawn.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, NullLocator  # noqa: E402

BENCH = Path(__file__).resolve().parent
PYTHON = BENCH / "python" / "results"
OURS, NATIVE, PEER, LIMIT = "#0b6e63", "#c05a1c", "#7a5aa6", "#8a8f98"
ROWS = [
    ("items", "async for\nawait yield_(x)"),
    ("items-native", "async for\nyield x"),
    ("echo", "asend"),
    ("await", "await, yield"),
    ("short", "create, 3 items,\nend"),
]

plt.rcParams.update({
    "font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.grid": True, "grid.color": "#e4e6ea", "svg.hashsalt": "agen", "figure.constrained_layout.use": True,
})  # fmt: skip


def load(file):
    return json.loads(file.read_text()) if file.exists() else None


def save(folder, name, figure, data, caption):
    figure.savefig(folder / f"{name}.svg", facecolor="white", metadata={"Date": None})
    plt.close(figure)
    machine, command = data.get("machine", "machine not recorded"), data.get("command", "")
    (folder / f"{name}.txt").write_text(f"{caption} {machine}. `{command}`\n")


def number(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def python_items(folder, data):
    """Ours against native, a group of bars for each case, a bar for each interpreter."""
    results = data["results"]
    figure, axes = plt.subplots(figsize=(8, 4.2))
    width = 0.8 / len(results)
    colours = plt.get_cmap("viridis")
    for at, (version, measured) in enumerate(results.items()):
        heights = [measured[case]["ours"] / measured[case]["native"] for case, _ in ROWS]
        places = [row + (at - (len(results) - 1) / 2) * width for row in range(len(ROWS))]
        bars = axes.bar(
            places, heights, width * 0.92, label=version, color=colours(0.15 + 0.7 * at / max(len(results) - 1, 1))
        )
        many = len(results) > 3
        axes.bar_label(
            bars,
            [f"{height:.2f}" for height in heights],
            fontsize=8 if many else 9,
            padding=2,
            rotation=90 if many else 0,
        )
    axes.axhline(1, color=NATIVE, linewidth=1.5)
    axes.text(-0.55, 1.01, "native", color=NATIVE, ha="left", va="bottom")
    axes.set_xticks(range(len(ROWS)), [title for _, title in ROWS])
    axes.set_ylabel("instructions per item, native = 1")
    axes.set_ylim(0, 1.3)
    axes.grid(axis="x", visible=False)
    figure.legend(title="CPython", ncols=len(results), loc="outside upper center", frameon=False, fontsize=9)
    save(
        folder,
        "python-items",
        figure,
        data,
        "Instructions per item of this package against native generators, by interpreter.",
    )


def python_peer(folder, data):
    """How many times the instructions 1.10 takes."""
    results = {version: m for version, m in data["results"].items() if all("1.10" in m[case] for case, _ in ROWS[:1])}
    if not results:
        return
    figure, axes = plt.subplots(figsize=(8, 0.7 + 0.55 * len(results)))
    ratios = [measured["items"]["1.10"] / measured["items"]["ours"] for measured in results.values()]
    bars = axes.barh([f"CPython {version}" for version in results], ratios, color=PEER)
    axes.bar_label(bars, [f"{ratio:.0f} times" for ratio in ratios], padding=3)
    axes.set_xlabel("instructions per item of 1.10, this package = 1")
    axes.set_xlim(0, max(ratios) * 1.15)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    save(
        folder,
        "python-peer",
        figure,
        data,
        "`async for` over `await yield_(x)`: async_generator 1.10 against this package.",
    )


def python_depth(folder, data):
    """Cost of an item by depth of delegation, on the newest interpreter measured."""
    version, measured = list(data["results"].items())[-1]
    depths = [depth for depth in (1, 10, 100) if f"from-{depth}" in measured]
    figure, axes = plt.subplots(figsize=(8, 4.2))
    names = {
        "1.10": ("async_generator 1.10", PEER),
        "native": ("native, nested loops", NATIVE),
        "ours": ("this package", OURS),
    }
    for contender, (label, colour) in names.items():
        line(axes, depths, [measured[f"from-{depth}"].get(contender) for depth in depths], label, colour)
    logarithmic(axes, depths, "instructions per item")
    save(
        folder,
        "python-depth",
        figure,
        data,
        f"Instructions per item by depth of delegation, CPython {version}; both axes are logarithmic.",
    )


def line(axes, xs, ys, label, colour):
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None]
    if points:
        axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=label, linewidth=2)
        for x, y in points:
            axes.annotate(
                number(y), (x, y), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=9, color=colour
            )


def logarithmic(axes, xs, unit):
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(xs, [str(x) for x in xs])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.margins(x=0.08, y=0.14)
    axes.set_xlabel("generators that delegate")
    axes.set_ylabel(unit)
    axes.legend(loc="upper left")


def cpp_peers(folder, data):
    """Instructions per item beside a hand-written loop, an opaque call and Asio's coroutines."""
    names = [
        ("limit: loop by hand", "loop by hand"),
        ("limit: indirect call", "indirect call"),
        ("agen: plain", "agen"),
        ("agen: asend, depth 0", "agen, asend"),
        ("Asio coro, concrete executor", "Asio coro,\nconcrete executor"),
        ("Asio coro, any executor", "Asio coro,\nits default executor"),
    ]
    figures = data["figures"]
    names = [(name, title) for name, title in names if all(name in measured for measured in figures.values())]
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.62 * len(names)))
    height = 0.8 / len(figures)
    for at, (compiler, measured) in enumerate(figures.items()):
        places = [row + (at - (len(figures) - 1) / 2) * height for row in range(len(names))]
        values = [measured[name]["instructions"] for name, _ in names]
        bars = axes.barh(places, values, height * 0.92, label=compiler, color=(OURS, NATIVE, PEER)[at % 3])
        axes.bar_label(bars, [number(value) for value in values], padding=3, fontsize=9)
    axes.set_yticks(range(len(names)), [title for _, title in names])
    axes.invert_yaxis()
    axes.set_xlabel("instructions per item")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper right")
    compilers = "; ".join(data["compilers"].values())
    save(folder, "cpp-peers", figure, data, f"Instructions per item in C++, -O3. {compilers}.")


def cpp_depth(folder, data):
    figure, axes = plt.subplots(figsize=(8, 4.2))
    styles = {
        "agen: yield_from": ("yield_from", OURS),
        "loop that yields again": ("a loop that yields again at each level", NATIVE),
    }
    compiler, measured = next(iter(data["figures"].items()))
    depths = [1, 10, 100, 1000]
    for name, (label, colour) in styles.items():
        line(
            axes,
            depths,
            [measured.get(f"{name}, depth {depth}", {}).get("instructions") for depth in depths],
            label,
            colour,
        )
    logarithmic(axes, depths, "instructions per item")
    save(
        folder,
        "cpp-depth",
        figure,
        data,
        f"Instructions per item by depth of delegation, {data['compilers'][compiler]}; both axes are logarithmic.",
    )


def handoff(folder, data):
    """CPU and latency of getting an item from a C++ thread to the event loop."""
    rows = data["rows"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 0.9 + 0.45 * len(rows)), sharey=True)
    names = [
        row["case"].replace(", C++ thread", ",\nC++ thread").replace(", Python thread", ",\nPython thread")
        for row in rows
    ]
    colours = [OURS if row["case"].startswith("channel") else NATIVE for row in rows]
    for axes, key, scale, title in (
        (left, "cpu_ns_per_item", 1000, "CPU per item, µs (logarithmic)"),
        (right, "latency_us", 1, "latency, items 1 ms apart, µs"),
    ):
        values = [row[key] / scale for row in rows]
        bars = axes.barh(names, values, color=colours)
        axes.bar_label(
            bars, [f"{value:,.0f}" if value >= 10 else f"{value:.2f}" for value in values], padding=3, fontsize=9
        )
        axes.set_xlabel(title)
        axes.margins(x=0.2)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", labelsize=9)
    left.set_xscale("log")
    left.set_xlim(right=max(row["cpu_ns_per_item"] for row in rows) / 1000 * 4)
    left.invert_yaxis()
    save(
        folder,
        "handoff",
        figure,
        data,
        f"An item from a C++ thread to Python's event loop, CPython {data['python']}, capacity {data['capacity']}.",
    )


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    plots = [
        (PYTHON / "instructions.json", [python_items, python_peer, python_depth]),
        (BENCH / "cpp" / "results.json", [cpp_peers, cpp_depth]),
        (BENCH / "bridge" / "results.json", [handoff]),
    ]
    for file, functions in plots:
        data = load(file)
        for draw in functions if data else ():
            draw(folder, data)


if __name__ == "__main__":
    main()
