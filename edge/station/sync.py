"""A station's line to the trace service: manifests come, notes go. Work never waits for it."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from contracts.errors import OutboxError
from contracts.manifest import MAX_BYTES, ManifestError
from contracts.stations import MAX_NOTES, PATH_MANIFEST, PATH_NOTES, Note, Taken, encode_notes
from edge.backoff import Backoff
from edge.manifest import ManifestStore
from edge.outbox import Outbox
from edge.station.dock import NOTE

POLL_SECONDS: Final = 5.0
_TIMEOUT_SECONDS: Final = 10.0
_NO_CONTENT: Final = 204
_log = structlog.get_logger(__name__)
_TAKEN = msgspec.json.Decoder(Taken)


class Line:
    """One HTTP address of the trace service, spoken to with the device's token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "codefence-station"}

    def manifest(self, since: int) -> bytes | None:
        """Return the manifest, or a delta to version `since`; None where nothing is newer. Raises `OSError`."""
        with self._open(f"{PATH_MANIFEST}?since={since}", None) as answer:
            return None if answer.status == _NO_CONTENT else answer.read(MAX_BYTES + 1)

    def post(self, notes: list[Note]) -> tuple[str, ...]:
        """Hand notes in and return the ids of those that are stored. Raises `OSError`."""
        with self._open(PATH_NOTES, encode_notes(notes)) as answer:
            try:
                taken = _TAKEN.decode(answer.read(MAX_BYTES))
            except msgspec.DecodeError as error:
                raise OSError(f"the service answers nonsense: {error}") from error
        if taken.refused:
            _log.error("the trace service refused notes, and keeps them", action="sync.refused", ids=taken.refused)
        return taken.ids

    def _open(self, path: str, body: bytes | None) -> "urllib.request._UrlopenRet":
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        request = urllib.request.Request(self._url + path, body, headers)  # noqa: S310  http(s) by the setting's pattern
        return urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310  likewise


class Sync:
    """Fetches the site's manifest every few seconds and posts what waits, in a thread of its own."""

    def __init__(self, line: Line, manifests: ManifestStore, outbox: Outbox, idle: Callable[[], None]) -> None:
        self._line = line
        self._manifests = manifests
        self._outbox = outbox
        self._idle = idle
        self._stop = threading.Event()
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self._said = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Post what waits once more, and end."""
        self._stop.set()
        self._thread.join(_TIMEOUT_SECONDS)

    def refresh(self, seconds: float = 2.0) -> None:
        """Fetch the manifest now; give up after `seconds`."""
        fetching = threading.Thread(target=self._quietly, args=(self._fetch,), daemon=True)
        fetching.start()
        fetching.join(seconds)

    def _run(self) -> None:
        backoff = Backoff(POLL_SECONDS, 30.0)
        while True:
            ended = self._stop.is_set()
            well = self._quietly(self._fetch) and self._quietly(self._post)
            if ended:
                return
            self._idle()
            if well:
                backoff.reset()
            self._stop.wait(POLL_SECONDS if well else backoff.wait())

    def _quietly(self, work: Callable[[], None]) -> bool:
        try:
            with self._busy:
                work()
        except (OSError, ManifestError, OutboxError) as error:
            self._complain(error)
            return False
        if work == self._fetch:
            self._said = ""
        return True

    def _complain(self, error: Exception) -> None:
        """Say what is wrong once, not every few seconds."""
        reason = _refusal(error)
        if reason != self._said:
            _log.warning("the trace service cannot be used", action="sync.failed", reason=reason)
        self._said = reason

    def _fetch(self) -> None:
        data = self._line.manifest(self._manifests.version)
        if data is None:
            return
        try:
            self._manifests.offer(data)
        except ManifestError:
            # Perhaps a delta to something else than what is here: the whole one says so by itself.
            whole = self._line.manifest(0) if self._manifests.version else None
            if whole is None:
                raise
            self._manifests.offer(whole)

    def _post(self) -> None:
        waiting = self._outbox.notes(NOTE).values()
        notes = sorted((msgspec.json.decode(value, type=Note) for value in waiting), key=lambda each: each.at)
        for start in range(0, len(notes), MAX_NOTES):
            taken = self._line.post(notes[start : start + MAX_NOTES])
            self._outbox.add([], {NOTE + name: "" for name in taken})


def _refusal(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        try:
            said = json.loads(error.read(4096))
            return f"{said['code']}: {said['detail']}"
        except (ValueError, KeyError, TypeError):
            return f"HTTP {error.code}"
    return str(error)
