local helper = require "helper"
local support = require "support.program"

local neap = support.neap

local function with_example(name, fn)
  local server = support.start("run examples/" .. name, "NEAP_LISTEN=127.0.0.1:0")
  local ok, err = pcall(fn, server)
  local code = server:stop()
  if not ok then error(err, 0) end
  assert.equal(0, code)
end

after_each(support.end_all)

local function get(server, words)
  local output, status = helper.run(neap .. " get -k -s " .. words:gsub("URL", server.url))
  assert.equal(0, status, output)
  return output
end

describe("examples/reverse_proxy.lua", function()
  it("has another server answer, and shows how it is", function()
    local folder = helper.make_dir()
    helper.write_file(folder .. "/a.txt", "from behind\n")
    local leash = require "spec.support.leash"
    local log = os.tmpname()
    local python = leash.start(("python3 -u -m http.server --bind 127.0.0.1 --directory %s 0"):format(folder), log)
    local port
    support.wait_until(function()
      port = (helper.read_file(log) or ""):match("port (%d+)")
      return port
    end)
    with_example("reverse_proxy.lua http://127.0.0.1:" .. port, function(server)
      assert.equal("from behind\n", get(server, "URLa.txt"))
      assert.matches('"requests":1', get(server, "URL-/upstreams"))
    end)
    leash.stop(python)
    os.remove(log)
    helper.remove_dir(folder)
  end)
end)

describe("examples/hello.lua", function()
  it("serves its page", function()
    with_example("hello.lua", function(server) assert.matches("<h1>Hello over", get(server, "URL")) end)
  end)

  it("serves it over TCP, where it tells of HTTP/3", function()
    with_example("hello.lua", function(server)
      local output = helper.run(([[python3 -c 'import ssl, urllib.request
r = urllib.request.urlopen("%s", context=ssl._create_unverified_context(), timeout=10)
print(r.headers["alt-svc"], r.read())']]):format(server.url))
      assert.matches(('h3=":%d"; ma=86400 .*Hello over <span id=p>HTTP/1.1<'):format(server.port), output)
    end)
  end)
end)

describe("examples/rest_api.lua", function()
  it("makes, lists, shows and deletes notes", function()
    with_example("rest_api.lua", function(server)
      assert.equal("[]", get(server, "URLapi/v1/notes"))
      assert.equal('{"id":1,"text":"tide tables"}',
        get(server, [[-X POST -d '{"text":"tide tables"}' URLapi/v1/notes]]))
      assert.equal('[{"id":1,"text":"tide tables"}]', get(server, "URLapi/v1/notes"))
      assert.matches("^HTTP/3 204", get(server, "-i -X DELETE URLapi/v1/notes/1"))
      assert.matches("^HTTP/3 404", get(server, "-i URLapi/v1/notes/1"))
      assert.matches("server%-timing: app;dur=", get(server, "-i URLapi/v1/notes"))
    end)
  end)

  it("checks what is sent, and says all that is wrong", function()
    with_example("rest_api.lua", function(server)
      assert.equal('{"errors":["text is missing"]}', get(server, "-X POST -d '{}' URLapi/v1/notes"))
      assert.equal('{"errors":["text has 1 to 2000 bytes","unknown field x","urgent is true or false"]}',
        get(server, [[-X POST -d '{"text":"","urgent":1,"x":2}' URLapi/v1/notes]]))
      assert.matches("^HTTP/3 400", get(server, "-i -X POST -d 5 URLapi/v1/notes"))
      assert.equal('{"error":"no such note","status":404}',
        get(server, "-H 'accept: application/json' URLapi/v1/notes/7"))
    end)
  end)

  it("lets pages of one other origin in", function()
    with_example("rest_api.lua", function(server)
      local asked = get(server, "-i -X OPTIONS -H 'origin: https://notes.example' "
        .. "-H 'access-control-request-method: DELETE' URLapi/v1/notes")
      assert.matches("^HTTP/3 204", asked)
      assert.matches("access%-control%-allow%-origin: https://notes.example", asked)
      assert.matches("access%-control%-allow%-methods: GET, POST, DELETE", asked)
      assert.matches("allow: GET, HEAD, OPTIONS, POST", get(server, "-i -X OPTIONS URLapi/v1/notes"))
      local other = get(server, "-i -H 'origin: https://evil.example' URLapi/v1/notes")
      assert.is_nil(other:find("access-control", 1, true))
    end)
  end)
end)

describe("examples/static_site.lua", function()
  it("serves files as caches and clients like them", function()
    local folder = helper.make_dir()
    helper.write_file(folder .. "/index.html", "<h1>tide</h1>")
    helper.write_file(folder .. "/app.0123abcd.js", "tide()")
    helper.write_file(folder .. "/app.0123abcd.js.gz", "compressed")
    with_example("static_site.lua " .. folder, function(server)
      local page = get(server, "-i URL")
      assert.matches("<h1>tide</h1>", page)
      assert.matches("cache%-control: no%-cache", page)
      local hinted = ([[local neap = require "neap"
        neap.client { verify_peer = false }:get("%s", { on_informational = function(status, headers)
          print(status, headers.link)
        end })]]):format(server.url)
      assert.equal("103\t</style.css>; rel=preload; as=style\n", (helper.run(neap .. " -e '" .. hinted .. "'")))
      local script = get(server, "-i -H 'accept-encoding: gzip' URLapp.0123abcd.js")
      assert.matches("content%-encoding: gzip", script)
      assert.matches("immutable", script)
    end)
    helper.remove_dir(folder)
  end)
end)

describe("examples/upload.lua", function()
  it("takes and gives megabytes without keeping them", function()
    with_example("upload.lua", function(server)
      local folder = helper.make_dir()
      helper.run(("head -c 5000000 /dev/zero > %s/in"):format(folder))
      assert.equal('{"bytes":5000000,"sum":0}', get(server, ("-d @%s/in URLupload"):format(folder)))
      get(server, ("-o %s/out URLdownload/3000001"):format(folder))
      assert.equal(3000001, #helper.read_file(folder .. "/out"))
      helper.remove_dir(folder)
    end)
  end)
end)

describe("examples/echo_streams.lua", function()
  it("prints what comes back, and ends", function()
    local output, status = helper.run("timeout 20 env " .. neap .. " run examples/echo_streams.lua")
    assert.equal(0, status, output)
    assert.equal("spring\t->\tSPRING\nneap\t->\tNEAP\nebb\t->\tEBB\n", output)
  end)
end)
