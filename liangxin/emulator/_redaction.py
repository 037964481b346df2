"""
Takes the secrets out of what a recording keeps.

Pure: text in, text out, the same for the same.  Errs on the side of too much: a prompt that looks
like a key is masked too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from urllib.parse import parse_qsl, urlencode, urlsplit

MASK = "***"

_MEMBERS_OF_CALLBACKS = {"callbackurl", "webhookurl", "webhook"}
_MEMBERS_OF_SECRETS = {
    "accesstoken",
    "apikey",
    "authorization",
    "cookie",
    "password",
    "secret",
    "setcookie",
    "signature",
    "token",
}
_SHORTEST_SECRET = 8

_DATA_URI = re.compile(
    r"data:(?:"
    r"(?P<kind>[^\s,;\"]*(?:;[^\s,;\"]+=[^\s,;\"]*)*);base64,(?P<coded>[\w+/=%\s-]*)"
    r"|(?P<type>[\w.+-]+/[\w.+-]+(?:;[^\s,;\"]+)*),(?P<plain>[^\s\"]*))",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{256,}={0,2}")
# `\/` is how some services write a slash in JSON, which counts where a body is cut and no JSON.
_LOGIN = re.compile(r"(?<=:)((?:\\?/){2})[^/\\\s\"?#]*@")
_QUERY = re.compile(r"(\w:(?:\\?/){2}[^\s\"?#]*)([?#])[^\s\"]+")
_BARE_QUERY = re.compile(r"\?[\w.~%\[\]-]+=[^\s\"]*")
_KEY = re.compile(r"\bsk-[\w-]{8,}|(?<=\bBearer )(?=\S*\d)[^\s\"]{8,}", re.IGNORECASE)


def compact(value: object) -> str:
    """Return `value` as compact JSON; in ASCII only if it has lone surrogates."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


class Redaction:
    """
    Masks what is secret in any text, and besides `secrets` word for word.

    Of addresses at `callback_origins`, the path is masked as well: it is what keeps strangers from
    posting there.
    """

    def __init__(
        self, secrets: Collection[str] = (), callback_origins: Collection[str] = ()
    ) -> None:
        # The longest first: one may be a part of another.
        long_enough = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        self._secrets = sorted(long_enough, key=len, reverse=True)
        self._callback_paths = [
            re.compile(re.escape(origin) + r"(?![\w.:-])[^\s\"]*", re.IGNORECASE)
            for origin in callback_origins
        ]

    def body(self, body: bytes, coding: str | None = None) -> str:
        """
        Return a body as text; JSON in its compact form, also where it is inside a string.

        Of one in a `coding`, compressed for one, nothing can be masked but all.
        """
        if coding is not None:
            return f"{MASK} ({self.text(coding)})"
        return self.text(body.decode("utf-8", "surrogateescape"))

    def text(self, text: str) -> str:
        """Return `text`, which may be JSON, without its secrets."""
        if text.lstrip()[:1] in {"{", "["}:
            try:
                return compact(self._value(json.loads(text)))
            except (ValueError, RecursionError):
                pass  # cut, or no JSON after all
        return self._plain(text)

    def query(self, query: bytes) -> str:
        """Return what a query says of the task; anything else in it goes."""
        pairs = parse_qsl(query.decode("latin-1"))
        return urlencode([(name, self._plain(text)) for name, text in pairs if name == "taskId"])

    def _value(self, value: object, member: str = "") -> object:
        if isinstance(value, dict):
            return {self._plain(name): self._value(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self._value(each, member) for each in value]
        if not isinstance(value, str) or not value:
            return value
        name = re.sub(r"[_-]", "", member).lower()
        if name in _MEMBERS_OF_CALLBACKS:
            return f"{origin_of(value) or ''}/{MASK}"
        return MASK if name in _MEMBERS_OF_SECRETS else self.text(value)

    def _plain(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        for path in self._callback_paths:
            text = path.sub(lambda found: f"{origin_of(found[0]) or ''}/{MASK}", text)
        text = _DATA_URI.sub(_summary, text)
        text = _BASE64.sub(lambda found: f"base64;{_weighed(found[0])}", text)
        text = _LOGIN.sub(rf"\1{MASK}@", text)
        text = _QUERY.sub(rf"\1\2{MASK}", text)
        text = _BARE_QUERY.sub(f"?{MASK}", text)
        return _KEY.sub(MASK, text)


def origin_of(url: str) -> str | None:
    """Return the scheme and host of a URL, without a login."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}" if parts.scheme and host else None


def callback_origin_in(body: bytes) -> str | None:
    """Return the origin to which the createTask in `body` asks to be called back."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    url = document.get("callBackUrl") if isinstance(document, dict) else None
    return origin_of(url) if isinstance(url, str) else None


def _summary(found: re.Match[str]) -> str:
    content = found["coded"] or found["plain"] or ""
    return f"data:{found['kind'] or found['type'] or ''};{_weighed(content)}"


def _weighed(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    return f"length={len(content)};sha256={digest}"
