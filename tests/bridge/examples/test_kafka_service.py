"""The service over Kafka (docs/howto/service.md), end to end: Ctrl-C at any moment loses nothing, and all is closed."""

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import extensions
import pytest
from test_kafka import EXAMPLE, cluster, kafka, number, settings  # noqa: F401

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the control channel is a Unix socket")


@pytest.fixture(scope="module")
def service():
    spec = importlib.util.spec_from_file_location("service", EXAMPLE / "service.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def control():
    with tempfile.TemporaryDirectory() as folder:  # short: the path of a Unix socket has at most about 100 characters
        yield os.path.join(folder, "control")


def tell(control, command):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(command.encode(), control)


async def checked(coroutine):
    result = await asyncio.wait_for(coroutine, 60)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "all sources are closed before the service returns"
    return result


def test_an_interrupted_service_loses_no_message_and_the_next_goes_on(service, kafka, cluster, control):  # noqa: F811
    cluster.produce("numbers", 100)
    begun, handled = [], []

    def run(handle):
        return asyncio.run(
            checked(service.serve(kafka.consumer(settings(cluster), ["numbers"]), control, handle, 0.001))
        )

    async def interrupts_midway(message):
        begun.append(number(message))
        if len(begun) == 30:
            signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0.001)
        handled.append(number(message))

    async def stops_at_the_last(message):
        handled.append(number(message))
        if len(handled) == 100:
            tell(control, "stop")

    assert run(interrupts_midway) == 30
    assert handled == begun == list(range(30)), "the message that was being handled is handled"
    assert not os.path.exists(control)
    assert run(stops_at_the_last) == 70
    assert handled == list(range(100))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_waiting_service_is_interrupted_too(service, kafka, cluster, control):  # noqa: F811
    async def handle(message):
        raise AssertionError("there is none")

    async def main():
        asyncio.get_running_loop().call_later(0.3, signal.raise_signal, signal.SIGINT)
        serving = service.serve(kafka.consumer(settings(cluster), ["numbers"]), control, handle, every=60)
        return await checked(serving)

    assert asyncio.run(main()) == 0
    assert not os.path.exists(control)


def test_an_error_closes_the_other_sources(service, kafka, cluster, control):  # noqa: F811
    cluster.produce("numbers", 3)

    async def fails(message):
        raise ValueError(number(message))

    async def main():
        with pytest.raises(ValueError, match="0"):
            await service.serve(kafka.consumer(settings(cluster), ["numbers"]), control, fails)
        await checked(asyncio.sleep(0))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    asyncio.run(main())
    assert not os.path.exists(control)


def test_the_program(service, kafka, control):  # noqa: F811
    folder = str(extensions.build(EXAMPLE))
    command = [sys.executable, "-u", EXAMPLE / "service.py", folder, "--control", control]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    hanging = threading.Timer(60, program.kill)
    hanging.start()
    try:
        lines = iter(program.stdout.readline, "")
        seen = []

        def read_until(begin):
            for line in lines:
                seen.append(line)
                if line.startswith(begin):
                    return line
            raise AssertionError(f"no {begin!r}:\n{''.join(seen)}{program.stderr.read()}")

        read_until("handled offset 0")
        tell(control, "status")
        read_until("status: ")
        tell(control, "sing")
        assert read_until("no such command") == "no such command: sing\n"
        read_until("handled")
        program.send_signal(signal.SIGINT)
        last = read_until("closed after")
        assert program.wait() == 0
        assert list(lines) == [] and program.stderr.read() == ""
        offsets = [int(line.split()[-1]) for line in seen if line.startswith("handled offset")]
        assert offsets == list(range(len(offsets))) and last == f"closed after {len(offsets)} messages\n"
        assert any(line.endswith("messages so far\n") for line in seen)
    finally:
        hanging.cancel()
        program.kill()
        program.communicate()
