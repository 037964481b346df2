"""The turns of phrase that an OpenAPI document repeats; knows nothing of the service."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

INFERRED: Json = {"x-provenance": "inferred"}


def ref(schema: str) -> Json:
    """Point to a schema of the document."""
    return {"$ref": f"#/components/schemas/{schema}"}


def object_of(**members: Json) -> Json:
    """Describe an object that has all these members, and perhaps others."""
    return {"type": "object", "properties": members, "required": [*members]}


def list_of(items: Json) -> Json:
    """Describe an array."""
    return {"type": "array", "items": items}


def as_json(schema: Json, examples: Json | None = None) -> Json:
    """Describe content that is JSON."""
    return {"application/json": {"schema": schema} | ({"examples": examples} if examples else {})}


def as_html() -> Json:
    """Describe content that is a page."""
    return {"text/html": {"schema": {"type": "string"}}}
