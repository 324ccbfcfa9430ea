"""What a tree holds, before a byte is sent: `fastput survey`.

tally.py adds up, purely; sample.py reads a little of the files; run.py walks in parallel and in constant memory.
"""
