"""One lane to the store's process: a socket, and memory that both sides have.

Owns the slots of that memory, who waits for some, and what is under way. An errand is given slots,
told of, and settled by its answer, after which its slots are free; if there are not enough of them
it waits its turn, in the order of asking. Never looks into what it passes on.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import msgspec

from edge.errors import EdgeError
from edge.store.messages import LONGEST, MEMORY, SLOT

__all__ = ["GONE", "Errand", "Lane"]

GONE: Final = "the store's process has ended"

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Errand(Protocol[T_co]):
    """What is asked. Once it was told of, no more than its ``settle`` is kept."""

    @property
    def number(self) -> int:
        """By which the answer is known; of errands with the same one, only one is under way."""
        ...

    @property
    def slots(self) -> int:
        """So many of them does it take."""
        ...

    def tell(self, memory: memoryview, slots: Sequence[int]) -> object:
        """The message; what goes with it is put into the slots.

        Args:
            memory: Of the lane.
            slots: Offsets in it.

        Raises:
            ValueError: It can't be told of.
        """
        ...

    def settle(self, memory: memoryview, slots: Sequence[int], answer: Any) -> T_co:
        """What the answer comes to.

        Raises:
            Exception: It failed.
        """
        ...


@dataclass(slots=True)
class _UnderWay:
    """An errand that is not settled yet."""

    settle: Callable[[memoryview, Sequence[int], Any], Any]
    future: asyncio.Future[Any]
    asked: float
    slots: list[int] = field(default_factory=list)


class Lane:
    """Our end of a lane.

    Args:
        name: Of its memory, for whoever looks into ``/proc``.
        answers: What they are.
        lost: Called when the other side is gone.

    Raises:
        OSError: There is no memory for it.
    """

    def __init__(self, name: str, answers: type[Any], lost: Callable[[], None]) -> None:
        self._lost = lost
        self._descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
        os.ftruncate(self._descriptor, MEMORY)
        self._mapped = mmap.mmap(self._descriptor, MEMORY)
        self._memory = memoryview(self._mapped)
        self._socket, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._free = list(range(0, MEMORY, SLOT))
        self._waiting: deque[Errand[Any]] = deque()
        self._under_way: dict[int, _UnderWay] = {}
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(answers)
        self._is_open = True
        self._is_full = False
        """The socket: it is told of when it takes more."""

    @property
    def theirs(self) -> tuple[int, int]:
        """Descriptors of the socket and of the memory, for the process that is started."""
        return self._theirs.fileno(), self._descriptor

    def begin(self) -> None:
        """The process has them; its answers are read from now on."""
        self._let_go()
        self._loop.add_reader(self._socket, self._readable)

    def expect(self, errand: Errand[T]) -> asyncio.Future[T]:
        """As ``ask``, for what the other side says unasked."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._under_way[errand.number] = _UnderWay(errand.settle, future, self._loop.time())
        return future

    @property
    def delay(self) -> float:
        """Seconds for which the other side has owed the oldest answer that is owed."""
        asked = next((one.asked for one in self._under_way.values()), None)
        return 0.0 if asked is None else self._loop.time() - asked

    def ask(self, errand: Errand[T]) -> asyncio.Future[T]:
        """Run an errand.

        Returns:
            A future of what it comes to. It raises what the errand does, and EdgeError if the
            process ended.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._is_open:
            future.set_exception(EdgeError(f"{GONE}; send it again"))
            return future
        self._under_way[errand.number] = _UnderWay(errand.settle, future, self._loop.time())
        self._waiting.append(errand)
        self._send()
        return future

    def close(self) -> None:
        """The other side is gone, with all that it had."""
        if not self._is_open:
            return
        self._is_open = False
        self._let_go()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._memory.release()
        self._mapped.close()
        self._waiting.clear()
        for one in self._under_way.values():
            if not one.future.done():
                one.future.set_exception(EdgeError(f"{GONE}; send it again"))
                one.future.exception()  # nobody may be waiting for it any more
        self._under_way.clear()

    def _let_go(self) -> None:
        """Close what is the other side's."""
        self._theirs.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _send(self) -> None:
        """Tell of what waits, as long as there is room for it."""
        if self._is_full:
            self._is_full = False
            self._loop.remove_writer(self._socket)
        while self._waiting and self._waiting[0].slots <= len(self._free):
            errand = self._waiting[0]
            taken = self._free[len(self._free) - errand.slots :]
            try:
                self._socket.send(self._encoded(errand.tell(self._memory, taken)))
            except BlockingIOError:
                self._is_full = True  # it has much to read already
                self._loop.add_writer(self._socket, self._send)
                return
            except OSError:
                self._lost()
                return
            except ValueError as error:
                self._waiting.popleft()
                self._under_way.pop(errand.number).future.set_exception(EdgeError(str(error)))
                continue
            del self._free[len(self._free) - errand.slots :]
            self._under_way[errand.number].slots.extend(taken)
            self._waiting.popleft()

    def _encoded(self, message: object) -> bytes:
        encoded = self._encoder.encode(message)
        if len(encoded) > LONGEST:
            raise ValueError(f"a message of {len(encoded)} bytes is too long")
        return encoded

    def _readable(self) -> None:
        try:
            message = self._socket.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lost()
            return
        answer = self._decoder.decode(message)
        one = self._under_way.pop(answer.number)
        if not one.future.done():
            try:
                one.future.set_result(one.settle(self._memory, one.slots, answer))
            except Exception as error:  # noqa: BLE001 - whoever waits for the errand gets it
                one.future.set_exception(error)
        self._free += one.slots
        self._send()
