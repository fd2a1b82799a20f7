#!/usr/bin/env python3
"""Checks by its signature that a request comes from ringhook.

Copy verify() into a receiver. As a program it reads a request as it came
over the wire, headers, an empty line and the body:

    python3 verify.py whsec_... < request

Needs Python 3.8 and nothing else.
"""

import base64
import hashlib
import hmac
import re
import sys
import time

TOLERANCE = 5 * 60  # maximum difference of the clocks, in seconds


def verify(secret, headers, body, now=None):
    """Returns the reason to refuse a request, None if it is valid.

    headers has the names in lower case. body is the bytes as they came:
    JSON that was parsed and written again has another signature.
    """
    msg_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not msg_id or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return "no webhook-id or webhook-timestamp"
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE:
        return "too old, or from the future"
    key = base64.b64decode(re.sub("^whsec_", "", secret))
    content = msg_id.encode() + b"." + timestamp.encode() + b"." + body
    want = b"v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
    # During a change of the secret there are two signatures: one must match.
    for got in headers.get("webhook-signature", "").split(" "):
        if hmac.compare_digest(got.encode(), want):
            return None
    return "no signature matches"


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: verify.py SECRET [UNIX-TIME] < request")
    head, _, body = sys.stdin.buffer.read().replace(b"\r\n\r\n", b"\n\n", 1).partition(b"\n\n")
    headers = {}
    for line in head.decode("latin-1").splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    now = float(sys.argv[2]) if len(sys.argv) == 3 else None
    problem = verify(sys.argv[1], headers, body, now)
    print(problem or "good")
    sys.exit(1 if problem else 0)


if __name__ == "__main__":
    main()
