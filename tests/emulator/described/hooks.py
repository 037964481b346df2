"""
What schemathesis cannot read in the document.

To JSON Schema 8.0 is an integer; the service wants whole numbers written without a fraction, which
the document can only say in words.
"""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]  # where it is not installed
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Write whole numbers without a fraction."""
    return whole(body)


def whole(value: Any) -> Any:
    """Return `value` with every whole number in it an int."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(each) for each in value]
    if isinstance(value, dict):
        return {name: whole(each) for name, each in value.items()}
    return value
