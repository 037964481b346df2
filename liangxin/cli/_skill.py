"""
The page that `liangxin skill` prints.

What commands, options, models and exit codes there are, it takes from where they are defined; the
advice around them is written here, and its examples are run by the tests.
"""

from __future__ import annotations

from collections.abc import Iterator

from liangxin.cli._tree import reference
from liangxin.models import catalogue
from liangxin.models._table import slug_row

_ADVICE = """\
---
name: liangxin
description: >-
  Make pictures and clips with the LiangXin Market from the shell: create tasks, wait for them, save
  what they made, and run large batches that resume without paying twice. Use it when the user asks
  for images or videos by one of the Market's models, or has LIANGXIN_API_KEY set.
---

# liangxin

`liangxin run MODEL -p WORDS --out FILE` creates a task, waits for it and saves the result. The
paths of the files are all that goes to standard output; progress and errors go to standard error.

## Before the first call

Two variables of the environment say who and where: `LIANGXIN_API_KEY` and `LIANGXIN_BASE_URL`.
Never print the key, and never put it on a command line. `liangxin doctor` checks both, and the way
to the service; it costs nothing.

Try a command with `--emulator` first: an embedded service answers, without a key or a cost. All
examples here do so; leave it out for the real service.

## Rules about money

- Every `create`, and so every `run` and every line of a `batch`, costs money once the service has
  accepted it. `get`, `wait`, `download`, `models`, `doctor` and `ledger` are free.
- Never repeat a `run` or a `create` because it was slow, was interrupted or timed out. The task
  goes on: take the command after "To go on, without paying again", or `liangxin wait TASK_ID`.
- An answer that was lost (exit code 3, "money may have been spent") is for the user to judge: say
  so, and do not send it again on your own.
- For more than a few, use `liangxin batch` with a ledger: run the same command again after any
  stop, and nothing is paid twice. `--dry-run` checks a file and sends nothing.
- Exit code 2 means that nothing was sent: correct the command, and try again.
- Do not settle doubts in a ledger (`attach`, `resend`, `abandon`) unless the user said so.

## Exit codes

| code | what | what to do |
|---|---|---|
| 0 | all went well | |
| 1 | unexpected | read standard error; `liangxin --debug …` shows where |
| 2 | bad usage or input; nothing was sent | correct it |
| 3 | a task failed, or is in doubt | read why; never repeat it blindly |
| 4 | the key or the quota was refused | ask the user |
| 5 | timed out; the task goes on | `liangxin wait TASK_ID` |
| 130 | interrupted | the command to go on is on standard error |

## Examples

One picture, with what became of it as JSON:

```sh
liangxin run z-image -p "a fox in snow" --aspect-ratio 16:9 --out fox.png --format json --emulator
```

What a model takes, before asking it:

```sh
liangxin models show z-image
liangxin models schema z-image
```

Many, resumable; `posters.jsonl` has an object on each line:

```sh
printf '%s\\n' '{"id": "fox", "model": "z-image", "input": {"prompt": "a fox"}}' > posters.jsonl
liangxin batch posters.jsonl --dry-run
liangxin batch posters.jsonl --out posters --format json --emulator
liangxin ledger status posters/ledger.db
```

A picture of the user's own goes where a field takes a picture:

```sh
liangxin run nano-banana-pro -p "in winter" --image-input fox.png --out winter.png --emulator
```
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()).rstrip() + "\n"


def _lines() -> Iterator[str]:
    yield _ADVICE
    yield "## Models"
    yield ""
    yield "A model without a documented slug needs `--slug NAME`, which only the user can know."
    yield ""
    yield "| MODEL | slug is | makes | what |"
    yield "|---|---|---|---|"
    for known in catalogue():
        _, how = slug_row(known)
        yield f"| `{known.slug or known.name}` | {how} | {known.kind} | {known.summary} |"
    yield ""
    yield "## Commands"
    yield ""
    yield from reference(3)
