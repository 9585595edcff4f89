"""The words of an answer through a topic of Kafka, which a generator reads. Prints what docs/howto/cluster.md says."""

# [topic]
import asyncio

import answers
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from async_generator import async_generator


async def write(address, question):
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        async with answers.answer(question) as words:
            async for word in words:
                await producer.send_and_wait("words", word.encode(), partition=0)


@async_generator(isolated=True)
async def messages(address, topic):
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        async for message in consumer:
            yield message.value.decode()


# [/topic]


# [reader]
async def main(address):
    await write(address, "to be or not")
    async with messages(address, "words") as stream:
        while (word := await stream.anext(timeout=1, default=None)) is not None:
            print(word)
        print("nothing for a second: the stream is still open")
        await write(address, "that is the question")
        print(await anext(stream))


# [/reader]


if __name__ == "__main__":
    from confluent_kafka import Producer

    # A broker for tests, which librdkafka brings: no Kafka is needed.
    broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 0})
    asyncio.run(main(next(f"{one.host}:{one.port}" for one in broker.list_topics(timeout=10).brokers.values())))
