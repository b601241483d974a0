"""A plain HTTP/1.1 server for the proxies among the peers: files of a folder, and POST /echo gives the body back.

backend.py PORT DIR
"""
import http.server
import os
import shutil
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        root = os.path.realpath(sys.argv[2])
        file = os.path.realpath(os.path.join(root, self.path.lstrip("/")))
        if not file.startswith(root + os.sep) or not os.path.isfile(file):
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("content-length", str(os.path.getsize(file)))
        self.end_headers()
        if self.command == "GET":
            with open(file, "rb") as handle:
                shutil.copyfileobj(handle, self.wfile)

    do_HEAD = do_GET

    def do_POST(self):
        body = b""
        if "content-length" in self.headers:
            body = self.rfile.read(int(self.headers["content-length"]))
        else:  # chunked: what a proxy sends when the request had no length
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    break
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer.request_queue_size = 256
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
