"""A service over Kafka: its messages, a timer and a control channel in one loop, until Ctrl-C. docs/howto/service.md explains it.

  service.py FOLDER [--control SOCKET]      FOLDER holds the compiled module

The broker is librdkafka's mock, in this process, which gets ten messages a second.
"""

# [imports]
import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass

from async_generator import aclosing, streams

# [/imports]


# [timer]
@dataclass
class Tick:
    late: float


async def ticks(seconds):
    clock = asyncio.get_running_loop().time
    due = clock() + seconds
    while True:
        await asyncio.sleep(due - clock())
        yield Tick(clock() - due)
        due = max(due + seconds, clock())  # who was late gets one tick, not all that were due


# [/timer]


# [control]
async def commands(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
        control.setblocking(False)
        control.bind(path)
        try:
            while True:
                yield (await asyncio.get_running_loop().sock_recv(control, 1024)).decode().strip()
        finally:
            os.unlink(path)


# [/control]


# [service]
async def serve(messages, control, handle, every=1.0):
    loop, interrupted, handled = asyncio.get_running_loop(), asyncio.Event(), 0

    def interrupt():
        interrupted.set()
        loop.remove_signal_handler(signal.SIGINT)  # the next one is a KeyboardInterrupt

    loop.add_signal_handler(signal.SIGINT, interrupt)
    everything = streams.merge(messages, ticks(every), commands(control))
    try:
        async with aclosing(streams.take_until(everything, interrupted.wait())) as items:
            async for item in items:
                match item:
                    case Tick():
                        print(f"{handled} messages so far")
                    case "status":
                        print(f"status: {handled} messages")
                    case "stop":
                        break
                    case str():
                        print(f"no such command: {item}")
                    case message:
                        await handle(message)
                        handled += 1
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    print(f"closed after {handled} messages")
    return handled


# [/service]


# [main]
async def main(kafka, servers, control):
    settings = {"bootstrap.servers": servers, "group.id": "service", "auto.offset.reset": "earliest"}

    async def handle(message):
        await asyncio.sleep(0.05)  # writes it to a database, say
        print(f"handled offset {message.offset}")

    await serve(kafka.consumer(settings, ["orders"]), control, handle)


# [/main]


@contextlib.contextmanager
def orders(cluster):
    """A thread that produces messages for a while."""
    over = threading.Event()

    def produce():
        while not over.wait(0.1):
            cluster.produce("orders", 1)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--control", metavar="SOCKET", default="/tmp/service")
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.folder)
    import agen_kafka

    cluster = agen_kafka.MockCluster()
    cluster.create_topic("orders")
    with orders(cluster):
        asyncio.run(main(agen_kafka, cluster.servers, arguments.control))
