"""An HTTP/3 client on aioquic: fetches all paths at once on one connection.

aioquic_client.py --ca FILE [--cert FILE --key FILE] [--method M] [--data FILE] [--out DIR] [--session FILE [--early]]
    [--chacha20] [--v2] [--update-keys] HOST PORT PATH...
Prints "STATUS SIZE PATH" for each response; --out saves each body under the last component of its path. --session resumes
what is in the file and keeps the newest session there; --early asks without waiting for the handshake, by 0-RTT. --v2
begins with version 1 and offers 2 as the better one.
"""
import argparse
import asyncio
import os
import pickle
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset
from aioquic.quic.packet import QuicProtocolVersion
from aioquic.tls import CipherSuite


class Response:
    def __init__(self, future):
        self.future = future
        self.status = None
        self.body = []

    def finish(self):
        if not self.future.done():
            self.future.set_result((self.status, b"".join(self.body)))

    def fail(self, reason):
        if not self.future.done():
            self.future.set_exception(RuntimeError(reason))


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.responses = {}

    def request(self, method, authority, path, data):
        stream = self._quic.get_next_available_stream_id()
        response = Response(self._loop.create_future())
        self.responses[stream] = response
        headers = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", path.encode()),
            (b"user-agent", b"aioquic"),
        ]
        self.http.send_headers(stream, headers, end_stream=data is None)
        if data is not None:
            self.http.send_data(stream, data, end_stream=True)
        self.transmit()
        return response.future

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            for response in self.responses.values():
                response.fail(f"connection closed: {event.error_code} {event.reason_phrase}")
        if isinstance(event, StreamReset) and event.stream_id in self.responses:
            self.responses[event.stream_id].fail(f"stream reset: {event.error_code}")
        for h3_event in self.http.handle_event(event):
            response = self.responses.get(getattr(h3_event, "stream_id", None))
            if response is None:
                continue
            if isinstance(h3_event, HeadersReceived):
                fields = dict(h3_event.headers)
                if b":status" in fields:
                    response.status = fields[b":status"].decode()
            elif isinstance(h3_event, DataReceived):
                response.body.append(h3_event.data)
            if getattr(h3_event, "stream_ended", False):
                response.finish()


async def main(options):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="localhost")
    configuration.load_verify_locations(options.ca)
    if options.cert:
        configuration.load_cert_chain(options.cert, options.key)
    configuration.max_data = 32 * 1024 * 1024
    configuration.max_stream_data = 16 * 1024 * 1024
    if options.chacha20:
        configuration.cipher_suites = [CipherSuite.CHACHA20_POLY1305_SHA256]
    if options.v2:
        configuration.original_version = QuicProtocolVersion.VERSION_1
        configuration.supported_versions = [QuicProtocolVersion.VERSION_2, QuicProtocolVersion.VERSION_1]
    data = None
    if options.data:
        with open(options.data, "rb") as file:
            data = file.read()
    authority = f"localhost:{options.port}"
    knows_session = options.session is not None and os.path.exists(options.session)
    if knows_session:
        with open(options.session, "rb") as file:
            configuration.session_ticket = pickle.load(file)
    has_ticket = asyncio.Event()

    def keep(ticket):
        with open(options.session, "wb") as file:
            pickle.dump(ticket, file)
        has_ticket.set()

    async with connect(
        options.host,
        options.port,
        configuration=configuration,
        create_protocol=Client,
        session_ticket_handler=keep if options.session else None,
        wait_connected=not (options.early and knows_session),
    ) as client:
        futures = [client.request(options.method, authority, path, data) for path in options.paths]
        if options.update_keys:
            await client.ping()
            client.request_key_update()
        results = await asyncio.wait_for(asyncio.gather(*futures), options.seconds)
        if options.session and not knows_session:
            await asyncio.wait_for(has_ticket.wait(), options.seconds)
    for path, (status, body) in zip(options.paths, results):
        print(status, len(body), path)
        if options.out:
            with open(os.path.join(options.out, os.path.basename(path)), "wb") as file:
                file.write(body)


parser = argparse.ArgumentParser()
parser.add_argument("--ca", required=True)
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--method", default="GET")
parser.add_argument("--data")
parser.add_argument("--out")
parser.add_argument("--session")
parser.add_argument("--early", action="store_true")
parser.add_argument("--chacha20", action="store_true")
parser.add_argument("--v2", action="store_true")
parser.add_argument("--update-keys", action="store_true")
parser.add_argument("--seconds", type=float, default=280)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("paths", nargs="+")
try:
    asyncio.run(main(parser.parse_args()))
except Exception as error:  # one line instead of a traceback: the caller prints it
    sys.exit(f"{type(error).__name__}: {error}")
