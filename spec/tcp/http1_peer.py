"""HTTP/1.1 of Python's own, for spec/tcp/http1_peers_spec.lua: `ask PORT` is a client with one connection, `serve` a server
that prints its port."""
import http.client
import http.server
import sys


def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for method, path, body, chunked in [
        ("GET", "/a", None, False),
        ("HEAD", "/a", None, False),
        ("POST", "/b", b"x" * 200000, False),
        ("PUT", "/c", iter([b"one", b"two" * 10000, b"three"]), True),
        ("DELETE", "/nothing", None, False),
        ("GET", "/chunks", None, False),
    ]:
        connection.request(method, path, body, {"X-Name": "value"}, encode_chunked=chunked)
        answer = connection.getresponse()
        print(method, path, answer.status, len(answer.read()), answer.getheader("x-told"), flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline() != b"\r\n":
            pass
        return b"".join(parts)

    def do_GET(self):
        body = self.read_body() or b"y" * 100000
        self.send_response(200)
        self.send_header("X-Told", f"{self.command} {self.path} {self.headers['X-Name']}")
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 7000):
                part = body[at:at + 7000]
                self.wfile.write(b"%x;name=value\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\nX-Sum: 1\r\n\r\n")
            return
        if self.path == "/end":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET


if sys.argv[1] == "ask":
    ask(int(sys.argv[2]))
else:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
