--- What TLS has beside a plain handshake, with each of the peers: sessions, early data, certificates of clients,
--- external keys, groups. Each case has servers of its own, since it wants other options than the others. A case is a
--- function of a context (peers.lua) that returns true, or nil and what went wrong.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")

local tls_cases = {}

--- The cases in the order of the tables. What a server takes twice is the server's affair, and none of the servers over
--- QUIC among the peers has external keys.
tls_cases.of_clients = {
  "resumed", "0-RTT", "0-RTT rejected", "0-RTT repeated", "client certificate", "resumed with it", "external PSK",
  "HelloRetryRequest", "X25519MLKEM768",
}
tls_cases.of_servers = {
  "resumed", "0-RTT", "0-RTT rejected", "client certificate", "HelloRetryRequest", "X25519MLKEM768",
}

--- Neither do clients send a share of it, nor do servers want it first.
local OTHER_GROUP = "secp384r1"
local ML_KEM = "X25519MLKEM768"
local WHO = "CN=pump 7,O=neap specs"
local FULL, RESUMED = "full, none, nobody", "resumed, %l+, nobody"
local EARLY_TOO, REJECTED = "resumed, early, nobody", "full, rejected, nobody"
local PSK = { identity = "pump 7", key = ("0a"):rep(32) }
local NEW_REGISTER = 31 -- seconds: as long a register of early data that is new has it refused (docs/tuning.md)

--- Our program of app.lua with options of app:listen, on a port of its own: its process, which has the port.
local function start_app(ctx, options, program)
  local port = harness.free_port()
  local words = {}
  for name, value in pairs(options or {}) do words[#words + 1] = helper.quote(name .. "=" .. value) end
  local process = harness.start(("%s run %s/spec/interop/app.lua %d %s %s %s"):format(program or ctx.neap,
    helper.source_dir, port, ctx.certs.cert, ctx.certs.key, table.concat(words, " ")),
    { dir = ctx.dir, name = "neap-app", port = port })
  process.port = port
  return process
end

--- A link with a way back that takes its time, from a port of its own to our servers: the first answers, others get
--- copies of what its client sends. Returns the link and its port.
local function start_link(ctx, app, ...)
  local port = harness.free_port()
  local words = { ("%s run %s/spec/interop/link.lua 127.0.0.1:%d"):format(ctx.neap, helper.source_dir, port) }
  for _, server in ipairs({ app, ... }) do words[#words + 1] = "127.0.0.1:" .. server.port end
  return harness.start(table.concat(words, " "), { dir = ctx.dir, name = "link", ready = "ready" }), port
end

--- Options of a server that wants certificates of clients.
local function asking(ctx) return { client_ca = ctx.certs.ca, client_certificate = "require" } end

local function start_with_register(ctx, register)
  return start_app(ctx, { early_data = "true", ticket_key_file = ctx.dir .. "/tickets",
    strike_file = ctx.dir .. register })
end

--- Calls fn(process...) and stops the processes; those of ours have to end well.
local function with(processes, fn)
  local called, ok, why = pcall(fn, unpack(processes))
  for _, process in ipairs(processes) do
    local status, log = harness.stop(process, 30)
    if process.port and status ~= 0 then
      ok, why = nil, ("%s ended with %s\n%s"):format(process.command, tostring(status), log)
    end
  end
  if not called then error(ok, 0) end
  return ok, why
end

--- Makes the registers of early data that servers share; good they are later, so who begins with it waits less.
function tls_cases.make_registers(ctx)
  if ctx.registers_good_at then return end
  helper.write_file(ctx.dir .. "/tickets", ("a2"):rep(32) .. "\n")
  for _, register in ipairs({ "/register", "/other-register" }) do
    with({ start_with_register(ctx, register) }, function() return true end)
  end
  ctx.registers_good_at = os.time() + NEW_REGISTER
end

--- Whether pages said what they had to: patterns, since some programs offer early data and then send none.
local function are_texts(wanted, texts, why)
  if not texts then return nil, why end
  for i, pattern in ipairs(wanted) do
    if not tostring(texts[i]):find("^" .. pattern .. "$") then
      return nil, ("visit %d: %q and not %q"):format(i, tostring(texts[i]), pattern)
    end
  end
  return true
end

--- visits(ctx, port, paths, how) goes to pages of our program one after the other, each on a connection of its own,
--- and gives what they said; how: early (it may send early data), certificate (it shows one). `without` names cases
--- that the client has not.
function tls_cases.client(visits, without)
  local cases = {}

  function cases.resumed(ctx)
    return with({ start_app(ctx) }, function(app)
      return are_texts({ FULL, RESUMED, RESUMED },
        visits(ctx, app.port, { "tls", "tls", "tls" }, {}))
    end)
  end

  cases["0-RTT"] = function(ctx)
    local app = start_app(ctx, { early_data = "true" })
    local link, port = start_link(ctx, app)
    return with({ app, link }, function()
      return are_texts({ FULL, EARLY_TOO, EARLY_TOO, EARLY_TOO },
        visits(ctx, port, { "tls", "tls", "tls", "tls" }, { early = true }))
    end)
  end

  cases["0-RTT rejected"] = function(ctx)
    local cert, next_cert = ctx.dir .. "/now.pem", ctx.dir .. "/next.pem"
    helper.write_file(cert, helper.read_file(ctx.certs.cert))
    helper.write_file(next_cert, helper.read_file(ctx.certs.renewed))
    local app = start_app(ctx, { early_data = "true", cert = cert, next_cert = next_cert })
    local link, port = start_link(ctx, app)
    return with({ app, link }, function()
      return are_texts({ FULL, EARLY_TOO, "forgotten", REJECTED },
        visits(ctx, port, { "tls", "tls", "forget", "tls" }, { early = true }))
    end)
  end

  -- One of the other servers knows what was read, the second does not and shows that the copies are good.
  cases["0-RTT repeated"] = function(ctx)
    tls_cases.make_registers(ctx)
    local app, knowing = start_with_register(ctx, "/register"), start_with_register(ctx, "/register")
    local ignorant = start_with_register(ctx, "/other-register")
    local link, port = start_link(ctx, app, knowing, ignorant)
    return with({ app, knowing, ignorant, link }, function()
      os.execute(("sleep %d"):format(math.max(0, ctx.registers_good_at - os.time())))
      local ok, why = are_texts({ FULL, EARLY_TOO }, visits(ctx, port, { "tls", "tls" }, { early = true }))
      if not ok then return nil, why end
      if not harness.wait_for(ignorant, "/tls early") then return nil, "nothing of the copies could be read" end
      if harness.wait_for(knowing, "/tls", 1) then return nil, "it was read twice" end
      return true
    end)
  end

  cases["client certificate"] = function(ctx)
    return with({ start_app(ctx, asking(ctx)) }, function(app)
      local ok, why = are_texts({ "full, none, " .. WHO }, visits(ctx, app.port, { "tls" }, { certificate = true }))
      if not ok then return nil, why end
      if visits(ctx, app.port, { "tls" }, {}) then return nil, "it was answered without a certificate" end
      return true
    end)
  end

  cases["resumed with it"] = function(ctx)
    return with({ start_app(ctx, asking(ctx)) }, function(app)
      return are_texts({ "full, none, " .. WHO, "resumed, %l+, " .. WHO },
        visits(ctx, app.port, { "tls", "tls" }, { certificate = true }))
    end)
  end

  local function meets_group(name, program)
    return function(ctx)
      if program and not ctx[program] then return nil, "no build of neap has " .. name end
      return with({ start_app(ctx, { groups = name }, program and ctx[program]) }, function(app)
        return are_texts({ FULL }, visits(ctx, app.port, { "tls" }, {}))
      end)
    end
  end
  cases.HelloRetryRequest = meets_group(OTHER_GROUP)
  cases[ML_KEM] = meets_group(ML_KEM, "neap_ml_kem")

  for _, name in ipairs(without) do cases[name] = nil end
  return cases
end

--- openssl speaks no HTTP/3: that a server has taken all of its handshake is told by HANDSHAKE_DONE, and what came of
--- it by what the program prints. call(ctx, port, words) gives that, with a trace.
function tls_cases.openssl_client(call)
  local cases = {}

  local function meets(options, words, wanted, program)
    return function(ctx)
      if program and not ctx[program] then return nil, "no build of neap for this" end
      return with({ start_app(ctx, options(ctx), program and ctx[program]) }, function(app)
        local output = call(ctx, app.port, words(ctx))
        for _, text in ipairs({ "Frame: Handshake done", unpack(wanted) }) do
          if not output:find(text, 1, true) then return nil, ("no %q in\n%s"):format(text, output) end
        end
        return true, output
      end)
    end
  end

  function cases.resumed(ctx)
    local session = ctx.dir .. "/session"
    os.remove(session)
    return with({ start_app(ctx) }, function(app)
      for visit = 1, 3 do
        local known = visit > 1 and "-sess_in " .. ctx.path(session) or ""
        local output = call(ctx, app.port, ("%s -sess_out %s"):format(known, ctx.path(session)))
        if not output:find(visit > 1 and "\nReused, TLSv1.3" or "\nNew, TLSv1.3", 1, true) then return nil, output end
      end
      return true
    end)
  end

  local shows = meets(asking, function(ctx)
    return ("-cert %s -key %s"):format(ctx.path(ctx.certs.client_cert), ctx.path(ctx.certs.client_key))
  end, {})
  local shows_none = meets(asking, function() return "" end, {})
  cases["client certificate"] = function(ctx)
    local ok, why = shows(ctx)
    if not ok then return nil, why end
    if shows_none(ctx) then return nil, "it was taken without a certificate" end
    return true
  end

  -- The program counts what goes on from a key as resumed.
  cases["external PSK"] = meets(function() return { psk = PSK.identity .. ":" .. PSK.key } end, function()
    return ("-psk_identity %s -psk %s"):format(helper.quote(PSK.identity), PSK.key)
  end, { "\nReused, TLSv1.3", "\nno peer certificate available" })

  local retried = meets(function() return { groups = OTHER_GROUP } end, function() return "" end, {})
  cases.HelloRetryRequest = function(ctx)
    local ok, output = retried(ctx)
    if not ok then return nil, output end
    local _, hellos = output:gsub("ClientHello, Length", "")
    if hellos ~= 2 then return nil, hellos .. " ClientHellos in\n" .. output end
    return true
  end

  cases[ML_KEM] = meets(function() return { groups = ML_KEM } end, function() return "-groups " .. ML_KEM end, {},
    "neap_ml_kem")
  return cases
end

-- ------------------------------------------------------------------ servers

--- Our client with a server of theirs. start(ctx, options) starts one, which binds ctx.port and serves ctx.www;
--- options: asks (it wants a certificate of the specs' root), group (the only one it has). `without` names cases that
--- it has not.
function tls_cases.server(host, start, without)
  local cases = {}

  local function with_ports(ctx)
    return setmetatable({ port = harness.free_port(), backend_port = harness.free_port() }, { __index = ctx })
  end

  local function with_server(ctx, options, fn)
    return with(start(ctx, options), function() return fn(ctx) end)
  end

  -- What the program tells of a visit; the page has to be right.
  local function visit(ctx, words)
    local page = ctx.dir .. "/page"
    os.remove(page)
    local output, why = harness.call(("%s get -v --ca %s %s -o %s https://%s:%d/one"):format(ctx.neap, ctx.certs.ca,
      words, page, host, ctx.port))
    if not output then return nil, why end
    local ok, difference = harness.same(ctx.www .. "/one", page)
    if not ok then return nil, difference end
    return output
  end

  -- Three visits with one session file: a new session at first, and then what is wanted.
  local function visit_again(ctx, words, wanted)
    local session = ctx.dir .. "/session"
    os.remove(session)
    for i = 1, 3 do
      local output, why = visit(ctx, ("--sessions %s %s"):format(session, words))
      if not output then return nil, why end
      if (output:find(wanted, 1, true) ~= nil) ~= (i > 1) then return nil, ("visit %d: %s"):format(i, output) end
    end
    return true
  end

  function cases.resumed(ctx)
    return with_server(with_ports(ctx), {}, function(own) return visit_again(own, "", ", resumed, ") end)
  end

  local function early(own) return visit_again(own, "--early", ", 0-RTT accepted\n") end

  cases["0-RTT"] = function(ctx)
    return with_server(with_ports(ctx), {}, early)
  end

  -- A server that begins anew does not know its tickets.
  cases["0-RTT rejected"] = function(ctx)
    local own = with_ports(ctx)
    local ok, why = with_server(own, {}, early)
    if not ok then return nil, why end
    return with_server(own, {}, function()
      local output, reason = visit(own, ("--sessions %s/session --early"):format(own.dir))
      if not output then return nil, reason end
      if not output:find(", 0-RTT rejected\n", 1, true) then return nil, output end
      return true
    end)
  end

  cases["client certificate"] = function(ctx)
    return with_server(with_ports(ctx), { asks = true }, function(own)
      local output, why = visit(own, ("--cert %s --key %s"):format(own.certs.client_cert, own.certs.client_key))
      if not output then return nil, why end
      if visit(own, "") then return nil, "it was answered without a certificate" end
      return true
    end)
  end

  function cases.HelloRetryRequest(ctx)
    return with_server(with_ports(ctx), { group = OTHER_GROUP }, function(own)
      local output, why = visit(own, "")
      if not output then return nil, why end
      if not output:find(", " .. OTHER_GROUP .. ", ", 1, true) then return nil, output end
      return true
    end)
  end

  cases[ML_KEM] = function(ctx)
    if not ctx.neap_ml_kem then return nil, "no build of neap has it" end
    return with_server(with_ports(ctx), { group = ML_KEM }, function(own)
      local output, why = harness.call(("%s run %s/spec/interop/client.lua %s group https://%s:%d/one %s"):format(
        own.neap_ml_kem, helper.source_dir, own.certs.ca, host, own.port, ML_KEM))
      if not output then return nil, why end
      if output ~= ("200\t%s\n"):format(ML_KEM) then return nil, output end
      return true
    end)
  end

  for _, name in ipairs(without) do cases[name] = nil end
  return cases
end

return tls_cases
