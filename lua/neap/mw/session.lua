--- req.session, a table of the handler's that lives from request to request of a client: in a signed cookie, or in a
-- store under an id that the cookie has. It is written when the handler has changed it, before the response leaves.
local core = require "neap.core"
local hex = require "neap.hex"
local json = require "neap.json"
local log = require "neap.log"
local memory_store = require "neap.mw.memory_store"
local options = require "neap.options"

local OWN = {
  keys = options.row("a key of 16 bytes or more, or a list", function(value)
    return type(value) == "string" or type(value) == "table"
  end), -- of the signature: as res:signed_cookie takes them
  cookie = options.of("string", "__Host-session"),
  max_age = options.number("seconds", 1, math.huge, 14 * 86400),
  same_site = options.of("string", "lax", true),
  secure = options.of("boolean", true),
  store = options.row("\"memory\", or a table with get, set and delete", function(value)
    return value == "memory" or type(value) == "table"
  end), -- get(id) → text or nil; set(id, text, seconds); delete(id): they may wait
  entries = options.whole(1, nil, 10000), -- of "memory", twice as many at most
}

local MOST_IN_COOKIE = 3500 -- bytes of the text; browsers keep 4096 of a cookie

local function new_id()
  return hex(core.random_bytes(16))
end

local function decode(text)
  local value = text and json.decode(text)
  return type(value) == "table" and value or nil
end

return function(given)
  given = options.fill(given, OWN, "session", 2)
  if not given.keys then error("session takes `keys`, which sign its cookie", 2) end
  local keys, cookie, max_age = given.keys, given.cookie, given.max_age
  local store = given.store == "memory" and memory_store(given.entries) or given.store
  local attributes = { max_age = max_age, same_site = given.same_site, secure = given.secure }

  -- What the cookie leads to: the session, its text as it was, its id in the store.
  local function open(req)
    local text, id = req:signed_cookie(cookie, keys), nil
    if store and text then
      local message
      id = text
      text, message = store:get(id)
      if not text and message then error(message, 0) end
    end
    local session = decode(text)
    if not session then return {}, "{}", nil end
    return session, text, id
  end

  local function write(req, res, was, id)
    local session = req.session
    if session == nil or next(session) == nil then
      if was == "{}" then return end
      if id then store:delete(id) end
      res:cookie(cookie, nil, { same_site = given.same_site, secure = given.secure })
      return
    end
    local text = assert(json.encode(session))
    if text == was and not req.session_is_new then return end
    if not store then
      if #text > MOST_IN_COOKIE then
        error(("a session of %d bytes has no place in a cookie: give a `store`"):format(#text), 0)
      end
      res:signed_cookie(cookie, text, keys, attributes)
      return
    end
    -- Who logs in gets another id: one that somebody has planted is worth nothing (session fixation).
    if req.session_is_new and id then
      store:delete(id)
      id = nil
    end
    id = id or new_id()
    local ok, message = store:set(id, text, max_age)
    if not ok then error(message or "the store of the session failed", 0) end
    res:signed_cookie(cookie, id, keys, attributes)
  end

  return function(req, res, next)
    local was, id
    req.session, was, id = open(req)
    local before = json.encode(req.session)
    next()
    if res:is_started() then
      if json.encode(req.session or {}) ~= before then
        log.warn("a session was changed after the response had begun: it is not kept")
      end
      return
    end
    write(req, res, was == "{}" and was or before, id)
  end
end
