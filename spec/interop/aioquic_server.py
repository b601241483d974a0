"""An HTTP/3 server on aioquic: files of a folder (GET, HEAD), and POST /echo gives the body back. It gives
tickets, each of which is good once, and takes early data.

aioquic_server.py [--retry] HOST PORT KEY CERT DIR
"""
import argparse
import asyncio
import os

from aioquic.asyncio import serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated


class Server(QuicConnectionProtocol):
    root = "."

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = None
        self.requests = {}

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        if self.http is None:
            return
        for h3_event in self.http.handle_event(event):
            if isinstance(h3_event, HeadersReceived):
                self.requests.setdefault(h3_event.stream_id, (dict(h3_event.headers), []))
            # A repeated end of a stream is told again, which was answered then.
            if getattr(h3_event, "stream_id", None) not in self.requests:
                continue
            if isinstance(h3_event, DataReceived):
                self.requests[h3_event.stream_id][1].append(h3_event.data)
            if getattr(h3_event, "stream_ended", False):
                self.respond(h3_event.stream_id, *self.requests.pop(h3_event.stream_id))

    def respond(self, stream, fields, body):
        method = fields[b":method"].decode()
        path = fields[b":path"].decode().lstrip("/")
        content = None
        if method == "POST" and path == "echo":
            content = b"".join(body)
        elif method in ("GET", "HEAD"):
            file = os.path.realpath(os.path.join(self.root, path))
            if file.startswith(os.path.realpath(self.root) + os.sep) and os.path.isfile(file):
                with open(file, "rb") as handle:
                    content = handle.read()
        status = b"404" if content is None else b"200"
        content = content or b""
        headers = [(b":status", status), (b"content-length", str(len(content)).encode()), (b"server", b"aioquic")]
        ends = method == "HEAD" or not content
        self.http.send_headers(stream, headers, end_stream=ends)
        if not ends:
            self.http.send_data(stream, content, end_stream=True)
        self.transmit()


async def main(options):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(options.cert, options.key)
    configuration.max_data = 32 * 1024 * 1024
    configuration.max_stream_data = 16 * 1024 * 1024
    Server.root = options.dir
    sessions = {}
    await serve(
        options.host,
        options.port,
        configuration=configuration,
        create_protocol=Server,
        retry=options.retry,
        session_ticket_handler=lambda ticket: sessions.__setitem__(ticket.ticket, ticket),
        session_ticket_fetcher=lambda label: sessions.pop(label, None),
    )
    await asyncio.Future()


parser = argparse.ArgumentParser()
parser.add_argument("--retry", action="store_true")
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("key")
parser.add_argument("cert")
parser.add_argument("dir")
asyncio.run(main(parser.parse_args()))
