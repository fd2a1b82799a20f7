#!/usr/bin/env python3
"""A sample CRM for ringhook: it answers lookups and receives events.

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

# ringhook sends numbers in E.164, with the plus sign.
CUSTOMERS = {
    "+79261110001": {
        "CALLERID(name)": "Анна Каренина",
        "QUEUE_PRIO": 10,
        "call_info": "https://crm.example/customers/17?tab=calls&open=1",
    },
}

# An event is sent again, with the same id, if the answer to it was lost. A real CRM stores
# events, and lets a unique index of its database refuse the second one.
seen = set()


class CRM(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections, which saves time at each call

    def do_GET(self):
        """A lookup: name=value&name=value, or 404 if the number is unknown."""
        url = urlsplit(self.path)
        number = parse_qs(url.query).get("phone", [""])[0]
        customer = CUSTOMERS.get(number) if url.path == "/who" else None
        if customer is None:
            self.answer(404)
        else:
            self.answer(200, urlencode(customer))

    def do_POST(self):
        """One event, as JSON. Answer 2xx only when the event is stored: ringhook then does
        not send it again. After any other answer it does."""
        try:
            event = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            event_id, name = event["event_id"], event["event"]
        except (ValueError, KeyError, TypeError):
            self.answer(400)
            return
        try:
            if event_id not in seen:
                print(name, event.get("callerid"), json.dumps(event, ensure_ascii=False), flush=True)
                seen.add(event_id)
        except OSError as error:
            print("crm.py: cannot store an event:", error, file=sys.stderr)
            self.answer(500)
            return
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
        """Logs nothing: the events are enough."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8081
    ThreadingHTTPServer(("127.0.0.1", port), CRM).serve_forever()
