"""
Four processes over one file and one shared ledger, and whatever can happen to them.

    python -m tests.crew --kills 200

They are killed and started again, stopped for longer than their lease, cut off from the database,
and the database itself is killed.  What was lost or paid twice is judged by the emulator's books,
by the rows as PostgreSQL has them, and by a trigger that notes each of their moves.
"""
