"""The words of an answer as the stream of a gRPC call. Prints what docs/howto/cluster.md says."""

# [server]
import asyncio

import answers
import grpc


async def answer(request, context):
    async with answers.answer(request.decode()) as words:
        async for word in words:
            yield word.encode()


async def serve():
    server = grpc.aio.server()
    method = grpc.unary_stream_rpc_method_handler(answer)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Model", {"answer": method})])
    port = server.add_insecure_port("localhost:0")
    await server.start()
    return server, port


# [/server]


# [client]
async def main():
    server, port = await serve()
    async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
        method = channel.unary_stream("/Model/answer")
        print([word.decode() async for word in method(b"to be or not")])

        call = method(b"to be " * 1000)
        print((await call.read()).decode())
        call.cancel()
        while answers.closed < 2:
            await asyncio.sleep(0.01)
        print("both are closed")
    await server.stop(None)


# [/client]


if __name__ == "__main__":
    asyncio.run(main())
