"""
Measures what the README and the docs claim, side by side in one run: `nox -s bench`.

Figures drift from machine to machine; what is compared is measured in turns, in processes of
their own.  How many looks were taken, and how late a result was found, only the server's books
say, never a client's own.
"""
