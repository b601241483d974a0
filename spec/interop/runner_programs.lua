--- The programs that the cases of the interop runner are met with: neap, and those of ngtcp2 in Debian 13, which speak
--- HTTP/3. A program is { name, server(case, address, port, folders, dir) → process,
--- client(case, urls, folders, dir) → output, status }; nil where it is not here.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")

local programs = {}

local quote = helper.quote

local function words_of(values)
  local words = {}
  for name, value in pairs(values) do words[#words + 1] = name .. "=" .. quote(value) end
  return "env -u ROLE " .. table.concat(words, " ")
end

--- The two commands of neap; `words` for both: "" or "--h3".
function programs.neap(words)
  return { name = "neap",
    server = function(case, address, port, folders, dir)
      local preferred = case.is_preferred and "--preferred 127.0.0.2:" .. harness.free_port() or ""
      return harness.start(("%s %s interop-server %s --listen %s %s"):format(words_of {
        TESTCASE = case.server, WWW = folders.www, CERTS = folders.certs, SSLKEYLOGFILE = dir .. "/server.keys",
      }, harness.neap(), words, address, preferred), { dir = dir, name = "server", port = port })
    end,
    client = function(case, urls, folders, dir)
      return helper.run(("timeout %d %s %s interop-client %s"):format(case.seconds or 100, words_of {
        TESTCASE = case.client, REQUESTS = table.concat(urls, " "), DOWNLOADS = folders.downloads,
        CERTS = folders.certs, SSLKEYLOGFILE = dir .. "/client.keys",
      }, harness.neap(), words))
    end }
end

-- What each case asks of a client that takes URLs for one connection: groups of them, one after another.
local function visits(case, urls)
  local groups = { urls }
  if case.client == "multiconnect" then
    for i, url in ipairs(urls) do groups[i] = { url } end
  elseif case.name == "resumption" or case.name == "zerortt" then
    groups = { { urls[1] }, { unpack(urls, 2) } }
  end
  return groups
end

local CHACHA = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305"

--- gtlsclient and gtlsserver of scripts/peers.
function programs.ngtcp2()
  local root = helper.run(helper.source_dir .. "/scripts/peers path"):gsub("%s+$", "")
  if not io.open(root .. "/usr/bin/gtlsclient") or not io.open(root .. "/usr/sbin/gtlsserver") then return nil end
  local loader = helper.run(helper.source_dir .. "/scripts/peers loader"):gsub("%s+$", "")
  local client_words = {
    chacha20 = "--ciphers=" .. CHACHA, keyupdate = "--key-update=100ms", v2 = "--available-versions=v1,v2",
    resumption = "--session-file=%s/session --tp-file=%s/tp --wait-for-ticket --disable-early-data",
    zerortt = "--session-file=%s/session --tp-file=%s/tp --wait-for-ticket",
  }
  local server_words = { retry = "-V", v2 = "--preferred-versions=v2,v1" }
  return { name = "ngtcp2",
    server = function(case, address, port, folders, dir)
      local words = server_words[case.name] or ""
      if case.is_preferred then words = "--preferred-ipv4-addr=127.0.0.2:" .. harness.free_port() end
      local host = address:match("^%[?(.-)%]?:%d+$")
      return harness.start(("%s %s/usr/sbin/gtlsserver -q --handshake-timeout=60s %s -d %s %s %d %s/priv.key "
        .. "%s/cert.pem"):format(loader, root, words, folders.www, host, port, folders.certs, folders.certs),
        { dir = dir, name = "server", port = port })
    end,
    client = function(case, urls, folders, dir)
      local host, port = urls[1]:match("^https://%[?([^/%]]-)%]?:(%d+)/")
      local words = (client_words[case.name] or ""):gsub("%%s", dir)
      local output, status
      for _, group in ipairs(visits(case, urls)) do
        output, status = helper.run(("timeout %d %s %s/usr/bin/gtlsclient -q --exit-on-all-streams-close %s "
          .. "--handshake-timeout=60s --timeout=60s --download=%s %s %s %s"):format(case.seconds or 100, loader, root,
          words, folders.downloads, host, port, (table.concat(group, " "):gsub("//[^/]*/", "//localhost:" .. port
          .. "/"))))
        if status ~= 0 then break end
      end
      return output, status
    end }
end

-- What aioquic has nothing for: it marks no packets, and its server prefers no address.
local AIOQUIC_LACKS = { ecn = true, connectionmigration = true }

--- aioquic of scripts/peers, in whose root this tree is /neap.
function programs.aioquic()
  local root = helper.run(helper.source_dir .. "/scripts/peers path"):gsub("%s+$", "")
  if not io.open(root .. "/usr/bin/python3") then return nil end
  local function inside(path) return "/neap" .. path:sub(#helper.source_dir + 1) end
  local program = helper.source_dir .. "/scripts/peers exec python3 /neap/spec/interop/aioquic_"
  local client_words = {
    chacha20 = "--chacha20", v2 = "--v2", keyupdate = "--update-keys", resumption = "--session %s/session",
    zerortt = "--session %s/session --early",
  }
  return { name = "aioquic", lacks = AIOQUIC_LACKS,
    server = function(case, address, port, folders, dir)
      return harness.start(("%sserver.py %s %s %d %s/priv.key %s/cert.pem %s"):format(program,
        case.name == "retry" and "--retry" or "", address:match("^%[?(.-)%]?:%d+$"), port, inside(folders.certs),
        inside(folders.certs), inside(folders.www)), { dir = dir, name = "server", port = port })
    end,
    client = function(case, urls, folders, dir)
      local host, port = urls[1]:match("^https://%[?([^/%]]-)%]?:(%d+)/")
      local words = (client_words[case.name] or ""):gsub("%%s", inside(dir))
      local output, status
      for _, group in ipairs(visits(case, urls)) do
        local paths = table.concat(group, " "):gsub("https://[^/]*/", "/")
        output, status = helper.run(("timeout %d %sclient.py --ca %s/ca.pem --out %s %s %s %s %s"):format(
          case.seconds or 100, program, inside(folders.certs), inside(folders.downloads), words, host, port, paths))
        if status ~= 0 then break end
      end
      return output, status
    end }
end

return programs
