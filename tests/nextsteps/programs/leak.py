"""Leaks from one named function, beside honest work; for tests of the next steps."""

import time

ORDERS = []


def leak_one_order():
    ORDERS.append(bytearray(65536))


def serve_one_request():
    return bytes(100_000)


print("ready", flush=True)
while True:
    leak_one_order()
    serve_one_request()
    time.sleep(0.02)
