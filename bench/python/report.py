"""Turns measured figures into tables. Measures nothing, and knows no figure but the bounds in cases.py."""

from cases import CASES, DEPTH_COST, MEMORY

UNITS = {"time": "ns/item", "instructions": "instructions/item"}


def rows(tag, measured):
    """(title, unit figures by contender, ratio, must, aim) for one interpreter, in the order of the cases."""
    version = tuple(int(part) for part in tag.rstrip("t").split("."))
    for case in CASES:
        if case.name in measured:
            figures = measured[case.name]
            must = case.must if version >= case.since else None
            yield case.title, figures, ratio(figures), must, case.aim
    deep, shallow, must, aim = DEPTH_COST
    if "ours" in measured.get(deep, {}) and "ours" in measured.get(shallow, {}):
        yield "  depth 100 against depth 1", {}, measured[deep]["ours"] / measured[shallow]["ours"], must, aim
    name, title, must, aim = MEMORY
    for key, what in ((name, title), (name + "-native", title + ", native syntax")):
        if key in measured:
            yield what + " (bytes)", measured[key], ratio(measured[key]), must, aim


def ratio(figures):
    """Ours against native, or None when one of them was not measured."""
    return figures["ours"] / figures["native"] if "ours" in figures and "native" in figures else None


def verdict(value, must, aim):
    """How a ratio compares with its bounds: "MISSED" over must, "aim" where the aim is reached too."""
    if value is None or must is None:
        return ""
    if value > must:
        return "MISSED"
    return "aim" if aim is not None and value <= aim else "ok"


def number(value, form=".0f"):
    return "" if value is None else format(value, form)


def table(what, tag, measured):
    """The plain-text table of one interpreter."""
    head = ("", "native", "ours", "1.10", "ours/native", "1.10/ours", "must", "aim", "")
    lines = [head]
    for title, figures, value, must, aim in rows(tag, measured):
        slower = figures["1.10"] / figures["ours"] if "1.10" in figures and "ours" in figures else None
        lines.append(
            (
                title,
                *(number(figures.get(name)) for name in ("native", "ours", "1.10")),
                number(value, ".3f"),
                number(slower, ".1f"),
                number(must, ".2f"),
                number(aim, ".2f"),
                verdict(value, must, aim),
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    body = [
        "  ".join(
            cell.ljust(w) if i in (0, 8) else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return f"\nCPython {tag}, {UNITS[what]}\n" + "\n".join(line.rstrip() for line in body)
