"""`python -m tests.bench.readers PORT COUNT`: so many browsers' streams, read and thrown away, until stdin ends."""

import asyncio
import sys


async def _read(port: int, opened: asyncio.Semaphore) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\nAccept-Language: zh\r\n\r\n")
    await reader.readuntil(b"event: banner")
    opened.release()
    while await reader.read(65536):
        pass


async def main(port: int, count: int) -> None:
    """Says `open` once all of them are."""
    opened = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(_read(port, opened)) for _ in range(count)]
    for _ in tasks:
        await opened.acquire()
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
