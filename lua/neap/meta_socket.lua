---@meta
--- Types for editors: descriptors and sockets of tasks.

--- A descriptor that tasks read, write and wait for; it never holds the loop.
---@class neap.Descriptor
---@field timeout number? seconds that a read, write or wait may take
local Descriptor = {}
--- Like io: a number for exactly so many bytes, "*l" for a line without its end, nothing for whatever is there. nil at the
--- end, also one that comes too early; "limit" beyond 1 MiB.
---@param what? integer|string
---@return string? bytes
---@return string? message
---@return neap.Code? code
function Descriptor:read(what) end
--- All of it, waiting while the other side is slower.
---@param bytes string
---@return true? ok
---@return string? message
---@return neap.Code? code
function Descriptor:write(bytes) end
--- Until it can be read or written, and takes nothing: for descriptors that a library reads.
---@param what "r"|"w"|"rw"
---@param seconds? number those of `timeout` unless told
---@return true? ok
---@return string? message
---@return neap.Code? code
function Descriptor:wait(what, seconds) end
---@return integer? number nil when it is closed
function Descriptor:fd() end
function Descriptor:close() end

--- Sockets with the names and results of LuaSocket 3, and of LuaSec for TLS; all that waits yields, so they are for tasks.
---@class neap.socket
---@field BLOCKSIZE integer
---@field dns neap.socket.dns
---@field ssl neap.socket.ssl
---@field unix fun(): neap.Tcp a stream socket of unix(7): its names are paths
local socket = {}
--- From now on require "socket", "socket.unix" and "ssl" give these, so that libraries written for LuaSocket and LuaSec run
--- unchanged in tasks: before they are required.
---@return neap.socket
function socket.install() end
---@return neap.Tcp
function socket.tcp() end
---@return neap.Tcp
function socket.tcp4() end
---@return neap.Tcp
function socket.tcp6() end
---@return neap.UdpSocket
function socket.udp() end
---@return neap.UdpSocket
function socket.udp4() end
---@return neap.UdpSocket
function socket.udp6() end
--- By whichever of its addresses answers first (RFC 8305).
---@param host string
---@param port integer
---@param local_host? string
---@param local_port? integer
---@param family? "inet"|"inet6"
---@return neap.Tcp? connected
---@return string? message
function socket.connect(host, port, local_host, local_port, family) end
---@param host string
---@param port integer
---@param local_host? string
---@param local_port? integer
---@return neap.Tcp? connected
---@return string? message
function socket.connect4(host, port, local_host, local_port) end
---@param host string
---@param port integer
---@param local_host? string
---@param local_port? integer
---@return neap.Tcp? connected
---@return string? message
function socket.connect6(host, port, local_host, local_port) end
---@param host string "*" for all addresses
---@param port integer 0: any
---@param backlog? integer
---@return neap.Tcp? listening
---@return string? message
function socket.bind(host, port, backlog) end
--- Each socket may be waited for by one task at a time. Others' objects need getfd().
---@param reads? table
---@param writes? table
---@param timeout? number seconds
---@return table readable a list, and by socket
---@return table writable
---@return string? message "timeout"
function socket.select(reads, writes, timeout) end
---@return number seconds since 1970
function socket.gettime() end
---@param seconds number
function socket.sleep(seconds) end
---@param finalizer? function
---@return function try
function socket.newtry(finalizer) end
function socket.try(...) end
---@param fn function
---@return function protected
function socket.protect(fn) end
---@param count integer
function socket.skip(count, ...) end
---@param constructors table
---@return function
function socket.choose(constructors) end
--- Of LTN 12: "close-when-done" or "keep-open".
function socket.sink(name, tcp) end
--- Of LTN 12: "by-length" or "until-closed".
function socket.source(name, tcp, length) end

---@class neap.socket.dns
local dns = {}
---@param host string
---@return string? ip
---@return table|string info
function dns.toip(host) end
---@param host string
---@return table? list of { family =, addr = }
---@return string? message
function dns.getaddrinfo(host) end
---@return string
function dns.gethostname() end
---@param ip string
---@return string? name
---@return table|string info { name =, ip =, alias = }, or a text
function dns.tohostname(ip) end

---@class neap.socket.ssl
local ssl = {}
--- `mode` "client" (the preset) or "server"; `verify` "none" (the preset, as LuaSec's) or "peer"; `cafile`, `capath`,
--- `certificate`, `key`: paths; `alpn`: a name or a list; or `config`, one of neap.lowlevel.
---@param tcp neap.Tcp
---@param params table
---@return neap.Tcp
function ssl.wrap(tcp, params) end
---@param params table
---@return table params
function ssl.newcontext(params) end

--- A TCP or Unix stream socket.
---@class neap.Tcp
local Tcp = {}
---@param value? number seconds; nil: no bound
---@param mode? "b"|"t" each wait, or a call in all
---@return 1
function Tcp:settimeout(value, mode) end
---@return number each
---@return number all
function Tcp:gettimeout() end
---@param host string
---@param port? integer
---@return 1? ok
---@return string? message
function Tcp:connect(host, port) end
---@param host string
---@param port? integer
---@return 1? ok
---@return string? message
function Tcp:bind(host, port) end
---@param backlog? integer
---@return 1? ok
---@return string? message
function Tcp:listen(backlog) end
---@return neap.Tcp? client
---@return string? message
function Tcp:accept() end
--- A line of at most 1 MiB without its end, so many bytes of at most 64 MiB, or all until the other side ends.
---@param pattern? integer|"*l"|"*a"
---@param prefix? string
---@return string? data
---@return string? message "closed", "timeout", "limit", …
---@return string? partial
function Tcp:receive(pattern, prefix) end
---@param data string
---@param i? integer
---@param j? integer
---@return integer? last place of the last byte that was sent
---@return string? message
---@return integer? last
function Tcp:send(data, i, j) end
---@param how? "both"|"send"|"receive"
---@return 1? ok
---@return string? message
function Tcp:shutdown(how) end
---@return 1
function Tcp:close() end
---@return string? ip
---@return integer|string port
---@return string? family
function Tcp:getpeername() end
---@return string? ip
---@return integer|string port
---@return string? family
function Tcp:getsockname() end
---@param name string of LuaSocket's
---@param value any
---@return 1? ok
---@return string? message
function Tcp:setoption(name, value) end
---@param name string
function Tcp:getoption(name) end
---@return integer received
---@return integer sent
---@return number seconds
function Tcp:getstats() end
---@return string
function Tcp:getfamily() end
---@return integer
function Tcp:getfd() end
---@return boolean
function Tcp:dirty() end
--- The name that TLS asks for and verifies; that of connect unless told.
---@param name string
---@return true
function Tcp:sni(name) end
--- Of what ssl.wrap has wrapped; a socket whose handshake fails is closed.
---@return true? ok
---@return string? message
function Tcp:dohandshake() end
--- By the system's roots; `verify` false: without verification.
---@param session any not used
---@param name? string
---@param verify? boolean
---@return true? ok
---@return string? message
function Tcp:sslhandshake(session, name, verify) end
---@param what? string
---@return table|string|nil info { protocol =, cipher =, alpn =, server_name = }
---@return string? message
function Tcp:info(what) end
---@param index? integer
---@return string? der
function Tcp:peer_certificate(index) end

--- A UDP socket; what it has of Tcp's methods does the same.
---@class neap.UdpSocket
local UdpSocket = {}
---@param host string
---@param port integer
---@return 1? ok
---@return string? message
function UdpSocket:setsockname(host, port) end
---@param host string "*": nobody any more
---@param port? integer
---@return 1? ok
---@return string? message
function UdpSocket:setpeername(host, port) end
---@param data string
---@return 1? ok
---@return string? message
function UdpSocket:send(data) end
---@param data string
---@param host string
---@param port integer
---@return 1? ok
---@return string? message
function UdpSocket:sendto(data, host, port) end
---@param size? integer
---@return string? data
---@return string? message
function UdpSocket:receive(size) end
---@param size? integer
---@return string? data
---@return string ip or why there is none
---@return integer? port
function UdpSocket:receivefrom(size) end

--- Child processes.
---@class neap.process
local process = {}
---@class neap.Command list of words, the first found by PATH
---@field stdin? "pipe"|"null"|"inherit" "null"
---@field stdout? "pipe"|"null"|"inherit" "pipe"
---@field stderr? "pipe"|"null"|"inherit" "inherit", of run "pipe"
---@field env? table<string, string|false> what differs from this process's environment
---@field cwd? string
---@field input? string of run: for its standard input
---@field limit? integer of run: bytes of each stream, 16 MiB
---@field timeout? number of run: seconds
--- It is reaped by the loop, whoever waits for it, and does not hold neap.run.
---@param command neap.Command
---@return neap.Process? process
---@return string? message
---@return neap.Code? code
---@return integer? errno
function process.start(command) end
--- To its end; killed for "limit" or "timeout".
---@param command neap.Command
---@return { code: integer?, signal: integer?, stdout: string?, stderr: string? }? result
---@return string? message
---@return neap.Code? code
function process.run(command) end

---@class neap.Process
---@field pid integer
---@field stdin neap.Descriptor?
---@field stdout neap.Descriptor?
---@field stderr neap.Descriptor?
local Process = {}
---@param seconds? number
---@return integer? code
---@return string? message
---@return string? why "signal", "timeout", …
---@return integer? signal
function Process:wait(seconds) end
---@param signal? string|integer "TERM"
---@return true? ok
---@return string? message
---@return neap.Code? code
function Process:kill(signal) end
