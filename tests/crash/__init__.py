"""
The crash campaign: batches that are killed at every system call, and what the service says of it.

    python -m tests.crash --points 200
    python -m tests.crash --all --kills 1000 --json docs/crash.json

A small batch runs in a process of its own, against an emulator in another one.  It is killed, or
its disk fails, at one system call; then the same batch is run again to its end.  What was lost,
paid twice or damaged is judged by the emulator's books and by the files alone, never by what the
library says of itself.

A kill keeps what the kernel has been told, so this is about the order in which things are told.
It says nothing about a power cut.
"""
