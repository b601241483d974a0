"""Clients over TCP that behave badly, for scripts/bench soak: soak_tcp.py PORT SECONDS SEED"""
import random, socket, ssl, sys, time

port, seconds, seed = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
random.seed(seed)
ends_at = time.time() + seconds
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.set_alpn_protocols(["http/1.1"])
counts = {}


def reach():
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10))


def half_a_handshake():
    s = socket.create_connection(("127.0.0.1", port), timeout=10)
    s.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[: random.randint(0, 7)])
    s.close()


def half_a_request():
    s = reach()
    s.sendall(b"GET /json HTTP/1.1\r\nhost: a\r\nx: "[: random.randint(1, 30)])
    s.close()


def keeps_alive():
    s = reach()
    for _ in range(random.randint(1, 10)):
        s.sendall(b"GET /json HTTP/1.1\r\nhost: a\r\n\r\n")
        assert s.recv(65536).startswith(b"HTTP/1.1 200"), "no answer"
    s.close()


def leaves_early():
    s = reach()
    s.sendall(b"GET /much HTTP/1.1\r\nhost: a\r\n\r\n")
    for _ in range(random.randint(0, 5)):
        s.recv(16384)
    s.close()


def breaks_an_upload_off():
    s = reach()
    s.sendall(b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n" + b"x" * random.randint(0, 99999))
    s.close()


def sends_rubbish():
    s = reach()
    s.sendall(random.randbytes(random.randint(1, 3000)) + b"\r\n\r\n")
    s.recv(1000)
    s.close()


def listens():
    s = reach()
    s.sendall(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n")
    for _ in range(random.randint(1, 20)):
        s.recv(4096)
    s.close()


visits = [half_a_handshake, half_a_request, keeps_alive, leaves_early, breaks_an_upload_off, sends_rubbish, listens]
while time.time() < ends_at:
    visit = random.choice(visits)
    try:
        visit()
    except (ConnectionError, ssl.SSLError):  # what sends rubbish may be reset
        assert visit is sends_rubbish or visit is breaks_an_upload_off, visit
    counts[visit.__name__] = counts.get(visit.__name__, 0) + 1
    time.sleep(random.random() * 0.02)
for name in sorted(counts):
    print(name, counts[name])
