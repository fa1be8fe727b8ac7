"""An HTTP service that holds and leaks memory as each request says: GET /?leaked=&working=&churn= (see churn.c).

usage: churn_server.py PORT SEED STYLE, STYLE being what leaks: `list`, `dict` (a cache without bound) or `objects`.
"""

import random
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

PORT, SEED, STYLE = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
CHANCE = random.Random(SEED)
LEAKED_LIST, LEAKED_DICT = [], {}
WORKING, KEYS = {}, []
TOTALS = {"leaked": 0, "working": 0, "serial": 0}


class Session:
    def __init__(self, number, payload):
        self.number, self.payload = number, payload


def leak():
    size = CHANCE.randrange(600, 4000)
    TOTALS["serial"] += 1
    if STYLE == "dict":
        LEAKED_DICT[f"user:{TOTALS['serial']}"] = bytes(size)
    else:
        LEAKED_LIST.append(Session(TOTALS["serial"], bytes(size)) if STYLE == "objects" else bytes(size))
    TOTALS["leaked"] += size + (160 if STYLE == "dict" else 45 if STYLE == "list" else 150)


def add():
    size = int(32 * 2 ** CHANCE.uniform(0, 8))
    TOTALS["serial"] += 1
    KEYS.append(TOTALS["serial"])
    WORKING[TOTALS["serial"]] = bytearray(size)
    TOTALS["working"] += size + 170


def drop():
    victim = CHANCE.randrange(len(KEYS))
    KEYS[victim], KEYS[-1] = KEYS[-1], KEYS[victim]
    TOTALS["working"] -= len(WORKING.pop(KEYS.pop())) + 170


def reach(leaked, working, churn):
    while TOTALS["leaked"] < leaked:
        leak()
    for _ in range(min(churn, len(KEYS))):
        drop()
        add()
    while TOTALS["working"] < working:
        add()
    while KEYS and TOTALS["working"] > working:
        drop()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        wanted = dict(parse_qsl(urlsplit(self.path).query))
        reach(float(wanted["leaked"]), float(wanted["working"]), int(float(wanted["churn"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
