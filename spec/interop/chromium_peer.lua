--- Chromium as one of the clients: a page of ours fetches what is asked for. It runs out here, of whichever Debian this
--- is.
local chromium = require("spec.interop.chromium")
local helper = require("spec.helper")

local chromium_peer = {}

local PAUSE = 5 -- seconds, more than app.lua keeps an idle connection
local BEGINNINGS = 5

--- What a page at a port says to JavaScript.
local function ask(ctx, port, path, script)
  local browser = chromium.start(ctx.dir, port, ctx.certs.cert)
  local ok, answer = pcall(function()
    return browser:evaluate(browser:open(("https://localhost:%d/%s"):format(port, path)), script)
  end)
  browser:close()
  if not ok then return nil, answer end
  return answer
end

local DIGESTS = [[Promise.all(%s.map(async path => {
  const bytes = await (await fetch("/" + path)).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map(byte => byte.toString(16).padStart(2, "0")).join("");
})).then(all => all.join(" "))]]

--- A case that fetches files side by side: they have to be those of the folder.
function chromium_peer.fetches(paths)
  local names, files = {}, {}
  for i, path in ipairs(paths) do names[i], files[i] = ("%q"):format(path), helper.quote(path) end
  return function(ctx)
    local list = "[" .. table.concat(names, ",") .. "]"
    local digests, why = ask(ctx, ctx.files_port, "no/such/page", DIGESTS:format(list))
    if not digests then return nil, why end
    local sums = helper.sh(("cd %s && sha256sum %s"):format(helper.quote(ctx.www), table.concat(files, " ")))
    local i = 0
    for digest in digests:gmatch("%x+") do
      i = i + 1
      if not sums:find(digest .. "  " .. paths[i] .. "\n", 1, true) then
        return nil, paths[i] .. " is not what it was"
      end
    end
    if i ~= #paths then return nil, i .. " files came" end
    return true
  end
end

local function answers(port, script, wanted)
  return function(ctx)
    local answer, why = ask(ctx, ctx[port], "no/such/page", script)
    if answer ~= wanted then return nil, tostring(why or answer) end
    return true
  end
end

-- It reads of an answer what fits into its window of 6 MB before its own body is whole: two bodies they are, of 5 MB.
chromium_peer.post = answers("app_port", [[(async () => {
  for (let half = 0; half < 2; half++) {
    const sent = new Uint8Array(5242880);
    for (let at = 0; at < sent.length; at += 65536) crypto.getRandomValues(sent.subarray(at, at + 65536));
    const got = new Uint8Array(await (await fetch("/echo", {method: "POST", body: sent})).arrayBuffer());
    if (got.length != sent.length || !got.every((byte, at) => byte == sent[at])) return "other";
  }
  return "same";
})()]], "same")

chromium_peer.head = answers("files_port", [[fetch("/1M", {method: "HEAD"}).then(async response =>
  [response.status, response.headers.get("content-length"), (await response.arrayBuffer()).byteLength].join(" "))]],
  "200 1048576 0")

chromium_peer.missing = answers("files_port",
  [[fetch("/no/such/file").then(response => String(response.status))]], "404")

-- A browser that begins may give up its first connection for the sake of its settings, and have the page by another.
local function open_at_first(ctx, port, path)
  local browser, page, text
  for _ = 1, BEGINNINGS do
    if browser then browser:close() end
    browser = chromium.start(ctx.dir, port, ctx.certs.cert)
    page = browser:open(("https://localhost:%d/%s"):format(port, path))
    text = browser:evaluate(page, "document.body.innerText")
    if not text:find("^resumed") then break end
  end
  return browser, page, text
end

--- A connection for each text: the server's end in a pause, and the browser's with them.
--- Behind the first page they are fetched, since a browser may connect for a page that it is about to open, and then
--- early data comes without its request.
function chromium_peer.visits(ctx, port, paths)
  local browser, page, text = open_at_first(ctx, port, paths[1])
  local texts = { text }
  local ok, why = pcall(function()
    for i = 2, #paths do
      os.execute("sleep " .. PAUSE)
      local script = "fetch('/%s', {cache: 'no-store'}).then(response => response.text())"
      texts[i] = browser:evaluate(page, script:format(paths[i]))
    end
  end)
  browser:close()
  if not ok then return nil, why end
  return texts
end

return chromium_peer
