"""CPU of the client per token: agen_grpc against grpc.aio, the same server, message objects on both sides.

  compare.py FOLDER [--json FILE]      FOLDER holds the compiled module and the server

Needs grpcio and protobuf beside the module; the versions of both sides are printed. The server is a separate process, so
its CPU is in no figure.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

COUNT = 20_000


def messages():
    """The classes of tokens.proto, made at run time: so no generated module requires a certain version."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="tokens.proto", package="tokens", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in {
        "Prompt": [("text", kinds.TYPE_STRING), ("count", kinds.TYPE_INT64), ("microseconds", kinds.TYPE_INT64)],
        "Token": [("index", kinds.TYPE_INT64), ("text", kinds.TYPE_STRING)],
    }.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            message.field.add(name=field, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    make = getattr(message_factory, "GetMessageClass", None) or message_factory.MessageFactory(pool).GetPrototype
    return [make(pool.FindMessageTypeByName(f"tokens.{name}")) for name in ("Prompt", "Token")]


async def by_aio(address):
    import grpc.aio

    prompt, token = messages()
    async with grpc.aio.insecure_channel(address) as channel:
        generate = channel.unary_stream(
            "/tokens.Model/Generate",
            request_serializer=prompt.SerializeToString,
            response_deserializer=token.FromString,
        )
        return await consume(generate(prompt(text="hello", count=COUNT)))


async def by_agen(address):
    import agen_grpc

    return await consume(agen_grpc.Model(address).generate("hello", COUNT))


async def consume(stream):
    count = 0
    async for token in stream:
        assert token.index == count and token.text
        if not count:  # connecting is not in the figures
            cpu, wall = time.process_time(), time.monotonic()
        count += 1
    assert count == COUNT
    return (time.process_time() - cpu) / count * 1e6, count / (time.monotonic() - wall)


def by_trio(address):
    import trio

    return trio.run(by_agen, address)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.folder)
    import google.protobuf
    import grpc

    core = subprocess.run(["pkg-config", "--modversion", "grpc++"], capture_output=True, text=True).stdout.strip()
    print(f"gRPC C++ {core}; grpcio {grpc.__version__}, protobuf {google.protobuf.__version__}\n")
    server = subprocess.Popen([Path(arguments.folder, "server")], stdout=subprocess.PIPE, text=True)
    try:
        address = f"127.0.0.1:{server.stdout.readline().strip()}"
        cases = [
            ("agen, asyncio", lambda: asyncio.run(by_agen(address))),
            ("agen, trio", lambda: by_trio(address)),
            ("grpc.aio", lambda: asyncio.run(by_aio(address))),
        ]
        rows = []
        print("| client | CPU per token | tokens per second |\n|---|--:|--:|")
        for name, run in cases:
            cpu, speed = min(run() for _ in range(3))
            rows.append({"case": name, "cpu_us_per_message": cpu, "messages_per_second": speed})
            print(f"| {name} | {cpu:.1f} µs | {speed:.0f} |", flush=True)
    finally:
        server.kill()
        server.wait()
    if arguments.json:
        versions = {"grpc++": core, "grpcio": grpc.__version__, "protobuf": google.protobuf.__version__}
        Path(arguments.json).write_text(json.dumps({"versions": versions, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
