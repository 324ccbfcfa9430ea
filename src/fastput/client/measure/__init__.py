"""What a link, a store and this machine give: measured by `fastput bench`.

judge.py decides, purely; pump.py and machine.py measure; run.py asks them in order and leaves nothing on the store.
"""
