"""A TCP proxy that cuts connections in the middle of whatever they carry."""

import asyncio
import random
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 4096


class CuttingProxy:
    """Listens on a loopback port and passes on to `target`; used in a `with` block, where it runs in a thread.

    Each connection is reset after a random number of bytes, `longest` at most, in either direction, wherever in a
    packet that is, until `heal` is called.
    """

    def __init__(self, target: int, longest: int, seed: int) -> None:
        self._target = target
        self._longest = longest
        self._random = random.Random(seed)  # noqa: S311  a run must be repeatable
        self._healed = False
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._stop = asyncio.Event()
        self.port = 0
        self.cuts = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def heal(self) -> None:
        """Cut nothing any more."""
        self._healed = True

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        left = [self._random.randrange(1, self._longest)]

        def spend(wanted: int) -> int:
            if self._healed:
                return wanted
            granted = min(wanted, left[0])
            left[0] -= granted
            return granted

        ways = [
            asyncio.create_task(self._copy(reader, far_writer, spend)),
            asyncio.create_task(self._copy(far_reader, writer, spend)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.transport.abort()
            far_writer.transport.abort()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spend: Callable[[int], int]
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                granted = spend(len(data))
                writer.write(data[:granted])
                await writer.drain()
                if granted < len(data):
                    self.cuts += 1
                    return
        except OSError:
            return
