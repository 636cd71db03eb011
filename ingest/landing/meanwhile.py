"""A database connection that has something else done while it waits.

A thread for the database would need the interpreter after each answer, and get it only when the one that decodes lets
go of it: at a dozen waits a batch, that took longer than the database itself.
"""

import select
from collections.abc import Callable
from typing import Final

from psycopg import Connection, OperationalError
from psycopg.abc import RV, PQGen
from psycopg.rows import TupleRow
from psycopg.waiting import Ready, Wait

Meanwhile = Callable[[], bool]
"""Does a little work, a millisecond or so; tells whether there is likely to be more at once."""

_GLANCE_MS: Final = 2
_MASKS: Final = {
    Wait.R: select.POLLIN,
    Wait.W: select.POLLOUT,
    Wait.RW: select.POLLIN | select.POLLOUT,
}


class BusyConnection(Connection[TupleRow]):
    """Calls `meanwhile`, which must not raise, as long as the server has not answered."""

    meanwhile: Meanwhile | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Run a generator of psycopg's to its end, as its own `wait` does."""
        if self.meanwhile is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        meanwhile, socket, poll = self.meanwhile, self.pgconn.socket, select.poll()
        try:
            poll.register(socket, _MASKS[next(gen)])
            while True:
                events = poll.poll(0)
                if not events and not meanwhile():
                    events = poll.poll(_GLANCE_MS)
                if events:
                    poll.modify(socket, _MASKS[gen.send(_ready(events[0][1]))])
        except StopIteration as end:
            result: RV = end.value
            return result


def _ready(event: int) -> Ready:
    if event & (select.POLLIN | select.POLLOUT) == select.POLLIN | select.POLLOUT:
        return Ready.RW
    if event & select.POLLOUT:
        return Ready.W
    if event & select.POLLNVAL:
        raise OperationalError("the connection's socket was closed")
    # A hang-up is read as the end of what the server said.
    return Ready.R
