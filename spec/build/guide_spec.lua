--- docs/guide.md: each program runs as it stands, and does what its section says.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")

local function programs()
  local found = {}
  for code in assert(helper.read_file(helper.source_dir .. "/docs/guide.md")):gmatch("\n```lua\n(.-)\n```") do
    found[#found + 1] = code .. "\n"
  end
  return found
end

describe("docs/guide.md", function()
  local dir, certs, port

  before_each(function()
    dir = helper.make_dir()
    certs = harness.make_certificates(dir)
    port = harness.free_port()
  end)
  after_each(function()
    harness.end_all()
    helper.remove_dir(dir)
  end)

  -- Starts the program of a section, whose plain HTTP goes to any free port.
  local function start(section)
    local file = dir .. "/program.lua"
    helper.write_file(file, (assert(programs()[section]):gsub("http_port = 8080", "http_port = 0")))
    helper.run(("mkdir -p %s/www && printf 'front\n' >%s/www/index.html"):format(dir, dir))
    local command = ("env -C %s NEAP_LISTEN=127.0.0.1:%d NEAP_CERT=%s NEAP_KEY=%s %s run %s"):format(dir, port,
      certs.cert, certs.key, harness.neap(), file)
    harness.start(command, { dir = dir, name = "guide", port = port })
  end

  local function get(path, options)
    return (helper.run(("%s get -s --ca %s %s https://127.0.0.1:%d%s"):format(harness.neap(), certs.ca, options or "",
      port, path)))
  end

  local function curl(path, options)
    return (helper.run(("curl -s --max-time 10 --cacert %s %s https://127.0.0.1:%d%s"):format(certs.ca, options or "",
      port, path)))
  end

  it("has six sections, of which five have programs", function()
    assert.equal(5, #programs())
  end)

  it("begins with a page and JSON over HTTP/3", function()
    start(1)
    assert.equal("hello\n", get("/"))
    assert.equal('{"high":"04:12","port":"husum"}', (get("/tides/husum"):gsub("%s", "")))
  end)

  it("answers every client, and files", function()
    start(2)
    for _, ask in ipairs({ get, curl }) do
      assert.truthy(ask("/api/time"):find('^{"now":%d+}'))
      assert.equal("front\n", ask("/"))
    end
    assert.truthy(curl("/", "-o /dev/null -D -"):find("alt%-svc: h3="))
  end)

  it("takes notes, and says what is wrong with others", function()
    start(3)
    local post = "-X POST -d '%s'"
    assert.truthy(get("/api/v1/notes", post:format('{"text":"tide"}')):find('"id":1', 1, true))
    assert.truthy(curl("/api/v1/notes", post:format("[]")):find("a note is an object with a text", 1, true))
    assert.equal('[{"id":1,"text":"tide"}]', (get("/api/v1/notes"):gsub("%s", "")))
    assert.equal("404", curl("/api/v1/notes/2", "-o /dev/null -w '%{http_code}'"))
  end)

  it("knows who asks", function()
    start(4)
    assert.truthy(get("/"):find("^request %x+\n$"))
    assert.equal("401", curl("/admin/metrics", "-o /dev/null -w '%{http_code}'"))
    assert.truthy(curl("/admin/metrics", "-u root:tide"):find("neap_requests_total", 1, true))
  end)

  it("asks others at once", function()
    start(5)
    assert.truthy(get("/slow"):find('"tide"', 1, true))
  end)
end)
