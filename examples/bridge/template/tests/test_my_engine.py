import asyncio

import my_engine
import pytest
from async_generator import aclosing


def test_values_come_until_the_engine_fails():
    async def main():
        values = []
        with pytest.raises(RuntimeError, match="too hot"):
            async for value in my_engine.readings():
                values.append(value)
        return values

    assert asyncio.run(main()) == [2.0**n for n in range(1, 11)]


def test_a_consumer_may_leave_early():
    async def main():
        async with aclosing(my_engine.readings(ahead=1)) as values:
            async for value in values:
                if value > 10:
                    return value

    assert asyncio.run(main()) == 16.0


def test_a_capacity_of_nothing_is_refused():
    with pytest.raises(ValueError):
        my_engine.readings(ahead=0)
