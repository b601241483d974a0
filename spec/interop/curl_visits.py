"""Visits pages with libcurl one after the other, each on a connection of its own, and prints what each said in a line.

curl_visits.py LIBRARY CA CERT KEY EARLY URL...
The curl program has one connection for all its URLs, and keeps sessions in files only where it was built so. LIBRARY is
libcurl-gnutls.so.4 or libcurl.so.4; CERT and KEY may be "-"; EARLY is "early" or "-".
"""
import ctypes
import sys

FORBID_REUSE, HTTP_VERSION, IPRESOLVE, SSL_OPTIONS = 75, 84, 113, 216
CAINFO, SSLCERT, SSLKEY, URL = 10065, 10025, 10087, 10002
WRITEFUNCTION = 20011
HTTP_3_ONLY, IPV4, EARLYDATA = 31, 1, 1 << 6

library, ca, cert, key, early, *urls = sys.argv[1:]
curl = ctypes.CDLL(library)
curl.curl_easy_init.restype = ctypes.c_void_p
curl.curl_easy_strerror.restype = ctypes.c_char_p
curl.curl_global_init(3)
easy = ctypes.c_void_p(curl.curl_easy_init())


def check(code):
    if code:
        sys.exit(curl.curl_easy_strerror(code).decode())


def set_option(option, value):
    value = value.encode() if isinstance(value, str) else ctypes.c_long(value)
    check(curl.curl_easy_setopt(easy, ctypes.c_int(option), value))


body = []


@ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)
def write(data, size, count, _):
    body.append(data[: size * count])
    return size * count


set_option(HTTP_VERSION, HTTP_3_ONLY)
set_option(IPRESOLVE, IPV4)
set_option(FORBID_REUSE, 1)
set_option(CAINFO, ca)
if early == "early":
    set_option(SSL_OPTIONS, EARLYDATA)
if cert != "-":
    set_option(SSLCERT, cert)
    set_option(SSLKEY, key)
check(curl.curl_easy_setopt(easy, ctypes.c_int(WRITEFUNCTION), write))
for url in urls:
    body.clear()
    set_option(URL, url)
    check(curl.curl_easy_perform(easy))
    print(b"".join(body).decode(), flush=True)
