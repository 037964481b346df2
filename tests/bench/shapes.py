"""
What each service answers, as bytes: LiangXin's shape, and those that the peers' packages expect.

Read from the packages themselves (the models that they decode into); a shape holds every field
that its package requires, and values of ordinary length.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

Shape: TypeAlias = Callable[[str], bytes]
"""Makes an answer about the task of that id."""

PARAM = json.dumps({"model": "z-image", "input": {"prompt": "a lighthouse in fog"}})
URL = "https://results.example/2026/a-lighthouse-in-fog.png"


def _template(document: object) -> Shape:
    pieces = json.dumps(document).split("TASK")
    return lambda task: task.join(pieces).encode()


def _record(state: str, result: str) -> Shape:
    # The documented fields only: no times, so a client has to learn durations from its looks.
    data = {
        "taskId": "TASK",
        "model": "z-image",
        "state": state,
        "param": PARAM,
        "resultJson": result,
        "failCode": "",
        "failMsg": "",
    }
    return _template({"code": 200, "msg": "success", "data": data})


LIANGXIN_CREATED = _template({"code": 200, "msg": "success", "data": {"taskId": "TASK"}})
LIANGXIN_PENDING = _record("generating", "")
LIANGXIN_DONE = _record("success", json.dumps({"resultUrls": [URL]}))


def _video(status: str, progress: int) -> Shape:
    return _template(
        {
            "id": "TASK",
            "object": "video",
            "created_at": 1_760_000_000,
            "completed_at": 1_760_000_012 if progress == 100 else None,
            "model": "sora-2",
            "progress": progress,
            "prompt": "a lighthouse in fog",
            "seconds": "4",
            "size": "720x1280",
            "status": status,
        }
    )


OPENAI_CREATED = _video("queued", 0)
OPENAI_PENDING = _video("in_progress", 40)
OPENAI_DONE = _video("completed", 100)


def _prediction(status: str, output: object) -> Shape:
    return _template(
        {
            "id": "TASK",
            "model": "acme/lighthouse",
            "version": "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
            "status": status,
            "input": {"prompt": "a lighthouse in fog"},
            "output": output,
            "logs": "",
            "error": None,
            "metrics": {"predict_time": 12.0} if output else {},
            "created_at": "2026-01-01T00:00:00.000Z",
            "started_at": None,
            "completed_at": None,
            "urls": {"get": "/v1/predictions/TASK", "cancel": "/v1/predictions/TASK/cancel"},
        }
    )


REPLICATE_CREATED = _prediction("starting", None)
REPLICATE_PENDING = _prediction("processing", None)
REPLICATE_DONE = _prediction("succeeded", [URL])


def fal_created(task: str, host: str) -> bytes:
    """The answer to fal's submit, which names the addresses to ask at."""
    at = f"http://{host}/acme/lighthouse/requests/{task}"
    return json.dumps(
        {
            "status": "IN_QUEUE",
            "request_id": task,
            "response_url": at,
            "status_url": f"{at}/status",
            "cancel_url": f"{at}/cancel",
            "queue_position": 0,
        }
    ).encode()


FAL_PENDING = _template({"status": "IN_PROGRESS", "request_id": "TASK", "logs": None})
FAL_DONE = _template(
    {"status": "COMPLETED", "request_id": "TASK", "logs": None, "metrics": {"inference_time": 12.0}}
)
FAL_RESULT = _template({"images": [{"url": URL, "width": 1024, "height": 1024}], "seed": 7})

_COST = {"estimatedCost": {"credits": 5}}
RUNWAY_CREATED = _template({"id": "TASK", **_COST})
RUNWAY_PENDING = _template(
    {
        "id": "TASK",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "status": "RUNNING",
        "progress": 0.4,
        **_COST,
    }
)
RUNWAY_DONE = _template(
    {
        "id": "TASK",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "status": "SUCCEEDED",
        "output": [URL],
        "cost": {"credits": 5},
    }
)
