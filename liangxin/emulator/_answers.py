"""
What the service answers: one success body and the four error bodies it is known to use.

Pure values.  Which body a refusal wears depends on who refuses: the gateway in front (keys,
routes, sizes), the Market behind it (models, inputs), or a relay or proxy between them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

Envelope = Literal["market", "gateway", "relay", "route", "html"]
Delivery = Literal["send", "drop", "cut", "drip"]

JSON = "application/json"
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An HTTP answer, and how it travels.

    `delivery` is "send", "drop" (the connection goes down instead), "cut" (in the middle of the
    body) or "drip" (piece by piece); `delay` is in the service's seconds.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    delivery: Delivery = "send"
    delay: float = 0.0
    task_id: str | None = None
    fault: str | None = None


class Refused(Exception):
    """Raised where a request turns out unacceptable; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def success(data: dict[str, object], *, task_id: str | None = None) -> Answer:
    """Return HTTP 200 around `data`."""
    body = encode({"code": 200, "msg": "success", "data": data})
    return Answer(200, body, task_id=task_id)


def market_error(status: int, message: str) -> Answer:
    """Return the body of the Market layer: an integer code."""
    return Answer(status, encode({"code": status, "msg": message, "data": None}))


def gateway_error(status: int, message: str, code: str = "") -> Answer:
    """Return the body of the gateway: an `error` object."""
    error = {"message": message, "type": "new_api_error", "code": code}
    return Answer(status, encode({"error": error}))


def relay_error(status: int, message: str, code: str = "upstream_error") -> Answer:
    """Return the body of a relayed task error: a code in letters, and `message`."""
    return Answer(status, encode({"code": code, "message": message, "data": None}))


def route_error(method: str, path: str, status: int = 404) -> Answer:
    """Return the gateway's body for an address it does not know."""
    error = {
        "message": f"Invalid URL ({method} {path})",
        "type": "invalid_request_error",
        "param": "",
        "code": "",
    }
    return Answer(status, encode({"error": error}))


def html_error(status: int, message: str) -> Answer:
    """Return the page of a proxy that gave up."""
    page = f"<html><head><title>{status}</title></head><body><h1>{message}</h1></body></html>\n"
    return Answer(status, page.encode(), "text/html")


def error(envelope: Envelope, status: int, message: str) -> Answer:
    """Return an error in the named envelope."""
    if envelope == "gateway":
        return gateway_error(status, message)
    if envelope == "relay":
        return relay_error(status, message)
    if envelope == "route":
        return route_error("POST", "/", status)
    if envelope == "html":
        return html_error(status, message)
    return market_error(status, message)


def encode(value: object) -> bytes:
    """Return `value` as compact JSON in UTF-8; a lone surrogate becomes a question mark."""
    return _ENCODER.encode(value).encode("utf-8", "replace")
