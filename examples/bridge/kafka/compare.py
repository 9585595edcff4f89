"""CPU per message: `async for` over agen_kafka.consumer against a thread-pool hop for each poll, in one process.

  compare.py FOLDER [--json FILE]      FOLDER holds the compiled module

The broker is librdkafka's mock, in this process: its CPU, and that of librdkafka's threads, is in every figure.
"""

import argparse
import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def settings(cluster, group):
    return {"bootstrap.servers": cluster.servers, "group.id": group, "auto.offset.reset": "earliest", "log_level": "2"}


MESSAGES = 40_000  # the mock broker keeps 5 MB of a partition


class Clock:
    """CPU and wall time from the first message to the last: joining the group is not in it."""

    def __init__(self, count):
        self.left = count
        self.count = count

    def message(self, message):
        if self.left == self.count:
            self.cpu, self.wall = time.process_time(), time.monotonic()
        assert message.value
        self.left -= 1
        if not self.left:
            self.cpu, self.wall = time.process_time() - self.cpu, time.monotonic() - self.wall
        return self.left == 0


async def iterate(kafka, cluster, clock, group):
    consumer = kafka.consumer(settings(cluster, group), ["messages"])
    async for message in consumer:
        if clock.message(message):
            break
    await consumer.aclose()


async def hop(kafka, cluster, clock, group):
    loop = asyncio.get_running_loop()
    consumer = kafka.PollingConsumer(settings(cluster, group), ["messages"])
    with ThreadPoolExecutor(1) as pool:
        while True:
            message = await loop.run_in_executor(pool, consumer.poll, 1.0)
            if message is not None and clock.message(message):
                break
        await loop.run_in_executor(pool, consumer.close)


def by_asyncio(function, *arguments):
    asyncio.run(function(*arguments))


def by_trio(function, *arguments):
    import trio

    trio.run(function, *arguments)


CASES = [
    ("async for, asyncio", iterate, by_asyncio, MESSAGES),
    ("async for, trio", iterate, by_trio, MESSAGES),
    ("run_in_executor(poll) for each message, asyncio", hop, by_asyncio, 10_000),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.folder)
    import agen_kafka as kafka

    cluster = kafka.MockCluster()
    cluster.create_topic("messages")
    cluster.produce("messages", MESSAGES, 50)
    rows = []
    print("| consumer | CPU per message | messages per second |\n|---|--:|--:|")
    for number, (name, function, run, count) in enumerate(CASES):
        clock = Clock(count)
        run(function, kafka, cluster, clock, f"group-{number}")
        rows.append(
            {"case": name, "cpu_us_per_message": clock.cpu / count * 1e6, "messages_per_second": count / clock.wall}
        )
        print("| {case} | {cpu_us_per_message:.2f} µs | {messages_per_second:.0f} |".format(**rows[-1]), flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
