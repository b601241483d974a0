--- Names: addresses and other records, asked of a name server of our own over loopback.
local neap = require "neap"
local core = require "neap.core"
local name_server = require "spec.support.name_server"
local program = require "spec.support.program"
local web = require "support.web"
local helper = web.helper
local record, number, ipv4, text = name_server.record, name_server.number, name_server.ipv4, name_server.text
local wire_name = name_server.name

if not core.dns then
  describe("neap.dns", function()
    pending("needs c-ares: scripts/bootstrap")
  end)
  return
end

describe("neap.dns", function()
  local real_now = core.now

  after_each(function()
    core.now = real_now
    neap.dns.use(nil)
  end)

  -- Runs fn(resolver, server) beside a name server that answers by `decide`.
  local function with_server(decide, fn, options)
    web.run(function()
      local server = name_server.start(decide)
      local own = { servers = { server.address }, search = {}, timeout = 0.25, tries = 2 }
      for name, value in pairs(options or {}) do own[name] = value end
      local ok, err = xpcall(fn, function(e) return type(e) == "table" and e or debug.traceback(e, 2) end,
        assert(neap.dns.new(own)), server)
      server.close()
      if not ok then error(err, 0) end
    end, 100000) -- of a clock that pass() moves
  end

  -- Answers each question by what `zone` has under "TYPE name": a list of records, or the parts of a message.
  local function by_zone(zone)
    return function(question)
      local found = zone[question.kind .. " " .. question.name:lower()]
      if not found then return { rcode = 3, authority = { name_server.soa("example", 60, 30) } } end
      return type(found[1]) == "string" and { answers = found } or found
    end
  end

  local function pass(seconds)
    local before = core.now
    core.now = function() return before() + seconds end
  end

  -- What script.lua of a folder prints where the named files of that folder stand in /etc; nil and why it cannot be.
  local function run_with(folder, ...)
    local words = {}
    for i, name in ipairs { ... } do words[i] = ("mount --bind %s/%s /etc/%s && "):format(folder, name, name) end
    local command = ("%s%s run %s/script.lua"):format(table.concat(words), program.neap, folder)
    local pipe = assert(io.popen(("cd %s && timeout 60 unshare -rnm sh -c %s 2>&1"):format(
      helper.quote(helper.source_dir), helper.quote(command))))
    local out = pipe:read("*a")
    pipe:close()
    if out:match("unshare") or out:match("mount") then return nil, "needs mount namespaces: " .. out end
    return out
  end

  describe("query", function()
    it("gives the records of each type, with their names, types and times", function()
      with_server(by_zone {
        ["A a.example"] = { record("a.example", "A", 60, ipv4 "192.0.2.1"),
          record("a.example", "A", 50, ipv4 "192.0.2.2") },
        ["AAAA a.example"] = { record("a.example", "AAAA", 60, "\32\1\13\184" .. ("\0"):rep(11) .. "\1") },
        ["TXT a.example"] = { record("a.example", "TXT", 60, text "v=spf1 " .. text "-all\0") },
        ["MX a.example"] = { record("a.example", "MX", 60, number(10, 2) .. wire_name "mail.example") },
        ["SRV _mqtt._tcp.example"] = { record("_mqtt._tcp.example", "SRV", 60, number(1, 2) .. number(2, 2) ..
          number(1883, 2) .. wire_name "broker.example") },
        ["NS example"] = { record("example", "NS", 60, wire_name "ns.example") },
        ["SOA example"] = { name_server.soa("example", 60, 30) },
        ["CNAME www.example"] = { record("www.example", "CNAME", 60, wire_name "a.example") },
        ["PTR 1.2.0.192.in-addr.arpa"] = { record("1.2.0.192.in-addr.arpa", "PTR", 60, wire_name "a.example") },
      }, function(resolver)
        assert.same({ { name = "a.example", type = "A", ttl = 60, address = "192.0.2.1" },
          { name = "a.example", type = "A", ttl = 50, address = "192.0.2.2" } }, resolver:query("a.example", "A"))
        assert.same({ { name = "a.example", type = "AAAA", ttl = 60, address = "2001:db8::1" } },
          resolver:query("A.Example.", "AAAA"))
        assert.same({ { name = "a.example", type = "TXT", ttl = 60, text = "v=spf1 -all\0",
          strings = { "v=spf1 ", "-all\0" } } }, resolver:query("a.example", "TXT"))
        assert.same({ { name = "a.example", type = "MX", ttl = 60, preference = 10, exchange = "mail.example" } },
          resolver:query("a.example", "MX"))
        assert.same({ { name = "_mqtt._tcp.example", type = "SRV", ttl = 60, priority = 1, weight = 2, port = 1883,
          target = "broker.example" } }, resolver:query("_mqtt._tcp.example", "SRV"))
        assert.equal("ns.example", resolver:query("example", "NS")[1].target)
        assert.equal(30, resolver:query("example", "SOA")[1].minimum)
        assert.equal("a.example", resolver:query("www.example", "CNAME")[1].target)
        assert.same({ "a.example" }, resolver:reverse("192.0.2.1"))
      end)
    end)

    it("says why there are none", function()
      with_server(function(question)
        if question.name == "empty.example" then return { authority = { name_server.soa("example", 60, 30) } } end
        local rcodes = { ["none.example"] = 3, ["refused.example"] = 5, ["broken.example"] = 2 }
        return { rcode = rcodes[question.name] }
      end, function(resolver)
        assert.same({ nil, "none.example: Domain name not found", "resolve", "NXDOMAIN" },
          { resolver:query("none.example", "A") })
        assert.equal("NODATA", (select(4, resolver:query("empty.example", "A"))))
        for _, name in ipairs { "refused.example", "broken.example" } do
          local records, _, code = resolver:query(name, "A")
          assert.is_nil(records)
          assert.equal("resolve", code)
        end
      end)
    end)

    it("follows CNAMEs, and takes no record of another name", function()
      with_server(by_zone {
        ["A www.example"] = { record("www.example", "CNAME", 20, wire_name "a.example"),
          record("bank.example", "A", 60, ipv4 "192.0.2.66"), record("a.example", "A", 60, ipv4 "192.0.2.1") },
        ["A loop.example"] = { record("loop.example", "CNAME", 60, wire_name "pool.example"),
          record("pool.example", "CNAME", 60, wire_name "loop.example") },
        ["A foreign.example"] = { record("bank.example", "A", 60, ipv4 "192.0.2.66") },
      }, function(resolver, server)
        local records = resolver:query("www.example", "A")
        assert.equal(1, #records)
        assert.equal("192.0.2.1", records[1].address)
        assert.equal("NODATA", (select(4, resolver:query("loop.example", "A"))))
        assert.equal("NODATA", (select(4, resolver:query("foreign.example", "A"))))
        -- The alias holds for the shortest time, and so does the answer.
        pass(21)
        resolver:query("www.example", "A")
        assert.equal(4, server.count)
      end)
    end)

    it("goes over to TCP for what is truncated", function()
      local records = {}
      for i = 1, 200 do records[i] = record("many.example", "TXT", 60, text(("x"):rep(200) .. i)) end
      with_server(function(question)
        if question.protocol == "udp" then return { flags = 0x8380 } end
        return { answers = records }
      end, function(resolver, server)
        assert.equal(200, #resolver:query("many.example", "TXT"))
        assert.equal(2, server.count)
        -- It is more than is kept.
        assert.equal(200, #resolver:query("many.example", "TXT"))
        assert.is_true(server.count > 2)
      end)
    end)

    it("ignores answers that nobody asked for", function()
      with_server(function(question)
        local right = name_server.message(question, { answers = { record("a.example", "A", 60, ipv4 "192.0.2.1") } })
        local forged = { answers = { record("a.example", "A", 60, ipv4 "192.0.2.66") } }
        local wrong_id = number((question.id:byte(1) * 256 + question.id:byte(2) + 1) % 65536, 2) ..
          name_server.message(question, forged):sub(3)
        local other = { id = question.id, bytes = wire_name "b.example" .. number(1, 2) .. number(1, 2) }
        return { wrong_id, name_server.message(other, forged), right }
      end, function(resolver)
        assert.equal("192.0.2.1", resolver:query("a.example", "A")[1].address)
      end)
    end)

    it("asks the next server when one is silent", function()
      with_server(function() return nil end, function(_, silent)
        local zone = { ["A a.example"] = { record("a.example", "A", 60, ipv4 "192.0.2.1") } }
        local server = name_server.start(by_zone(zone))
        local resolver = neap.dns.new { servers = { silent.address, server.address }, timeout = 0.05 }
        assert.equal("192.0.2.1", resolver:query("a.example", "A")[1].address)
        assert.equal(1, silent.count)
        server.close()
      end)
    end)

    it("takes names and types that are some", function()
      with_server(function() return nil end, function(resolver)
        assert.error_matches(function() resolver:query("", "A") end, "1 to 1024 bytes")
        assert.error_matches(function() resolver:query("a\0b", "A") end, "1 to 1024 bytes")
        assert.error_matches(function() resolver:query("a.example", "AXFR") end, "a type of records")
        local records, _, code = resolver:query(("x"):rep(64) .. ".example", "A")
        assert.is_nil(records)
        assert.equal("resolve", code)
        assert.error_matches(function() neap.dns.new { server = { "192.0.2.1" } } end, "no option server")
        assert.error_matches(function() neap.dns.new { servers = "192.0.2.1" } end, "servers is a table")
        local none, _, why = neap.dns.new { servers = { "no address" } }
        assert.is_nil(none)
        assert.equal("resolve", why)
      end)
    end)
  end)

  describe("lookup", function()
    local zone = {
      ["A a.example"] = { record("a.example", "A", 60, ipv4 "192.0.2.1"),
        record("a.example", "A", 60, ipv4 "192.0.2.2") },
      ["AAAA a.example"] = { record("a.example", "AAAA", 60, "\32\1\13\184" .. ("\0"):rep(11) .. "\1") },
      ["A printer.home.example"] = { record("printer.home.example", "A", 60, ipv4 "192.0.2.9") },
    }

    it("gives addresses, of one family where that is asked for", function()
      with_server(by_zone(zone), function(resolver)
        local found = resolver:lookup("a.example", { family = 4 })
        table.sort(found)
        assert.same({ "192.0.2.1", "192.0.2.2" }, found)
        assert.same({ "2001:db8::1" }, resolver:lookup("a.example", { family = 6 }))
        assert.same({ "::1" }, resolver:lookup("::1"))
        assert.same({ "127.0.0.1" }, resolver:lookup("localhost", { family = 4 }))
        assert.same({ nil, "127.0.0.1: the name has no address", "resolve", "NODATA" },
          { resolver:lookup("127.0.0.1", { family = 6 }) })
        assert.same({ nil, "no.example: Domain name not found", "resolve", "NXDOMAIN" },
          { resolver:lookup("no.example") })
      end)
    end)

    it("appends the domains of the search list to short names", function()
      with_server(by_zone(zone), function(resolver)
        assert.same({ "192.0.2.9" }, resolver:lookup("printer", { family = 4 }))
      end, { search = { "work.example", "home.example" } })
    end)

    it("gives eight addresses at most", function()
      local records = {}
      for i = 1, 40 do records[i] = record("many.example", "A", 60, ipv4("192.0.2." .. i)) end
      with_server(by_zone { ["A many.example"] = records }, function(resolver)
        assert.equal(8, #resolver:lookup("many.example", { family = 4 }))
      end)
    end)

    it("looks into the hosts file first", function()
      local folder = helper.make_dir()
      finally(function() helper.remove_dir(folder) end)
      helper.write_file(folder .. "/hosts", "192.0.2.77 box.example box\n2001:db8::77 box.example\n")
      helper.write_file(folder .. "/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
      helper.write_file(folder .. "/script.lua", [[
        local neap = require "neap"
        neap.run(function()
          print(table.concat(neap.dns.lookup("box.example", { family = 4 }), " "))
          print(table.concat(neap.dns.lookup("box", { family = 4 }), " "))
          print(table.concat(neap.dns.lookup("box.example", { family = 6 }), " "))
          print(neap.task.resolve("box.example", 443, 5)[1])
        end)]])
      local out, why = run_with(folder, "hosts", "resolv.conf")
      if not out then return pending(why) end
      local lines = {}
      for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
      assert.same({ "192.0.2.77", "192.0.2.77", "2001:db8::77" }, { lines[1], lines[2], lines[3] })
      assert.is_truthy(lines[4] == "192.0.2.77:443" or lines[4] == "[2001:db8::77]:443", out)
    end)

    it("asks for the families that the machine has, and gives first what it reaches", function()
      local folder = helper.make_dir()
      finally(function() helper.remove_dir(folder) end)
      helper.write_file(folder .. "/script.lua", [[
        package.path = "./?.lua;" .. package.path
        local neap = require "neap"
        local name_server = require "spec.support.name_server"
        local function sh(command) os.execute(command) end -- what fails is printed
        sh "ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up"
        sh "ip addr add 192.0.2.100/24 dev v0"
        neap.run(function()
          local server = name_server.start(function(question)
            local data = question.kind == "A" and name_server.ipv4 "192.0.2.1" or
              "\32\1\13\184" .. ("\0"):rep(11) .. "\1"
            return { answers = { name_server.record(question.name, question.kind, 60, data) } }
          end)
          local resolver = neap.dns.new { servers = { server.address }, search = {} }
          sh "ip -6 addr flush dev v0"
          print(table.concat(resolver:lookup("a.example"), " "), table.concat(server.asked, ", "))
          sh "ip -6 addr add 2001:db8::100/64 dev v0 nodad"
          print(table.concat(resolver:lookup("b.example"), " "))
          sh "ip -6 route del 2001:db8::/64 dev v0"
          print(table.concat(resolver:lookup("c.example"), " "))
          server.close()
        end)]])
      local out, why = run_with(folder)
      if not out then return pending(why) end
      if out:find("veth", 1, true) or out:find("v0", 1, true) then return pending("needs veth links: " .. out) end
      assert.equal("192.0.2.1\tA a.example\n2001:db8::1 192.0.2.1\n192.0.2.1 2001:db8::1\n", out)
    end)

    it("reads resolv.conf again when it has changed", function()
      local folder = helper.make_dir()
      finally(function() helper.remove_dir(folder) end)
      helper.write_file(folder .. "/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
      helper.write_file(folder .. "/script.lua", [[
        local neap = require "neap"
        local core = require "neap.core"
        neap.run(function()
          os.execute("ip link set lo up")
          local udp = assert(neap.socket.udp())
          assert(udp:setsockname("127.0.0.2", 53))
          neap.go(function()
            local message, ip, port = udp:receivefrom()
            local question = message:sub(13, 29) -- "new.example", type and class
            udp:sendto(message:sub(1, 2) .. "\129\128\0\1\0\1\0\0\0\0" .. question ..
              "\192\12\0\1\0\1\0\0\0\60\0\4\192\0\2\5", ip, port)
          end)
          print((neap.dns.query("old.example", "A", { timeout = 0.2 })))
          local file = assert(io.open("/etc/resolv.conf", "w"))
          file:write("nameserver 127.0.0.2\n")
          file:close()
          print((neap.dns.query("old.example", "A", { timeout = 0.2 }))) -- it is not looked at for each question
          local now = core.now
          core.now = function() return now() + 6 end
          print(assert(neap.dns.query("new.example", "A", { timeout = 5 }))[1].address)
          udp:close()
        end)]])
      local out, why = run_with(folder, "resolv.conf")
      if not out then return pending(why) end
      assert.equal("nil\nnil\n192.0.2.5\n", out)
    end)
  end)

  describe("what was answered", function()
    it("is kept for as long as it says, and tells what is left of that", function()
      local zone = { ["A a.example"] = { record("a.example", "A", 60, ipv4 "192.0.2.1") } }
      with_server(by_zone(zone), function(resolver, server)
        resolver:query("a.example", "A")
        resolver:lookup("a.example", { family = 4 })
        assert.equal(2, server.count)
        pass(50)
        local records = resolver:query("A.EXAMPLE", "A")
        assert.equal(10, records[1].ttl)
        records[1].address = "192.0.2.66" -- a copy of the caller's
        assert.equal("192.0.2.1", resolver:query("a.example", "A")[1].address)
        resolver:lookup("a.example", { family = 4 })[1] = "192.0.2.66"
        assert.same({ "192.0.2.1" }, resolver:lookup("a.example", { family = 4 }))
        assert.equal(2, server.count)
        pass(11)
        resolver:query("a.example", "A")
        resolver:lookup("a.example", { family = 4 })
        assert.equal(4, server.count)
        resolver:forget()
        resolver:query("a.example", "A")
        assert.equal(5, server.count)
      end)
    end)

    it("is kept for a second at least and an hour at most", function()
      with_server(by_zone { ["A short.example"] = { record("short.example", "A", 0, ipv4 "192.0.2.1") },
        ["A long.example"] = { record("long.example", "A", 1000000, ipv4 "192.0.2.1") } }, function(resolver, server)
        resolver:query("short.example", "A")
        resolver:query("short.example", "A")
        resolver:query("long.example", "A")
        assert.equal(2, server.count)
        pass(1.1)
        resolver:query("short.example", "A")
        assert.equal(3, server.count)
        pass(3590)
        resolver:query("long.example", "A")
        assert.equal(3, server.count)
        pass(20)
        resolver:query("long.example", "A")
        assert.equal(4, server.count)
      end)
    end)

    it("is kept too when it is that there is nothing, for as long as the SOA record says", function()
      with_server(by_zone {}, function(resolver, server)
        resolver:query("no.example", "A")
        resolver:lookup("never.example", { family = 4 })
        local count = server.count
        pass(25)
        assert.equal("NXDOMAIN", (select(4, resolver:query("no.example", "A"))))
        assert.equal("NXDOMAIN", (select(4, resolver:lookup("never.example", { family = 4 }))))
        assert.equal(count, server.count)
        pass(6)
        resolver:query("no.example", "A")
        assert.equal(count + 1, server.count)
        resolver:lookup("never.example", { family = 4 })
        assert.is_true(server.count > count + 1)
      end)
    end)

    it("is not kept when it is a failure of servers", function()
      with_server(function() return { rcode = 2 } end, function(resolver, server)
        resolver:query("a.example", "A")
        local count = server.count
        resolver:query("a.example", "A")
        assert.equal(2 * count, server.count)
      end)
    end)

    it("is forgotten when others take its place", function()
      with_server(function(question)
        return { answers = { record(question.name, "A", 3600, ipv4 "192.0.2.1") } }
      end, function(resolver, server)
        for i = 1, 1100 do assert(resolver:query("n" .. i .. ".example", "A")) end
        assert.equal(1100, server.count)
        resolver:query("n1100.example", "A")
        assert.equal(1100, server.count)
        resolver:query("n1.example", "A")
        assert.equal(1101, server.count)
      end)
    end)
  end)

  describe("questions", function()
    it("for one name at the same time are one", function()
      with_server(function(question)
        neap.sleep(0.05)
        return { answers = { record(question.name, "A", 60, ipv4 "192.0.2.1") } }
      end, function(resolver, server)
        local jobs = {}
        for i = 1, 20 do jobs[i] = function() return resolver:query("a.example", "A")[1].address end end
        local results = neap.all(jobs)
        for i = 1, 20 do assert.equal("192.0.2.1", results[i]) end
        assert.equal(1, server.count)
      end)
    end)

    it("are 64 at once, and others wait for theirs", function()
      local open, most = 0, 0
      with_server(function(question)
        open = open + 1
        most = math.max(most, open)
        neap.sleep(0.05)
        open = open - 1
        return { answers = { record(question.name, "A", 60, ipv4 "192.0.2.1") } }
      end, function(resolver)
        local jobs = {}
        for i = 1, 200 do jobs[i] = function() return assert(resolver:query(i .. ".example", "A"))[1].address end end
        assert.equal(200, #neap.all(jobs))
        assert.is_true(most <= 64, most .. " at once")
        assert.is_true(most > 32, most .. " at once")
      end, { timeout = 5 })
    end)

    it("end when nobody waits any more", function()
      with_server(function() return nil end, function(resolver)
        local before = neap.now()
        assert.same({ nil, "a.example: timeout", "timeout" }, { resolver:query("a.example", "A", { timeout = 0.05 }) })
        assert.same({ nil, "b.example: timeout", "timeout" }, { resolver:lookup("b.example", { timeout = 0.05 }) })
        assert.same({ nil, "a.example: timeout", "timeout" },
          { neap.with_timeout(0.05, resolver.query, resolver, "a.example", "A") })
        local result
        local job = neap.go(function() result = { resolver:query("a.example", "A") } end)
        neap.sleep(0.01)
        job:cancel()
        job:join(1)
        assert.same({ nil, "a.example: cancelled", "cancelled" }, result)
        while resolver.open_count > 0 do neap.sleep(0.001) end
        assert.is_true(neap.now() - before < 5)
      end, { timeout = 60 })
    end)

    it("go on for who still waits, and are asked anew afterwards", function()
      local answers = false
      with_server(function(question)
        neap.sleep(0.1)
        return answers and { answers = { record(question.name, "A", 60, ipv4 "192.0.2.1") } }
      end, function(resolver)
        local patient = neap.go(function() return resolver:query("a.example", "A") end)
        assert.is_nil((resolver:query("a.example", "A", { timeout = 0.02 })))
        answers = true
        assert.equal("192.0.2.1", patient:join(5)[1].address)
        answers = false
        assert.is_nil((resolver:query("b.example", "A", { timeout = 0.02 })))
        answers = true
        assert.equal("192.0.2.1", resolver:query("b.example", "A", { timeout = 5 })[1].address)
      end, { timeout = 3 })
    end)

    it("fail when something goes wrong with them, and others are asked all the same", function()
      with_server(function(question)
        return { answers = { record(question.name, "A", 60, ipv4 "192.0.2.1") } }
      end, function(resolver)
        local read = core.dns_message
        finally(function() core.dns_message = read end)
        local jobs, results = {}, nil
        for i = 1, 100 do jobs[i] = function() return { resolver:query(i .. ".example", "A", { timeout = 5 }) } end end
        core.dns_message = function()
          core.dns_message = read
          error("not enough memory")
        end
        assert.matches("not enough memory", web.logged(function() results = neap.all(jobs) end))
        local failed = 0
        for i = 1, 100 do
          if not results[i][1] then
            failed = failed + 1
            assert.equal(i .. ".example: the resolver failed", results[i][2])
          end
        end
        assert.is_true(failed > 0 and failed <= 64, failed)
        assert.equal("192.0.2.1", resolver:query("a.example", "A")[1].address)
      end)
    end)

    it("that wait and are given up leave no trace", function()
      local answers = false
      with_server(function(question)
        return answers and { answers = { record(question.name, "A", 60, ipv4 "192.0.2.1") } }
      end, function(resolver)
        local jobs = {}
        for i = 1, 150 do
          jobs[i] = function() return resolver:query(i .. ".example", "A", { timeout = 0.05 }) or 1 end
        end
        neap.all(jobs)
        answers = true
        for i = 1, 150 do assert(resolver:query(i .. ".example", "A", { timeout = 5 })) end
        assert.is_nil(next(resolver.asked))
        assert.is_nil(next(resolver.queue))
      end, { timeout = 60 })
    end)
  end)

  describe("https", function()
    it("tells where a host is served, best first", function()
      with_server(by_zone { ["HTTPS a.example"] = {
        record("a.example", "HTTPS", 60, name_server.svcb(2, "backup.example", { { 3, number(8443, 2) } })),
        record("a.example", "HTTPS", 60, name_server.svcb(1, ".", { { 1, text "h3" .. text "h2" }, { 2, "" },
          { 4, ipv4 "192.0.2.1" .. ipv4 "192.0.2.2" }, { 5, "ech" },
          { 6, ("\32\1\13\184" .. ("\0"):rep(11) .. "\1") } })),
        record("a.example", "HTTPS", 60, name_server.svcb(3, "new.example", { { 0, number(9, 2) }, { 9, "?" } })),
      } }, function(resolver)
        assert.same({
          { priority = 1, target = "a.example", port = 443, alpn = { "h3", "h2" }, ech = "ech",
            hints = { "2001:db8::1", "192.0.2.1", "192.0.2.2" } },
          { priority = 2, target = "backup.example", port = 8443, alpn = { "http/1.1" }, hints = {} },
        }, resolver:https("a.example", 443))
      end)
    end)

    it("asks for other ports by their names, and follows aliases", function()
      local function alias(name, target)
        return record(name, "HTTPS", 60, name_server.svcb(0, target, { { 1, text "h9" } }))
      end
      with_server(by_zone {
        ["HTTPS _8443._https.a.example"] = { alias("_8443._https.a.example", "b.example") },
        ["HTTPS b.example"] = { record("b.example", "CNAME", 60, wire_name "c.example"),
          record("c.example", "HTTPS", 60, name_server.svcb(1, ".", { { 1, text "h3" } })) },
        ["HTTPS end.example"] = { alias("end.example", "pool.example") },
        ["HTTPS gone.example"] = { alias("gone.example", ".") },
        ["HTTPS x.example"] = { alias("x.example", "y.example") },
        ["HTTPS y.example"] = { alias("y.example", "x.example") },
      }, function(resolver, server)
        assert.same({ { priority = 1, target = "c.example", port = 8443, alpn = { "h3", "http/1.1" }, hints = {} } },
          resolver:https("a.example", 8443))
        assert.same({ { priority = 0, target = "pool.example", port = 443, alpn = {}, hints = {} } },
          resolver:https("end.example", 443))
        assert.same({}, resolver:https("gone.example", 443))
        assert.same({}, resolver:https("nothing.example", 443))
        local count = server.count
        assert.same({}, resolver:https("192.0.2.1", 443))
        assert.same({}, resolver:https("localhost", 443))
        assert.equal(count, server.count)
        assert.equal("SERVFAIL", (select(4, resolver:https("x.example", 443))))
      end)
    end)
  end)

  describe("in the program", function()
    it("is what clients, sockets and task.resolve ask", function()
      with_server(by_zone { ["A web.example"] = { record("web.example", "A", 60, ipv4 "127.0.0.1") },
        ["PTR 1.0.0.127.in-addr.arpa"] = { record("1.0.0.127.in-addr.arpa", "PTR", 60, wire_name "web.example") } },
        function(resolver)
          neap.dns.use(resolver)
          assert.same({ "127.0.0.1:443" }, neap.task.resolve("web.example", 443, 5))
          assert.same({ nil, "no.example: Domain name not found", "resolve" },
            { neap.task.resolve("no.example", 443, 5) })
          assert.same({ "127.0.0.1" }, neap.dns.lookup("web.example"))
          assert.same({ "web.example" }, neap.dns.reverse("127.0.0.1"))
          local listener = assert(neap.socket.bind("127.0.0.1", 0))
          local _, port = listener:getsockname()
          local tcp = assert(neap.socket.connect("web.example", port))
          assert.equal("127.0.0.1", (tcp:getpeername()))
          assert.equal("127.0.0.1", (neap.socket.dns.toip("web.example")))
          local name, info = neap.socket.dns.tohostname("127.0.0.1")
          assert.equal("web.example", name)
          assert.same({ "127.0.0.1" }, info.ip)
          tcp:close()
          listener:close()
        end)
    end)

    it("is the system's resolver, and that of a simulation, where there is no c-ares", function()
      local dns = core.dns
      finally(function() core.dns = dns end)
      core.dns = nil
      web.run(function()
        assert.same({ "127.0.0.1" }, neap.dns.lookup("localhost", { family = 4 }))
        assert.same({ nil, "neap was built without c-ares", "unsupported" }, { neap.dns.query("a.example", "A") })
        assert.same({ nil, "neap was built without c-ares", "unsupported" }, { neap.dns.new() })
      end)
      core.dns = dns
      local lab = neap.sim.new { seed = 1 }
      lab:host("server.example", "10.1.0.1")
      lab:host("client.example", "10.2.0.1"):run(function()
        assert.same({ "10.1.0.1" }, neap.dns.lookup("server.example"))
        assert.equal("unsupported", (select(3, neap.dns.query("a.example", "A"))))
      end)
      lab:close()
    end)

    it("answers reverse questions for both families", function()
      with_server(by_zone {}, function(resolver, server)
        resolver:reverse("2001:db8::1")
        assert.equal("PTR 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", server.asked[1])
        assert.error_matches(function() resolver:reverse("localhost") end, "an IP address")
      end)
    end)
  end)
end)
