#!/usr/bin/env python3
"""An example receiver: answers 200 to every webhook and prints its body, one JSON object a line."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # A receiver tells a repeat by this header: the same event has the same id at every delivery.
        event_id = self.headers.get("webhook-id")
        try:
            print(json.dumps(json.loads(body)), flush=True)
        except ValueError:
            print(f"not JSON ({event_id}): {body[:200]!r}", file=sys.stderr, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, port = os.environ.get("RECEIVER_HOST", "127.0.0.1"), int(os.environ.get("RECEIVER_PORT", "8090"))
    ThreadingHTTPServer((host, port), Receiver).serve_forever()
