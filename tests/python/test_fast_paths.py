"""The optional fast paths are on where the interpreter allows them: each has a slower one behind it that nobody would miss."""

import sys

import pytest
from async_generator import _engine, _rewriting, async_generator, yield_


@async_generator
async def numbers():
    await yield_(1)


@pytest.mark.skipif(not (3, 10) <= sys.version_info[:2] <= (3, 15), reason="the bytecode of this version is not known")
def test_awaits_of_yield_are_rewritten_to_real_yields():
    numbers()  # the sample runs at the first call
    assert _rewriting.disabled is None


def test_items_are_boxed_without_the_help_of_a_generator():
    assert _engine.fast_paths()["direct boxes"]
