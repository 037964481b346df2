"""
One of two replicas of a web service, in a process of its own, whose callbacks reach the other one.

    python -m tests.callback_replica LEDGER BASE_URL PORT PORT_OF_THE_OTHER

It never looks at a task by itself, so what it finds, a callback has told it.  Each line that it
reads is a list of prompts in JSON; it creates a task for each, waits for all, and answers with a
line: the ids of those that it found.
"""

from __future__ import annotations

import json
import sys

from liangxin import Client, RawInput
from liangxin.callbacks import CallbackReceiver
from liangxin.ledger import SharedLedger

NEVER = 3600.0


def main(url: str, base_url: str, port: int, other: int) -> None:
    """Do what each line asks for, until there are no more."""
    receiver = CallbackReceiver(f"http://127.0.0.1:{other}/liangxin")
    with (
        SharedLedger(url, lease=1.0) as ledger,
        receiver.serving(port=port),
        Client(
            "sk-test", base_url=base_url, callbacks=receiver, ledger=ledger, poll_interval=NEVER
        ) as client,
    ):
        with client.run_many([]):  # a blocking client opens with its first call
            pass
        print("ready", flush=True)
        for line in sys.stdin:
            inputs = [RawInput("z-image", {"prompt": prompt}) for prompt in json.loads(line)]
            with client.run_many(inputs, timeout=30) as outcomes:
                found = [outcome.task.id for outcome in outcomes if outcome.task is not None]
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
