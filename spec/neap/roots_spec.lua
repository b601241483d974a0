-- Roots in a large file: an index is kept, and what a server needs is read when it does.
local authority = require "spec.crypto.authority"
local core = require "neap.core"
local neap = require "neap"
local web = require "support.web"

local helper = web.helper

describe("a file of many roots", function()
  local ca, cert, others, path, used
  local count = 0

  setup(function()
    ca = authority.new()
    ca:issue { name = "root", extensions = authority.CA }
    ca:issue { name = "namesake", subject = "/CN=root", extensions = authority.CA }
    cert = ca:issue { name = "leaf", issuer = "root",
      extensions = (authority.SERVER:gsub("DNS:tide.example", "IP:127.0.0.1")) }
    local list = {}
    for i = 1, 40 do
      list[i] = "# root " .. i .. "\n" .. core.make_certificate { names = { ("x%d.example"):format(i) } }
    end
    others = table.concat(list)
    path = ca.dir .. "/roots.pem"
    used = assert(core.config { alpn = "x" }):memory().used
  end)
  teardown(function() ca:remove() end)

  before_each(function() helper.write_file(path, others .. ca.made.namesake.pem .. ca.made.root.pem) end)

  -- Whether clients with these options are content with the server, before and after `meanwhile`.
  local function connect(options, meanwhile)
    local results, message = {}, nil
    count = count + 1
    options.alpn, options.timeout, options.max_idle_timeout, options.resumption = "x", 10, 30 + count / 1000, false
    web.run(function()
      local listener = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = "x", cert = cert.pem,
        key = cert.key })
      for i = 1, meanwhile and 2 or 1 do
        if i == 2 then meanwhile() end
        local connection
        connection, message = neap.quic.connect("127.0.0.1:" .. listener.port, options)
        results[i] = connection ~= nil
        if connection then connection:close() end
      end
      listener:close()
    end)
    return results, message
  end

  it("leads to its servers, also where another root has the same name", function()
    assert.same({ true }, (connect { ca = path }))
    assert.same({ true }, (connect { ca = { path, ca.made.namesake.pem } }))
    helper.write_file(path, others .. ca.made.namesake.pem)
    local results, message = connect { ca = path }
    assert.same({ false }, results)
    assert.matches('under "leaf" is not the signature of the "root" that is known', message, 1, true)
    helper.write_file(path, others)
    results, message = connect { ca = path }
    assert.same({ false }, results)
    assert.matches('its issuer "root" is not among them', message, 1, true)
  end)

  it("takes little memory, however many they are", function()
    local config = assert(core.config { alpn = "x", ca = path })
    local taken = config:memory().used - used
    assert.is_true(taken < 4096, taken)
  end)

  it("may be replaced by another file: what was read stays true until the next reload", function()
    assert.same({ true, true }, (connect({ ca = path }, function()
      helper.write_file(path .. ".new", others)
      assert(os.rename(path .. ".new", path))
    end)))
  end)

  it("that is cut off or overwritten in place is not trusted any more, and harms nobody", function()
    for _, text in ipairs { "", others:sub(1, 100), ("x"):rep(#others + 5000) } do
      helper.write_file(path, others .. ca.made.namesake.pem .. ca.made.root.pem)
      local results, message = connect({ ca = path }, function() helper.write_file(path, text) end)
      assert.same({ true, false }, results)
      assert.matches("its issuer \"root\" is not among them", message, 1, true)
    end
  end)

  it("is one of several: a second is read as a whole", function()
    helper.write_file(path .. ".2", others)
    assert.same({ true }, (connect { ca = { path .. ".2", path } }))
    assert.same({ true }, (connect { ca = { path, path .. ".2" } }))
  end)

  it("without a certificate in it is an error", function()
    helper.write_file(path, ("no certificate\n"):rep(3000))
    local config, message = core.config { alpn = "x", ca = path }
    assert.is_nil(config)
    assert.matches("roots.pem: ", message, 1, true)
  end)
end)
