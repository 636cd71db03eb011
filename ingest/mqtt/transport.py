"""A byte stream to the broker that never blocks on its own account, plain or TLS."""

import select
import socket
import ssl
from typing import Final

from ingest.mqtt.consumer import BrokerError

_CONNECT_SECONDS: Final = 5.0
_CHUNK: Final = 256 * 1024


class Transport:
    """One connection; any failure raises `BrokerError`, and then only `close` remains."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        try:
            self._socket = _opened(host, port, tls)
        except OSError as error:
            raise BrokerError(f"no broker answers at {host}:{port}: {error}", advice="Is it running?") from error
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._eager_to_write = False

    def wait(self, seconds: float, *, writing: bool) -> None:
        """Return when something can be read, or written if `writing`, or after `seconds`."""
        writing = writing or self._eager_to_write
        self._poll.modify(self._socket, select.POLLIN | select.POLLOUT if writing else select.POLLIN)
        self._poll.poll(seconds * 1000)

    def fileno(self) -> int:
        """Return the socket's number, to wait for it with others."""
        return self._socket.fileno()

    def read(self) -> bytes:
        """Return what is at hand, nothing if that is nothing."""
        try:
            data = self._socket.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""
        except ssl.SSLWantWriteError:
            self._eager_to_write = True
            return b""
        except OSError as error:
            raise BrokerError(f"the connection to the broker was lost: {error}") from error
        if not data:
            raise BrokerError("the connection to the broker was lost: the broker closed it")
        return data

    def write(self, data: bytearray) -> None:
        """Send what the connection takes now, and remove it from `data`."""
        self._eager_to_write = False
        try:
            while data:
                del data[: self._socket.send(data)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise BrokerError(f"the connection to the broker was lost: {error}") from error

    def finish(self) -> None:
        """Say that nothing more will be written."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise BrokerError(f"the connection to the broker was lost: {error}") from error

    def close(self) -> None:
        """Give the connection up."""
        self._socket.close()


def _opened(host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    plain = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened = plain if tls is None else tls.wrap_socket(plain, server_hostname=host)
    except OSError:
        plain.close()
        raise
    opened.settimeout(0)
    return opened
