#!/usr/bin/env python3
"""A sample CRM for ringhook: who is calling, and what became of the call.

    python3 crm.py [PORT]

    [[lookup]]
    name = "crm"
    points = ["queue-dial"]
    url = "http://127.0.0.1:8081/who?phone=%callerid%"

    [[hook]]
    name = "journal"
    events = ["*"]
    url = "http://127.0.0.1:8081/cti"

It needs Python 3.7 and nothing else.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

# What ringhook asks for is E.164, with the plus sign in front.
CUSTOMERS = {
    "+79261110001": {
        "CALLERID(name)": "Анна Каренина",
        "QUEUE_PRIO": 10,
        "call_info": "https://crm.example/customers/17?tab=calls&open=1",
    },
}

# An event comes again, with the same id, when its answer was lost on the way. A real
# CRM lets its database refuse the second one.
seen = set()


class CRM(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections, which saves time at each call

    def do_GET(self):
        """Who is calling? name=value&name=value, or 404 where nobody knows."""
        url = urlsplit(self.path)
        number = parse_qs(url.query).get("phone", [""])[0]
        customer = CUSTOMERS.get(number) if url.path == "/who" else None
        if customer is None:
            self.answer(404)
        else:
            self.answer(200, urlencode(customer))

    def do_POST(self):
        """One event, as JSON. Answer 2xx only when it is safe: ringhook then forgets it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            event = json.loads(body)
        except ValueError:
            self.answer(400)
            return
        if event["event_id"] not in seen:
            seen.add(event["event_id"])
            print(event["event"], event.get("callerid"), json.dumps(event, ensure_ascii=False), flush=True)
        self.answer(204)

    def answer(self, status, text=""):
        body = text.encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Says nothing: the events are enough."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8081
    ThreadingHTTPServer(("127.0.0.1", port), CRM).serve_forever()
