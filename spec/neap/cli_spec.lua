local authority = require "spec.crypto.authority"
local helper = require "helper"
local core = require "neap.core"
local support = require "support.program"

local neap = support.neap

describe("neap", function()
  local folder

  setup(function() folder = helper.make_dir() end)
  teardown(function() helper.remove_dir(folder) end)
  after_each(support.end_all)

  it("says its version and its libraries", function()
    local output, status = helper.run(neap .. " --version")
    assert.equal(0, status)
    assert.matches("^neap %d+%.%d+%.%d+ %(Mbed TLS %d", output)
  end)

  it("says what computes AES-GCM, which NEAP_CRYPTO chooses", function()
    assert.matches("\nAES%-GCM: %w+\n$", (helper.run(neap .. " --version -v")))
    assert.matches("\nAES%-GCM: mbedtls\n$", (helper.run("NEAP_CRYPTO=mbedtls " .. neap .. " --version -v")))
  end)

  it("says in one line that NEAP_CRYPTO names nothing that is here, and what there is", function()
    local names = core.engines()
    local line = ("NEAP_CRYPTO=abacus is not here: %s computes AES-GCM (there are: %s)"):format(names[1],
      table.concat(names, ", "))
    local output, status = helper.run("NEAP_CRYPTO=abacus " .. neap .. " --version -v 2>&1 >/dev/null")
    assert.same({ "neap: " .. line .. "\n", 1 }, { output, status })
    output, status = helper.run("NEAP_CRYPTO=abacus " .. neap .. " -e 'print(1)' 2>&1 >/dev/null")
    assert.equal(0, status)
    assert.equal("warn " .. line .. "\n", (output:gsub("^%S+ ", "")))
    table.insert(names, "") -- as if it were not set
    for _, name in ipairs(names) do
      output, status = helper.run("NEAP_CRYPTO=" .. name .. " " .. neap .. " -e 'print(1)' 2>&1")
      assert.same({ "1\n", 0 }, { output, status })
    end
  end)

  it("helps with itself and each command", function()
    for _, words in ipairs { "--help", "run --help", "serve --help", "get --help", "cert --help",
      "pin --help", "options --help" } do
      local output, status = helper.run(neap .. " " .. words)
      assert.equal(0, status, words)
      assert.matches("neap", output)
      for line in output:gmatch("[^\n]+") do assert.is_true(#line <= 120, line) end
    end
  end)

  it("lists the options of servers and clients", function()
    local output, status = helper.run(neap .. " options")
    assert.equal(0, status)
    assert.matches("max_ack_delay %(seconds from 0 to 16.383; default 0.025%)\n    %a", output)
    assert.matches("pacing %(true or false; default true%)", output)
    assert.matches("handshake_rate %([^;]*; default follows the kind of its keys", output)
  end)

  it("answers wrong usage with one clear line and exit code 2", function()
    for words, what in pairs {
      ["fly"] = "no command fly", ["run"] = "which file", ["serve"] = "which folder", ["get"] = "which URL",
      ["get --nope https://x/"] = "unknown option %-%-nope", ["get -o"] = "needs a value",
      ["get --early https://x/"] = "%-%-early needs %-%-sessions FILE",
      ["get --progress-timeout 0 https://x/"] = "%-%-progress%-timeout takes seconds",
      ["get --timeout soon https://x/"] = "%-%-timeout takes seconds",
      ["get --versions v3 https://x/"] = "%-%-versions are v1 and v2",
      ["get --versions v1,v1 https://x/"] = "%-%-versions are v1 and v2",
      ["get --http3-only http://x/"] = "https", ["get ftp://x/"] = "https:// or http://",
      ["get --http2 --http1.1 https://x/"] = "do not go together", ["serve . --listen nowhere"] = "not an address",
      ["serve . --cert x"] = "go together",
      ["cert --days 0"] = "days", ["-e"] = "piece of Lua", ["get https://x/ https://y/"] = "%-o FOLDER or %-O",
      ["get -O -o a https://x/"] = "%-o and %-O do not go together",
      ["get --parallel-max 0 https://x/"] = "%-%-parallel%-max takes 1 to 300",
      ["get --pin sha256//x https://x/"] = "a pin is sha256//BASE64, not sha256//x", ["pin"] = "which file",
      ["get -k --ca x https://x/"] = "%-%-ca checks nothing with %-k",
      ["bench -k --ca x https://x/"] = "%-%-ca checks nothing with %-k",
      ["get -o a --output b https://x/"] = "option %-%-output comes twice",
      ["get --psk a:00 --psk=b:00 https://x/"] = "option %-%-psk comes twice",
      ["get -k --insecure https://x/"] = "option %-%-insecure comes twice",
      ["serve . --cert a --key a --cert b"] = "option %-%-cert comes twice",
      ["bench -n 1 -n 2 https://x/"] = "option %-n comes twice",
    } do
      local output, status = helper.run(neap .. " " .. words)
      assert.equal(2, status, words .. ": " .. output)
      assert.matches("^neap: [^\n]*" .. what, output)
    end
  end)

  it("answers missing files and bad certificates with one clear line and exit code 1", function()
    helper.write_file(folder .. "/bad.pem", "no certificate")
    helper.write_file(folder .. "/broken.lua", "return (")
    for words, what in pairs {
      ["run " .. folder .. "/none.lua"] = "none.lua", ["run " .. folder .. "/broken.lua"] = "broken.lua:1",
      ["serve " .. folder .. "/none"] = "none", ["-e 'error(\"high water\")'"] = "high water",
      ["serve " .. folder .. " --listen 127.0.0.1:0 --cert " .. folder .. "/bad.pem --key " .. folder .. "/bad.pem"]
        = "bad%.pem",
      ["get -k --timeout 0.3 https://127.0.0.1:9/"] = "127.0.0.1",
      ["get -k --progress-timeout 0.3 https://127.0.0.1:9/"] = "127.0.0.1",
      ["get https://no-such-host.invalid/"] = "no%-such%-host",
    } do
      local output, status = helper.run(neap .. " " .. words)
      assert.equal(1, status, words .. ": " .. output)
      assert.matches("^neap: [^\n]*" .. what, output)
    end
  end)

  it("runs a piece of Lua with its arguments", function()
    local output, status = helper.run(neap .. [[ -e 'print(require("neap")._VERSION, arg[2], ...)' one two]])
    assert.equal(0, status, output)
    assert.matches("^neap %S+\ttwo\tone\ttwo\n$", output)
  end)

  it("makes no certificate for what no host is called", function()
    local output, status = helper.run(("%s cert %s/odd --name https://a.example/"):format(neap, folder))
    assert.equal(2, status)
    assert.matches("^neap: %-%-name takes a host", output)
    assert.is_nil(core.stat(folder .. "/odd"))
  end)

  it("takes no name for a certificate's folder", function()
    local output, status = helper.run(("cd %s && %s cert localhost"):format(folder, neap))
    assert.equal(2, status)
    assert.matches("%-%-name", output)
    assert.is_nil(io.open(folder .. "/localhost/cert.pem"))
    output, status = helper.run(("cd %s && %s cert ./localhost"):format(folder, neap))
    assert.equal(0, status, output)
    output, status = helper.run(("cd %s && %s cert localhost"):format(folder, neap))
    assert.equal(0, status, output)
  end)

  it("makes a certificate that a server can use and a client can trust", function()
    local output, status = helper.run(neap .. " cert " .. folder .. "/made")
    assert.equal(0, status, output)
    assert.matches("BEGIN CERTIFICATE", (helper.read_file(folder .. "/made/cert.pem")))
    assert.matches("PRIVATE KEY", (helper.read_file(folder .. "/made/key.pem")))
    local mode = helper.run("stat -c %a " .. folder .. "/made/key.pem")
    assert.equal("600\n", mode)
    helper.write_file(folder .. "/page.txt", "a page")
    local server = support.start(("serve %s --listen 127.0.0.1:0 --cert %s/made/cert.pem --key %s/made/key.pem")
      :format(folder, folder, folder))
    output, status = helper.run(("%s get --ca %s/made/cert.pem %spage.txt"):format(neap, folder, server.url))
    assert.same({ "a page", 0 }, { output, status })
    output, status = helper.run(("%s get %spage.txt"):format(neap, server.url))
    assert.equal(1, status)
    assert.matches("unknown_ca", output)
    assert.equal(0, server:stop())
  end)

  it("serves a folder with lists, caching and what is compressed already, if it is told to", function()
    local www = folder .. "/www"
    helper.run(("mkdir -p %s"):format(www))
    helper.write_file(www .. "/page.txt", "a page")
    helper.write_file(www .. "/page.txt.gz", "compressed")
    helper.write_file(www .. "/.dot", "dot")
    local server = support.start(("serve %s --listen 127.0.0.1:0 --list --precompressed --cache max-age=9 --hidden -q")
      :format(www))
    local function get(words) return (helper.run(("%s get -k -s -i %s"):format(neap, words))) end
    assert.matches('<a href="./page.txt">', get(server.url))
    local page = get("-H 'accept-encoding: gzip' " .. server.url .. "page.txt")
    assert.matches("content%-encoding: gzip", page)
    assert.matches("cache%-control: max%-age=9", page)
    assert.matches("dot$", get(server.url .. ".dot"))
    assert.equal(0, server:stop())
    server = support.start(("serve %s --listen 127.0.0.1:0 --quiet"):format(www))
    assert.matches("^HTTP/3 404", get(server.url))
    assert.equal(0, server:stop())
  end)

  it("knows a server by the pin of its key, beside the roots or alone", function()
    local made = folder .. "/pinned"
    assert.equal(0, select(2, helper.run(neap .. " cert " .. made)))
    assert.equal(0, select(2, helper.run(neap .. " cert " .. made .. "/other")))
    helper.write_file(folder .. "/page.txt", "a page")
    local server = support.start(("serve %s --listen 127.0.0.1:0 --cert %s/cert.pem --key %s/key.pem")
      :format(folder, made, made))
    local function pin_of(path)
      local output, status = helper.run(("%s pin %s/cert.pem"):format(neap, path))
      assert.equal(0, status, output)
      return output:match("^(sha256//%S+)\n$")
    end
    local good, other = pin_of(made), pin_of(made .. "/other")
    local trusted = "--ca " .. made .. "/cert.pem"
    for words, what in pairs {
      ["-k --pin GOOD"] = true, ["TRUSTED --pin GOOD"] = true, ["-k --pin OTHER --pin GOOD"] = true,
      ["-k --pin 'OTHER;GOOD'"] = true, ["-k --pin OTHER"] = "pinned", ["TRUSTED --pin OTHER"] = "pinned",
      ["--pin GOOD"] = "the pin alone says who the server is", -- unknown_ca: the system's roots do not know it
    } do
      words = words:gsub("%u%u+", { GOOD = good, OTHER = other, TRUSTED = trusted })
      local output, status = helper.run(("%s get %s %spage.txt"):format(neap, words, server.url))
      if what == true then
        assert.same({ "a page", 0 }, { output, status }, words)
      else
        assert.same({ 1, what }, { status, output:match(what) }, words .. ": " .. output)
      end
    end
    assert.equal(0, server:stop())
  end)

  it("looks into each --crl and believes each --ca", function()
    local ca = authority.new()
    finally(function() ca:remove() end)
    ca:issue { name = "root", extensions = authority.CA }
    ca:issue { name = "other", extensions = authority.CA }
    ca:issue { name = "here", issuer = "root",
      extensions = (authority.SERVER:gsub("DNS:tide.example", "IP:127.0.0.1")) }
    ca:crl { issuer = "root", revoked = { "here" } }
    ca:crl { issuer = "other" }
    helper.write_file(folder .. "/page.txt", "a page")
    local server = support.start(("serve %s --listen 127.0.0.1:0 --cert %s/here.pem --key %s/here.key")
      :format(folder, ca.dir, ca.dir))
    local function get(words)
      return helper.run(("%s get -s %s %spage.txt"):format(neap, words:gsub("DIR", ca.dir), server.url))
    end
    local output, status = get "--ca DIR/root.pem --crl DIR/root-list.pem --crl DIR/other-list.pem"
    assert.same({ 1, "has been revoked" }, { status, output:match("has been revoked") }, output)
    assert.same({ "a page", 0 }, { get "--ca DIR/root.pem --ca DIR/other.pem" })
    assert.same({ "a page", 0 }, { get "--ca DIR/other.pem --ca DIR/root.pem" })
    assert.equal(0, server:stop())
  end)

  it("says the pins of several certificates with their files, and of none", function()
    local made = folder .. "/several"
    assert.equal(0, select(2, helper.run(neap .. " cert " .. made)))
    local output = helper.run(("%s pin %s/cert.pem %s/cert.pem"):format(neap, made, made))
    assert.matches("^sha256//%S+  %S+/cert.pem\nsha256//%S+  %S+/cert.pem\n$", output)
    local said, status = helper.run(("%s pin %s/key.pem"):format(neap, made))
    assert.equal(1, status)
    assert.matches("^neap: %S+/key.pem: ", said)
  end)

  it("refuses a port that is in use", function()
    local server = support.start("serve " .. folder .. " --listen 127.0.0.1:0")
    local output, status = helper.run(neap .. " serve " .. folder .. " --listen 127.0.0.1:" .. server.port)
    assert.equal(1, status)
    assert.matches("^neap: [^\n]*in use\n$", output)
    output, status = helper.run(("NEAP_LISTEN=127.0.0.1:%d %s run %s/examples/hello.lua"):format(
      server.port, neap, helper.source_dir))
    assert.equal(1, status)
    assert.matches("^neap: [^\n]*in use\n$", output)
    assert.equal(0, server:stop())
  end)

  it("refuses half of a certificate and its key, in one line", function()
    local address = "NEAP_LISTEN=127.0.0.1:0 "
    local hello = neap .. " run " .. helper.source_dir .. "/examples/hello.lua"
    local output, status = helper.run("NEAP_CERT=x.pem " .. address .. hello)
    assert.equal("neap: NEAP_CERT needs NEAP_KEY\n", output)
    assert.equal(1, status)
    output, status = helper.run("NEAP_KEY=x.pem " .. address .. hello)
    assert.equal("neap: NEAP_KEY needs NEAP_CERT\n", output)
    assert.equal(1, status)
  end)

  it("keeps its development certificate", function()
    local first = support.start("serve " .. folder .. " --listen 127.0.0.1:0")
    first:stop()
    local cert = assert(helper.read_file(support.cache .. "/neap/dev-cert.pem"))
    local second = support.start("serve " .. folder .. " --listen 127.0.0.1:0")
    second:stop()
    assert.equal(cert, helper.read_file(support.cache .. "/neap/dev-cert.pem"))
  end)

  it("drains and exits with 0 on SIGTERM while a request is open", function()
    helper.write_file(folder .. "/slow.lua", [[
      local neap = require "neap"
      local app = neap.app()
      app:get("/", function(_, res)
        res:write("first ")
        neap.sleep(0.6)
        res:write("last")
      end)
      assert(app:listen { host = "127.0.0.1", port = 0 })
    ]])
    local server = support.start("run " .. folder .. "/slow.lua")
    os.execute(("%s get -k %s > %s/slow.out 2>&1 &"):format(neap, server.url, folder))
    support.wait_until(function() return (helper.read_file(folder .. "/slow.out") or "") ~= "" end)
    assert.equal(0, server:stop())
    support.wait_until(function() return helper.read_file(folder .. "/slow.out") == "first last" end)
  end)

  it("writes TLS secrets where SSLKEYLOGFILE says", function()
    helper.write_file(folder .. "/x.txt", "x")
    local server = support.start("serve " .. folder .. " --listen 127.0.0.1:0")
    local output = helper.run(("SSLKEYLOGFILE=%s/keys.log %s get -k %sx.txt"):format(folder, neap, server.url))
    assert.equal("x", output)
    local keys = assert(helper.read_file(folder .. "/keys.log"))
    for _, label in ipairs { "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0" } do
      assert.matches(label .. " %x+ %x+", keys)
    end
    assert.equal(0, server:stop())
  end)

  it("fetches with method, headers, body, to a file, and tells what happened", function()
    helper.write_file(folder .. "/echo.lua", [[
      local app = require("neap").app()
      app:any("/*path", function(req)
        return 200, { method = req.method, path = req.params.path, body = req:body(), x = req.headers["x-y"],
          type = req.headers["content-type"] }, { ["x-back"] = "1" }
      end)
      assert(app:listen { host = "127.0.0.1", port = 0 })
    ]])
    local server = support.start("run " .. folder .. "/echo.lua")
    local function get(words)
      local output, status = helper.run(neap .. " get -k " .. words:gsub("URL", server.url))
      assert.equal(0, status, output)
      return output
    end
    assert.equal('{"body":"","method":"GET","path":"a"}', get("URLa"))
    assert.equal('{"body":"b=1","method":"POST","path":"","type":"application/x-www-form-urlencoded","x":"z"}',
      get("-d b=1 -H 'X-Y: z' URL"))
    assert.equal('{"body":"","method":"PURGE","path":""}', get("-X PURGE URL"))
    local head = get("-I URL")
    assert.matches("^HTTP/3 200\n", head)
    assert.matches("x%-back: 1\n", head)
    helper.write_file(folder .. "/in.bin", ("data\0"):rep(1000))
    assert.equal('{"body":"","method":"GET","path":"here"}', get("-o - URLhere"))
    get("-s -o " .. folder .. "/out.json -d @" .. folder .. "/in.bin URLup")
    assert.matches('^{"body":"data\\u0000data', (helper.read_file(folder .. "/out.json")))
    local told = get("-v URL")
    assert.matches("< HTTP/3 200", told)
    assert.matches("ALPN h3, [xX]25519", told)
    assert.matches("datagrams of up to 1200 bytes sent: 0 tried a larger size, 0 of them lost, 0 black holes", told)
    os.execute("mkdir -p " .. folder .. "/many")
    get(("-s -o %s/many URLone URLtwo URLthree"):format(folder))
    assert.matches('"path":"two"', (helper.read_file(folder .. "/many/two")))
    assert.equal(0, server:stop())
  end)

  it("fetches no more URLs at once than it was told, into files that are called as they are", function()
    helper.write_file(folder .. "/most.lua", [[
      local neap = require "neap"
      local app, running = neap.app(), 0
      app:get("/*path", function()
        running = running + 1
        local seen = running
        neap.sleep(0.1)
        running = running - 1
        return 200, tostring(seen)
      end)
      assert(app:listen { host = "127.0.0.1", port = 0 })
    ]])
    local server = support.start("run " .. folder .. "/most.lua")
    os.execute("mkdir -p " .. folder .. "/named")
    local function most(words)
      local urls = {}
      for i = 1, 5 do urls[i] = server.url .. "deep/f" .. i .. "?q" end
      local output, status = helper.run(("cd %s/named && rm -f * && %s get -k -s -O %s %s"):format(folder, neap, words,
        table.concat(urls, " ")))
      assert.equal(0, status, output)
      local largest = 0
      for i = 1, 5 do
        largest = math.max(largest, tonumber((helper.read_file(("%s/named/f%d"):format(folder, i)))))
      end
      return largest
    end
    assert.equal(1, most("--parallel-max 1"))
    assert.equal(2, most("--parallel-max 2"))
    assert.equal(5, most(""))
    assert.equal(0, server:stop())
  end)

  it("shows nothing of a server that steers the terminal", function()
    helper.write_file(folder .. "/steering.lua", [[
      local neap = require "neap"
      local app = neap.app()
      app:get("/*path", function() return 200, "here", { ["x-title"] = "\194\1552J" } end)
      local server = assert(app:listen { host = "127.0.0.1", port = 0 })
      local cert, key = require("neap.core").make_certificate { names = { "localhost" }, days = 2 }
      local raw = assert(neap.quic.listen { alpn = "h3", host = "127.0.0.1", port = 0, cert = cert, key = key })
      raw:on_connection(function(conn) conn:close(0x10c, "\27]0;owned\7\r\nneap: all is well\194\155") end)
      io.stderr:write("raw ", raw.port, "\n")
    ]])
    local server = support.start("run " .. folder .. "/steering.lua")
    local output = helper.run(neap .. " get -k -v " .. server.url)
    assert.matches("\n< x%-title: \\xc2\\x9b2J\n", output)
    local port = server:output():match("raw (%d+)")
    output = helper.run(("%s get -k https://127.0.0.1:%s/"):format(neap, port))
    assert.matches("\\x1b%]0;owned\\x07\\x0d\\x0aneap: all is well\\xc2\\x9b\n$", output)
    assert.equal(0, server:stop())
  end)

  it("tells of a server whose certificate has no name that can be shown", function()
    local ca = authority.new()
    finally(function() ca:remove() end)
    local leaf = ca:issue { name = "leaf", subject = ("/OU=unit"):rep(65), extensions = authority.SERVER }
    helper.write_file(folder .. "/nameless.pem", leaf.pem)
    helper.write_file(folder .. "/nameless.key", leaf.key)
    local server = support.start(("serve --listen 127.0.0.1:0 --cert %s/nameless.pem --key %s/nameless.key %s"):format(
      folder, folder, folder))
    assert.matches("\n%* certificate of no name, until ", (helper.run(neap .. " get -k -v " .. server.url)))
    assert.equal(0, server:stop())
  end)

  it("fails when the body cannot be written, or is not whole", function()
    helper.write_file(folder .. "/slow.lua", [[
      local neap = require "neap"
      local app = neap.app()
      app:get("/slow", function(_, res)
        res:write("first ")
        print("asked")
        io.stdout:flush()
        neap.sleep(20)
      end)
      app:get("/", function() return "small" end)
      assert(app:listen { host = "127.0.0.1", port = 0, shutdown_timeout = 0.1 })
    ]])
    local server = support.start("run " .. folder .. "/slow.lua")
    for words, what in pairs { ["-o /dev/full URL"] = "No space", ["URL > /dev/full"] = "No space",
      ["-o " .. folder .. "/none/file URL"] = "none/file", ["-X 'G T' URL"] = "method",
      ["-H 'a b: c' URL"] = '"a b"' } do
      local output, status = helper.run(neap .. " get -k " .. words:gsub("URL", server.url))
      assert.equal(1, status, words .. output)
      assert.matches("^neap: [^\n]*" .. what .. "[^\n]*\n$", output)
    end
    for _, signal in ipairs { "INT", "TERM", "HUP" } do
      local _, before = server:output():gsub("asked", "")
      os.execute(("cd %s && rm -f status && (env %s get -k %sslow > get.out 2>&1 & echo $! > pid; wait $!; " ..
        "echo $? > status) &"):format(folder, neap, server.url))
      support.wait_until(function() return select(2, server:output():gsub("asked", "")) > before end)
      os.execute(("kill -%s $(cat %s/pid)"):format(signal, folder))
      local status
      support.wait_until(function()
        status = (helper.read_file(folder .. "/status") or ""):match("%d+")
        return status
      end)
      assert.same({ "1", "first neap: interrupted\n" }, { status, helper.read_file(folder .. "/get.out") })
    end
    assert.equal(0, server:stop())
  end)

  it("draws a bar on a terminal, and none elsewhere", function()
    local why, no_terminal = helper.run("script -qec true /dev/null")
    if no_terminal ~= 0 then return pending("needs a pseudo-terminal, /dev/ptmx: " .. why) end
    helper.write_file(folder .. "/page.txt", ("x"):rep(100000))
    helper.write_file(folder .. "/empty.txt", "")
    local server = support.start("serve " .. folder .. " --listen 127.0.0.1:0")
    local get = ("%s get -k -o %s/page.out %s"):format(neap, folder, server.url)
    local output = helper.run("script -qec " .. helper.quote(get .. "page.txt") .. " /dev/null")
    assert.matches("%[#+%] 100%%  97.7 KiB", output)
    for _, name in ipairs { "page.txt", "empty.txt" } do
      local status
      output, status = helper.run(get .. name)
      assert.same({ "", 0 }, { output, status })
      assert.equal(helper.read_file(folder .. "/" .. name), helper.read_file(folder .. "/page.out"))
    end
    assert.equal(0, server:stop())
  end)

  it("uses no CPU while nobody asks", function()
    local server = support.start("serve " .. folder .. " --listen 127.0.0.1:0")
    local function ticks()
      local stat = assert(helper.read_file("/proc/" .. server.pid .. "/stat")):match("%)(.*)$")
      local fields = {}
      for word in stat:gmatch("%S+") do fields[#fields + 1] = word end
      return tonumber(fields[12]) + tonumber(fields[13])
    end
    helper.run("sleep 0.3")
    local before = ticks()
    helper.run("sleep 1")
    assert.is_true(ticks() - before <= 1)
    assert.equal(0, server:stop())
  end)
end)
