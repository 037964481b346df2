"""
Serves what the emulator says of itself: the models with their inputs, and the OpenAPI document.

Both are written when first asked for, so that starting costs nothing.
"""

from __future__ import annotations

import functools

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from liangxin.emulator._answers import encode

_JSON = "application/json"


def description_routes() -> list[Route]:
    """Return what is served where."""
    return [
        Route("/_emulator/models", _models, methods=["GET"]),
        Route("/_emulator/openapi.json", _openapi, methods=["GET"]),
    ]


async def _models(request: Request) -> Response:
    return Response(_catalogue(), media_type=_JSON)


async def _openapi(request: Request) -> Response:
    return Response(_document(), media_type=_JSON)


@functools.cache
def _catalogue() -> bytes:
    from liangxin.emulator._schema import catalogue

    return encode(catalogue())


@functools.cache
def _document() -> bytes:
    from liangxin.emulator._openapi import document

    return encode(document())
