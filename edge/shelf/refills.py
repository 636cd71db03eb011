"""What came in by scan at the shelf's site, asked of the trace service: it settles how many units a refill has."""

import threading
import urllib.request
from queue import Empty, SimpleQueue
from typing import Final

import msgspec
import structlog

from contracts.stations import MAX_BYTES, PATH_REFILLS, Refill, Refills
from edge.backoff import Backoff

POLL_SECONDS: Final = 10.0
_LAST_WAIT_SECONDS: Final = 120.0
_TIMEOUT_SECONDS: Final = 10.0
_DECODER = msgspec.json.Decoder(Refills)
_log = structlog.get_logger(__name__)


class RefillFeed:
    """Asks every ten seconds, in a thread of its own; a service that is away is asked ever more seldom."""

    def __init__(self, url: str, token: str, since: int = 0) -> None:
        """Begin with what came in from `since` on, milliseconds by the service's clock: the device's may be wrong."""
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "codefence-shelf"}
        self._since = since
        self._news: SimpleQueue[Refill] = SimpleQueue()
        self._said = ""

    def start(self, stop: threading.Event) -> None:
        """Begin, until `stop` is set."""
        threading.Thread(target=self._run, args=(stop,), name="refills", daemon=True).start()

    def news(self) -> list[Refill]:
        """Return what came in since the last call, the oldest first."""
        found = []
        while True:
            try:
                found.append(self._news.get_nowait())
            except Empty:
                return found

    def fetch(self) -> None:
        """Ask once. Raises `OSError`, also for an answer that is none."""
        request = urllib.request.Request(  # noqa: S310  http(s) by the setting's pattern
            f"{self._url}{PATH_REFILLS}?since={self._since}", headers=self._headers
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  likewise
            try:
                found = _DECODER.decode(answer.read(MAX_BYTES)).refills
            except msgspec.DecodeError as error:
                raise OSError(f"the service answers nonsense: {error}") from error
        for refill in found:
            self._since = max(self._since, refill.at + 1)
            self._news.put(refill)

    def _run(self, stop: threading.Event) -> None:
        backoff = Backoff(POLL_SECONDS, _LAST_WAIT_SECONDS)
        while not stop.is_set():
            try:
                self.fetch()
            except OSError as error:
                if str(error) != self._said:
                    _log.warning("refills are not announced", action="shelf.no_refills", reason=str(error))
                self._said = str(error)
                stop.wait(backoff.wait())
            else:
                self._said = ""
                backoff.reset()
                stop.wait(POLL_SECONDS)
