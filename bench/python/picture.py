"""The README's picture of the measured instructions, as SVG for a light and for a dark page.

Drawn by hand, so that `make bench` needs no plotting library and the file in the repository changes only with the figures.
"""

from __future__ import annotations

THEMES = {
    "light": {"text": "#1f2328", "native": "#c8cdd3", "ours": "#0b6e63"},
    "dark": {"text": "#e6edf3", "native": "#4a525c", "ours": "#3fb5a3"},
}
ROWS = [
    ("items", "an item: async for over yield"),
    ("echo", "a value sent for each item"),
    ("short", "create, three items, end"),
    ("tree", "walk of a tree of 100,000 nodes"),
    ("from-10", "an item through ten delegations"),
]
LEFT, FULL, HEIGHT, TOP = 250, 380, 34, 44


def picture(results: dict, version: str, theme: str) -> str:
    """Two bars a row: native at its full length, this package in proportion.

    `results` is what bench.py leaves in results/instructions.json; `version` one of its interpreters.
    """
    colours = THEMES[theme]
    measured = results[version]
    ratios = [measured[name]["ours"] / measured[name]["native"] for name, _ in ROWS]
    told = "; ".join(f"{title}: {ratio:.2f}" for (_, title), ratio in zip(ROWS, ratios, strict=True))
    height = TOP + HEIGHT * len(ROWS) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 {height}" width="700" height="{height}" role="img"',
        f'     font-family="system-ui, sans-serif" font-size="14" fill="{colours["text"]}">',
        f"  <title>Instructions on CPython {version}, native = 1: {told}</title>",
        f'  <rect x="{LEFT}" y="10" width="12" height="12" fill="{colours["native"]}"/>',
        f'  <text x="{LEFT + 18}" y="21">native, CPython {version}</text>',
        f'  <rect x="{LEFT + 190}" y="10" width="12" height="12" fill="{colours["ours"]}"/>',
        f'  <text x="{LEFT + 208}" y="21">this package</text>',
    ]
    for at, ((_, title), ratio) in enumerate(zip(ROWS, ratios, strict=True)):
        y = TOP + HEIGHT * at
        lines += [
            f'  <text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{title}</text>',
            f'  <rect x="{LEFT}" y="{y}" width="{FULL}" height="10" fill="{colours["native"]}"/>',
            f'  <rect x="{LEFT}" y="{y + 10}" width="{FULL * ratio:.0f}" height="10" fill="{colours["ours"]}"/>',
            f'  <text x="{LEFT + FULL + 10}" y="{y + 15}">{ratio:.2f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
