-- An ordinary browser, without a flag for QUIC: it comes over TCP, is told of HTTP/3, and comes back over that.
local chromium = require("spec.interop.chromium")
local helper = require("spec.helper")
local support = require("support.program")

local APP = [[
local neap = require "neap"
local folder = ...
local app = neap.app()
app:get("/", function(req, res)
  res:header("content-type", "text/html; charset=utf-8")
  return ("<!doctype html><title>neap</title><h1>over <span id=p>%s</span></h1>"):format(req.proto)
end)
app:get("/proto", function(req) return req.proto end)
app:get("/events", function(req, res)
  local events = res:sse()
  for i = 1, 3 do
    if not events:wait(0.05) then return end
    events:send{ id = i, event = "tide", data = req.proto .. " " .. i }
  end
  events:wait(5)
end)
app:post("/upload", function(req)
  local list = {}
  for part in req:multipart() do
    local size = 0
    for chunk in part:chunks() do size = size + #chunk end
    list[#list + 1] = ("%s=%s:%d"):format(part.name, part.filename or "", size)
  end
  return req.proto .. " " .. table.concat(list, ",")
end)
app:get("/session", function(req)
  req.session.count = (req.session.count or 0) + 1
  return tostring(req.session.count)
end)
app:use("/session", neap.mw.session{ keys = ("k"):rep(32) })
assert(app:listen{ tcp = true, cert = folder .. "/cert.pem", key = folder .. "/key.pem" })
]]

describe("Chromium without a flag", function()
  local folder, browser, server

  setup(function()
    folder = helper.make_dir()
    local id = require("support.web").identity()
    helper.write_file(folder .. "/cert.pem", id.cert)
    helper.write_file(folder .. "/key.pem", id.key)
    helper.write_file(folder .. "/app.lua", APP)
    if helper.has_program("chromium") then
      server = support.start(("run %s/app.lua %s"):format(folder, folder), "NEAP_LISTEN=127.0.0.1:0")
      browser = chromium.start(folder, nil, folder .. "/cert.pem")
    end
  end)

  teardown(function()
    if browser then browser:close() end
    support.end_all()
    helper.remove_dir(folder)
  end)

  local function url(path) return ("https://localhost:%d%s"):format(server.port, path) end

  it("opens a page over TCP, and has HTTP/3 from then on", function()
    if not browser then return pending("needs chromium") end
    local page = browser:open(url("/"))
    local first = browser:protocol(page)
    assert.is_truthy(first == "h2" or first == "http/1.1", first)
    assert.equal("over " .. first, browser:evaluate(page, "document.querySelector('h1').textContent"))
    assert.equal("h3", browser:evaluate(page, [[(async () => {
      for (let tries = 0; tries < 100; tries++) {
        const name = await (await fetch("/proto")).text();
        if (name == "h3") return name;
        await new Promise(done => setTimeout(done, 50));
      }
      return "never";
    })()]]))
    assert.equal("h3", browser:evaluate(page, [[performance.getEntriesByType("resource").at(-1).nextHopProtocol]]))
    assert.equal("h3", browser:protocol(browser:open(url("/"))))
    local picture = browser:screenshot(page)
    assert.matches("^iVBORw0KGgo", picture)
  end)

  it("hears server-sent events", function()
    if not browser then return pending("needs chromium") end
    assert.matches("^%S+ 1,%S+ 2,%S+ 3 last 3$", browser:evaluate(browser:open(url("/")), [[new Promise(done => {
      const got = [], source = new EventSource("/events");
      source.addEventListener("tide", event => {
        got.push(event.data);
        if (got.length == 3) { source.close(); done(got.join(",") + " last " + event.lastEventId); }
      });
    })]]))
  end)

  it("uploads a form with files, and tells how far it is", function()
    if not browser then return pending("needs chromium") end
    assert.matches("^%S+ kind=:4,image=new%.bin:3000000 true$", browser:evaluate(browser:open(url("/")),
      [[new Promise((done, fail) => {
        const form = new FormData(), request = new XMLHttpRequest();
        form.append("kind", "tide");
        form.append("image", new Blob([new Uint8Array(3000000)]), "new.bin");
        let last = 0;
        request.upload.onprogress = event => { last = event.loaded; };
        request.onload = () => done(request.responseText + " " + (last > 3000000));
        request.onerror = fail;
        request.open("POST", "/upload");
        request.send(form);
      })]]))
  end)

  it("keeps a session in its cookie", function()
    if not browser then return pending("needs chromium") end
    assert.equal("1 2 3", browser:evaluate(browser:open(url("/")), [[(async () => {
      const got = [];
      for (let i = 0; i < 3; i++) got.push(await (await fetch("/session")).text());
      return got.join(" ");
    })()]]))
  end)
end)
