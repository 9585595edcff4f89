"""opentelemetry-sdk: a span around a generator that another task closes, and that its consumer must not see."""

import asyncio
import logging

import pytest
from async_generator import instrument
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

tracer = TracerProvider().get_tracer("test")


async def spanned(count):
    with tracer.start_as_current_span("stream"):
        for number in range(count):
            yield number, trace.get_current_span().name


async def stream(count):
    for number in range(count):
        yield number, trace.get_current_span().name


traced = instrument(stream, around=lambda call: tracer.start_as_current_span(call.function.__name__))


async def close(generator):
    await generator.aclose()


async def use(function):
    generator = function(3)
    assert await generator.__anext__() == (0, "stream")
    outside = getattr(trace.get_current_span(), "name", None)
    await asyncio.create_task(close(generator))
    return outside


@pytest.mark.parametrize(
    ("function", "outside", "fails"), [(spanned, "stream", True), (traced, None, False)], ids=["native", "ours"]
)
def test_a_span_around_a_generator(function, outside, fails, caplog):
    with caplog.at_level(logging.ERROR):
        assert asyncio.run(use(function)) == outside
    assert ("Failed to detach context" in caplog.text) is fails
