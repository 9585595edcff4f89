"""The table of what tools/bench-cpp measured in whole programs, in Markdown, for tools/figures."""

OVER_ASIO = "agen over Asio: "
# (figure in results.json, what the page calls it)
ROWS = [
    ("agen: plain", "an item"),
    ("agen: await that is ready, item", "a ready await, then an item"),
    ("agen: await that suspends, item", "an await that suspends, then an item"),
    ("agen: generator in a generator", "a generator that iterates another one, an item"),
    ("agen: create, three items, end", "create, three items, end"),
    ("agen: create, three items, end, recycling_allocator", "the same, with `recycling_allocator`"),
    ("agen: one item, drop", "create, one item, drop"),
    ("agen: one item, drop, recycling_allocator", "the same, with `recycling_allocator`"),
    ("agen: aclose before the first item", "create, `aclose()` before the first item"),
    ("agen: one item, aclose", "create, one item, `aclose()`"),
    ("agen: one item through yield_from, aclose", "the same through one `yield_from`"),
    ("agen: one item, aclose, destroyed_on_close", "create, one item, `aclose()`, with `destroyed_on_close`"),
    (
        "agen: one item through yield_from, aclose, destroyed_on_close",
        "the same through one `yield_from`, with `destroyed_on_close`",
    ),
    ("agen: exception out of the body", "create, one item, an exception out of the body"),
    ("frame overhead, bytes: <int>", "bytes of a frame of `async_generator<int>` without the body's own data"),
    (OVER_ASIO + "post in a body, item", "over Asio: `asio::post` in the body, an item"),
    (OVER_ASIO + "async_anext in an awaitable", "over Asio: `async_anext` in an `asio::awaitable`"),
    ("agen: merge of 10, item", "`merge` of 10, an item"),
    ("agen: prefetch of 64, item", "`prefetch` of 64, an item"),
    ("agen: broadcast to one reader, item", "`broadcast` to one reader, an item"),
]


def table(measured: dict) -> str:
    """Figures down, compilers across."""
    families = measured["figures"]
    lines = [measured["machine"] + "; " + "; ".join(measured["compilers"].values()) + ":", ""]
    lines += ["| | " + " | ".join(families) + " |", "|---|" + "--:|" * len(families)]
    for name, title in ROWS:
        cells = []
        for figures in families.values():
            one = figures.get(name, {})
            count = one.get("instructions", one.get("value"))
            cells.append("" if count is None else f"{count:,.0f}")
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
