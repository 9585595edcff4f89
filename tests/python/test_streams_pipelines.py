"""Streams: random pipelines against a slow and obvious reference in plain Python, on each event loop."""

import pytest
from async_generator import aclosing, bridge, streams
from hypothesis import given, settings
from hypothesis import strategies as st
from streams_running import LOOPS, run_on


async def source(items):
    """Items, and turns of the loop where an item is None."""
    for item in items:
        if item is None:
            await bridge.checkpoint()
        else:
            yield item


class Stage:
    """A stage of a pipeline: on streams, and on lists."""

    def __init__(self, name, stream, plain):
        self.name, self.stream, self.plain = name, stream, plain

    def __repr__(self):
        return self.name


def by_two(items):
    return [items[i : i + 2] for i in range(0, len(items), 2)]


def totals(items):
    return [sum(map(size, items[: i + 1])) for i in range(len(items))]


def size(item):
    return item if isinstance(item, int) else len(item)


STAGES = [
    Stage("prefetch(1)", lambda x: streams.prefetch(x, 1), list),
    Stage("prefetch(3)", lambda x: streams.prefetch(x, 3), list),
    Stage("chunks(2)", lambda x: streams.chunks(x, 2), by_two),
    Stage("chunks(2, within=60)", lambda x: streams.chunks(x, 2, within=60), by_two),
    Stage("timeout(60)", lambda x: streams.timeout(x, 60), list),
    Stage("broadcast", lambda x: streams.broadcast(x, 2).reader(), list),
    Stage("merge", lambda x: streams.merge(x), list),
    Stage("race", lambda x: streams.race(x), list),
    Stage("zip", lambda x: streams.zip(x), lambda items: [(item,) for item in items]),
    Stage("zip_latest", lambda x: streams.zip_latest(x), lambda items: [(item,) for item in items]),
    Stage("flat_map", lambda x: streams.flat_map(x, lambda item: [item] * 2), lambda x: [y for y in x for _ in "12"]),
    Stage("flat_map of streams", lambda x: streams.flat_map(x, lambda y: source([None, y])), list),
    Stage("scan", lambda x: streams.scan(x, lambda total, item: total + size(item), 0), lambda x: [0, *totals(x)]),
    Stage("from_thread", lambda x: streams.flat_map(streams.chunks(x, 100), lambda y: streams.from_thread(y, 3)), list),
]
ITEMS = st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=12)
PIPELINE = st.lists(st.sampled_from(STAGES), max_size=4)


def expected(items, stages):
    plain = [item for item in items if item is not None]
    for stage in stages:
        plain = stage.plain(plain)
    return plain


def build(items, stages):
    stream = source(items)
    for stage in stages:
        stream = stage.stream(stream)
    return stream


@pytest.mark.parametrize("loop", LOOPS)
@settings(max_examples=60, deadline=None)
@given(items=ITEMS, stages=PIPELINE)
def test_a_pipeline_yields_what_its_reference_does(loop, items, stages):
    assert run_on(loop, streams.collect, build(items, stages)) == expected(items, stages)


@pytest.mark.parametrize("loop", LOOPS)
@settings(max_examples=60, deadline=None)
@given(items=ITEMS, stages=PIPELINE, taken=st.integers(0, 5))
def test_a_pipeline_that_is_closed_has_yielded_a_beginning_of_it(loop, items, stages, taken):
    async def main():
        got = []
        async with aclosing(build(items, stages)) as stream:
            while len(got) < taken:
                try:
                    got.append(await stream.__anext__())
                except StopAsyncIteration:
                    break
        return got

    assert run_on(loop, main) == expected(items, stages)[:taken]


@pytest.mark.parametrize("loop", LOOPS)
@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.tuples(ITEMS, PIPELINE), min_size=1, max_size=4))
def test_a_merge_keeps_the_order_of_each_source(loop, parts):
    def numbered(place):
        return lambda total, item: (place, total[1] + 1, item)

    merged = streams.merge(
        *[streams.scan(build(*part), numbered(place), (place, 0, None)) for place, part in enumerate(parts)]
    )
    got = run_on(loop, streams.collect, merged)
    for place, part in enumerate(parts):
        assert [item for where, _, item in got if where == place] == [None, *expected(*part)]
    assert len(got) == sum(len(expected(*part)) + 1 for part in parts)


@pytest.mark.parametrize("loop", LOOPS)
@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.tuples(ITEMS, PIPELINE), min_size=1, max_size=3), strict=st.booleans())
def test_zip_is_the_builtin_zip(loop, parts, strict):
    plain = [expected(*part) for part in parts]
    zipped = streams.zip(*[build(*part) for part in parts], strict=strict)
    if strict and len({*map(len, plain)}) > 1:
        with pytest.raises(ValueError, match="is shorter than"):
            run_on(loop, streams.collect, zipped)
    else:
        shortest = min(map(len, plain))
        assert run_on(loop, streams.collect, zipped) == [*zip(*[items[:shortest] for items in plain])]
