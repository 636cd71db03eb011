"""Requests with patience: what is safe to repeat is repeated, and a refusal becomes a coded error."""

import random
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx
import msgspec

from trace_service.client.errors import ApiError, UnreachableError

T = TypeVar("T")
_BUSY: Final = frozenset({429, 502, 503, 504})
_LONGEST_WAIT: Final = 60.0


@dataclass(frozen=True)
class Patience:
    """How often a safe request is made at most, and the first wait in seconds, which doubles."""

    attempts: int = 4
    first: float = 0.5


class Transport:
    """One service and one token over a pool of connections; redirects are not followed."""

    def __init__(self, url: str, token: str, patience: Patience, timeout: float) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._patience = patience
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def ask(self, answer: type[T], method: str, path: str, **request: Any) -> T:  # noqa: ANN401  httpx's own
        """Make a request that may be repeated without harm, and decode its answer."""
        return self.decoded(answer, self.send(method, path, safe=True, **request))

    def decoded(self, answer: type[T], response: httpx.Response) -> T:
        """Return the body as `answer`. Raises UnreachableError for what is not ours."""
        try:
            return msgspec.json.decode(response.content, type=answer)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise UnreachableError(
                f"the answer is not one of Codefence: {error}", advice="Check the address of the service."
            ) from error

    def send(self, method: str, path: str, *, safe: bool, **request: Any) -> httpx.Response:  # noqa: ANN401  httpx's own
        """Make a request; one that is not `safe` is repeated only where the service says that it did nothing.

        A status among `accept` is an answer too. Raises ApiError or UnreachableError.
        """
        body, accept = request.pop("json", None), request.pop("accept", ())
        if body is not None:
            request["content"] = msgspec.json.encode(body)
            request["headers"] = {"Content-Type": "application/json", **request.get("headers", {})}
        attempt = 1
        while True:
            last = attempt >= self._patience.attempts
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                if last or not (safe or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)):
                    raise UnreachableError(
                        f"{type(error).__name__}: {error}", advice="Check address and network."
                    ) from error
                self._wait(attempt, None)
            else:
                if response.is_success or _is_report(response, accept):
                    return response
                again = response.status_code in _BUSY and (
                    safe or response.status_code == httpx.codes.TOO_MANY_REQUESTS
                )
                if last or not again:
                    raise _refusal(response)
                self._wait(attempt, response.headers.get("Retry-After"))
            attempt += 1

    def _wait(self, attempt: int, told: str | None) -> None:
        full = min(_LONGEST_WAIT, self._patience.first * 2.0 ** (attempt - 1))
        wait = random.uniform(full / 2, full)  # noqa: S311  spreads load, hides nothing
        if told is not None and told.isdecimal():
            wait = max(wait, min(_LONGEST_WAIT, float(told)))
        time.sleep(wait)


def _is_report(response: httpx.Response, accept: Container[int]) -> bool:
    problem = response.headers.get("content-type", "").startswith("application/problem+json")
    return response.status_code in accept and not problem


def _refusal(response: httpx.Response) -> ApiError:
    try:
        found = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        found = {}
    problem: Mapping[str, Any] = found if isinstance(found, dict) else {}
    code = problem.get("code") or str(problem.get("type", "")).rpartition(":")[2] or f"HTTP_{response.status_code}"
    message = problem.get("detail") or problem.get("title") or response.reason_phrase
    return ApiError(response.status_code, str(code), str(message), advice=str(problem.get("advice", "")))
