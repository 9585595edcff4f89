"""The example over Kafka, end to end, against the broker that librdkafka has for tests."""

import asyncio
import gc
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import extensions
import pytest
from async_generator import aclosing
from loops import Loop, Trio, three_loops

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "bridge" / "kafka"


@pytest.fixture(scope="module")
def kafka():
    pytest.importorskip("nanobind")
    if not shutil.which("pkg-config") or subprocess.run(["pkg-config", "--exists", "rdkafka"], check=False).returncode:
        pytest.skip("no librdkafka here (Debian: librdkafka-dev, pkg-config)")
    return extensions.load(EXAMPLE, "agen_kafka")


@pytest.fixture
def cluster(kafka):
    made = kafka.MockCluster()
    made.create_topic("numbers")
    return made


def settings(cluster, **more):
    return {
        "bootstrap.servers": cluster.servers,
        "group.id": "tests",
        "auto.offset.reset": "earliest",
        "log_level": "2",
        "session.timeout.ms": "6000",
        **more,
    }


def number(message):
    return int(message.value.rstrip(b"."))


# The mock broker lets a second member in when the first one's session has timed out.
@pytest.mark.parametrize("kind", [Loop, Trio], ids=lambda kind: kind.name)
def test_messages_come_in_order_and_a_second_consumer_goes_on_where_the_first_left(loop, kafka, cluster):
    cluster.produce("numbers", 1000)

    async def some(n):
        got = []
        async with aclosing(kafka.consumer(settings(cluster), ["numbers"])) as consumer:
            async for message in consumer:
                got.append(message)
                if len(got) == n:
                    break
        return got

    first = loop.run(some, 300)
    assert [number(message) for message in first] == list(range(300))
    assert {(m.topic, m.partition, m.key) for m in first} == {("numbers", 0, None)}
    assert [m.offset for m in first] == list(range(300))
    second = loop.run(some, 700)
    assert [number(message) for message in second] == list(range(300, 1000)), "an early exit loses no message"


@three_loops
def test_cancelling_a_wait_leaves_the_group_and_the_loop_stays_free_meanwhile(loop, kafka, cluster):
    async def main():
        consumer = kafka.consumer(settings(cluster), ["numbers"])

        async def consumes():
            async for _ in consumer:
                raise AssertionError("there is nothing in the topic")

        assert await loop.cancel_after(0.2, consumes)
        with pytest.raises(StopAsyncIteration):
            await consumer.__anext__()

    loop.run(main)


@three_loops
def test_the_death_of_the_broker_is_an_exception(loop, kafka, cluster):
    cluster.produce("numbers", 10)

    async def main():
        got = 0
        with pytest.raises(kafka.KafkaError, match="brokers are down"):
            async for _ in kafka.consumer(settings(cluster), ["numbers"]):
                got += 1
                if got == 10:
                    cluster.die()
        return got

    assert loop.run(main) == 10


def test_a_dropped_consumer_ends_and_its_messages_stay_good(kafka, cluster):
    cluster.produce("numbers", 10)

    async def main():
        async for message in kafka.consumer(settings(cluster), ["numbers"]):
            gc.collect()
            return message

    message = asyncio.run(main())
    assert number(message) == 0


def test_wrong_settings_are_an_error_at_the_first_message(kafka):
    async def main():
        async for _ in kafka.consumer({"no.such.setting": "1"}, ["numbers"]):
            pass

    with pytest.raises(kafka.KafkaError, match="no.such.setting"):
        asyncio.run(main())


def test_the_comparison_runs(kafka, tmp_path):
    importlib.import_module("trio")
    report = tmp_path / "kafka.json"
    folder = str(extensions.build(EXAMPLE))
    subprocess.run(
        [sys.executable, EXAMPLE / "compare.py", folder, "--json", report],
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    iterating, _, hopping = [row["cpu_us_per_message"] for row in json.loads(report.read_text())]
    assert iterating < hopping / 5
