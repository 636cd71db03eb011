r"""Messages in the forms of chat robots: DingTalk, WeCom and Feishu, each with its own way to sign and to answer.

DingTalk signs `<milliseconds>\n<secret>` with HMAC-SHA256 under the secret and takes time and signature in the address.
Feishu takes HMAC-SHA256 of nothing under `<seconds>\n<secret>` in the body. WeCom relies on the secrecy of the address.
All three answer 200 also to what they refuse: the body's code tells.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from trace_service.notify.texts import text_of
from trace_service.words import DEFAULT_ZONE, Words, zone

FORMATS: Final = ("codefence", "dingtalk", "wecom", "feishu")
SIGNED: Final = ("dingtalk", "feishu")
# Of WeCom, the shortest: what is longer is cut, and the console has the rest.
_MOST_BYTES: Final = 3_800
_MARKS: Final = str.maketrans(dict.fromkeys("`*_[]<>#|~@", " "))


class RobotMessage(NamedTuple):
    """What is posted where."""

    url: str
    body: bytes


def robot_message(row: Any, secret: str | None, console: str | None, at: float) -> RobotMessage:  # noqa: ANN401  a row
    """Return a queued message (format, url, topic, payload) for a robot; `at` is the time in seconds.

    `secret` is what the robot's own page shows; without one nothing is signed.
    """
    said = text_of(Words("zh", zone(DEFAULT_ZONE)), row.topic, msgspec.json.decode(row.payload))
    title = said.title.translate(_MARKS)
    lines = [f"- {line.translate(_MARKS)}" for line in said.lines]
    if console and said.path:
        lines.append(f"[{console}{said.path}]({console}{said.path})")
    text = _cut("\n".join([f"**{title}**", *lines]))
    if row.format == "dingtalk":
        return _dingtalk(row.url, secret, title, text, at)
    if row.format == "wecom":
        return RobotMessage(row.url, _json({"msgtype": "markdown", "markdown": {"content": text}}))
    return _feishu(row.url, secret, title, "\n".join(lines), at)


def _dingtalk(url: str, secret: str | None, title: str, text: str, at: float) -> RobotMessage:
    body = _json({"msgtype": "markdown", "markdown": {"title": title, "text": text}})
    if secret is None:
        return RobotMessage(url, body)
    stamp = str(int(at * 1000))
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    query = urlencode({"timestamp": stamp, "sign": base64.b64encode(digest).decode()})
    return RobotMessage(f"{url}{'&' if '?' in url else '?'}{query}", body)


def _feishu(url: str, secret: str | None, title: str, text: str, at: float) -> RobotMessage:
    card = {
        "header": {"title": {"tag": "plain_text", "content": title}},
        "elements": [{"tag": "markdown", "content": _cut(text)}],
    }
    body: dict[str, Any] = {"msg_type": "interactive", "card": card}
    if secret is not None:
        stamp = str(int(at))
        digest = hmac.new(f"{stamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
        body = {"timestamp": stamp, "sign": base64.b64encode(digest).decode(), **body}
    return RobotMessage(url, _json(body))


def refusal(answer: bytes) -> str:
    """Return why a robot refused what it answered 200 to, or an empty text where it took it."""
    try:
        said = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return "the robot's answer is no JSON"
    if not isinstance(said, Mapping):
        return "the robot's answer is no object"
    code = next((said[name] for name in ("errcode", "code", "StatusCode") if name in said), None)
    return "" if code == 0 else f"the robot refused: {code} {said.get('errmsg') or said.get('msg') or ''}"[:200]


def _cut(text: str) -> str:
    return text.encode()[:_MOST_BYTES].decode(errors="ignore")


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
