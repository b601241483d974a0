#!/usr/bin/env python3
"""A TLS 1.3 peer of Python's ssl module: records_peer.py server|client PORT CERT KEY CA [option=value ...].

It echoes one line, as often as it is connected to (server); a client sends "ping" and wants "pong", `times` times, and
says "resumed" where it was. Options: group, times, client_cert (a server asks for one: "required" or not),
shows (a client has the certificate)."""
import socket
import ssl
import sys

role, port, certificate, key, ca = sys.argv[1:6]
options = dict(argument.split("=", 1) for argument in sys.argv[6:])
is_server = role == "server"

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
context.minimum_version = ssl.TLSVersion.TLSv1_3
# QUIC knows no session ids, with which TLS over TCP deceives middle boxes.
context.options &= ~ssl.OP_ENABLE_MIDDLEBOX_COMPAT
context.set_alpn_protocols(["h3"])
context.load_verify_locations(ca)
if "group" in options:
    context.set_ecdh_curve(options["group"])
if is_server or "shows" in options:
    context.load_cert_chain(certificate, key)
if is_server and "client_cert" in options:
    context.verify_mode = ssl.CERT_REQUIRED if options["client_cert"] == "required" else ssl.CERT_OPTIONAL


def serve(connection):
    with connection:
        line = connection.recv(16384)
        connection.sendall(line.upper())
        while connection.recv(16384):
            pass


def ask(session):
    tcp = socket.create_connection(("127.0.0.1", int(port)), timeout=10)
    with context.wrap_socket(tcp, server_hostname="example.test", session=session) as connection:
        connection.sendall(b"ping\n")
        answer = b""
        while not answer.endswith(b"\n"):
            more = connection.recv(16384)
            if not more:
                raise SystemExit("closed behind %r" % answer)
            answer += more
        print(answer.decode().strip(), connection.selected_alpn_protocol(), connection.cipher()[0],
              "resumed" if connection.session_reused else "full", flush=True)
        return connection.session


if is_server:
    listener = socket.create_server(("127.0.0.1", int(port)))
    print("listening on", listener.getsockname()[1], flush=True)
    while True:
        tcp, _ = listener.accept()
        tcp.settimeout(10)
        try:
            serve(context.wrap_socket(tcp, server_side=True))
            print("served", flush=True)
        except (ssl.SSLError, OSError) as error:
            print("failed:", error, flush=True)
else:
    kept = None
    for _ in range(int(options.get("times", "1"))):
        kept = ask(kept)
