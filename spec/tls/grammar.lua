--- What handshake messages look like (RFC 8446 §4, §B.3), as data: enough to take a message apart strictly, and to make
--- from it every message that is nearly one.
local messages = require("tls.messages")

local grammar = {}

-- ------------------------------------------------------------------ the forms

local function fixed(size) return { form = "fixed", size = size } end
local function seq(...) return { form = "seq", ... } end
-- A length of `bytes` bytes, and so many bytes behind it as it says, `least` at least: of any content, or one of these.
local function vector(bytes, least, inner) return { form = "vector", bytes = bytes, least = least, inner = inner } end
-- One behind the other to the end.
local function list(of) return { form = "list", of = of } end
local rest = { form = "rest" }
local empty = { form = "seq" }

local function extensions(known) return { form = "list", extensions = known, of = nil } end

local NUMBERS = list(fixed(2))
local NAMES = vector(2, 2, list(vector(1, 1)))

local HELLO_EXTENSIONS = extensions({
  [0] = vector(2, 1, list(seq(fixed(1), vector(2, 1)))), -- server_name
  [10] = vector(2, 2, NUMBERS), -- supported_groups
  [13] = vector(2, 2, NUMBERS), -- signature_algorithms
  [16] = NAMES, -- application_layer_protocol_negotiation
  [42] = empty, -- early_data
  [41] = seq(vector(2, 7, list(seq(vector(2, 1), fixed(4)))), vector(2, 33, list(vector(1, 32)))), -- pre_shared_key
  [43] = vector(1, 2, NUMBERS), -- supported_versions
  [44] = vector(2, 1), -- cookie
  [45] = vector(1, 1), -- psk_key_exchange_modes
  [51] = vector(2, 0, list(seq(fixed(2), vector(2, 1)))), -- key_share
})

local ANSWER_EXTENSIONS = extensions({ [41] = fixed(2), [43] = fixed(2), [51] = seq(fixed(2), vector(2, 1)) })
local RETRY_EXTENSIONS = extensions({ [43] = fixed(2), [44] = vector(2, 1), [51] = fixed(2) })

local function answer(block)
  return seq(fixed(2), fixed(32), vector(1, 0), fixed(2), fixed(1), vector(2, 0, block))
end

grammar.CLIENT_HELLO = seq(fixed(2), fixed(32), vector(1, 0), vector(2, 2, NUMBERS), vector(1, 1),
  vector(2, 0, HELLO_EXTENSIONS))
grammar.SERVER_HELLO = answer(ANSWER_EXTENSIONS)
grammar.HELLO_RETRY_REQUEST = answer(RETRY_EXTENSIONS)
grammar.ENCRYPTED_EXTENSIONS = seq(vector(2, 0, extensions({ [0] = empty, [16] = NAMES, [42] = empty })))
grammar.CERTIFICATE_REQUEST = seq(vector(1, 0), vector(2, 0, extensions({})))
grammar.CERTIFICATE = seq(vector(1, 0), vector(3, 1, list(seq(vector(3, 1), vector(2, 0, extensions({}))))))
grammar.CERTIFICATE_VERIFY = seq(fixed(2), vector(2, 0))
grammar.FINISHED = seq(fixed(32))
grammar.NEW_SESSION_TICKET = seq(fixed(4), fixed(4), vector(1, 0), vector(2, 1),
  vector(2, 0, extensions({ [42] = fixed(4) })))

-- ------------------------------------------------------------------ taking apart

local parse

local function number(bytes)
  local value = 0
  for i = 1, #bytes do value = value * 256 + bytes:byte(i) end
  return value
end

-- The nodes of an extension: { type, its data }.
local function extension_form(known, kind)
  return seq(fixed(2), vector(2, 0, known[kind] or rest))
end

-- A node of a form at the start of `bytes`, and how many bytes it has; nil where they are not of the form.
function parse(form, bytes)
  if form.form == "fixed" then
    if #bytes < form.size then return nil end
    return { form = form, bytes = bytes:sub(1, form.size) }, form.size
  elseif form.form == "rest" then
    return { form = form, bytes = bytes }, #bytes
  elseif form.form == "vector" then
    if #bytes < form.bytes then return nil end
    local size = number(bytes:sub(1, form.bytes))
    if size < form.least or #bytes < form.bytes + size then return nil end
    local content = bytes:sub(form.bytes + 1, form.bytes + size)
    local node, used = parse(form.inner or rest, content)
    if not node or used < size then return nil end
    return { form = form, node }, form.bytes + size
  end
  local out, at, i = { form = form }, 1, 1
  while form.form == "list" and at <= #bytes or form[i] do
    local part = form[i] or form.of or extension_form(form.extensions, number(bytes:sub(at, at + 1)))
    local node, used = parse(part, bytes:sub(at))
    if not node then return nil end
    out[i] = node
    at, i = at + used, i + 1
  end
  return out, at - 1
end

--- The tree of a message's body; nil when it is not of the form.
function grammar.parse(form, body)
  local node, used = parse(form, body)
  if node and used == #body then return node end
  return nil
end

-- ------------------------------------------------------------------ putting together

-- `change(node, bytes)`: what a node is written as; nil: as it is.
local function write(node, change)
  local out = {}
  for i, child in ipairs(node) do out[i] = write(child, change) end
  local bytes = node.bytes or table.concat(out)
  if node.form.form == "vector" then bytes = messages.bytes(#bytes, node.form.bytes) .. bytes end
  return change and change(node, bytes) or bytes
end

function grammar.write(node) return write(node) end

-- ------------------------------------------------------------------ what is nearly a message

local function each(node, path, visit)
  visit(node, path)
  for i, child in ipairs(node) do each(child, path .. "." .. i, visit) end
end

-- Changes of a vector's own length: what is around it fits what it is then, or does not notice.
local function with_length(node, by)
  local size = node.form.bytes
  return function(bytes)
    local value = number(bytes:sub(1, size)) + by
    if value < 0 or value >= 256 ^ size then return nil end
    return messages.bytes(value, size) .. bytes:sub(size + 1)
  end
end

local function resized(node, change)
  local size = node.form.bytes
  return function(bytes)
    local content = change(bytes:sub(size + 1))
    if not content or #content >= 256 ^ size then return nil end
    return messages.bytes(#content, size) .. content
  end
end

local function changes_of(node)
  local form = node.form
  if form.form == "fixed" then
    return {
      ["without its last byte"] = function(bytes) return bytes:sub(1, -2) end,
      ["with a byte more"] = function(bytes) return bytes .. "\0" end,
      ["twice"] = function(bytes) return bytes .. bytes end,
      ["of zeros"] = function(bytes) return ("\0"):rep(#bytes) end,
      ["of ones"] = function(bytes) return ("\255"):rep(#bytes) end,
    }
  elseif form.form == "vector" then
    return {
      ["with a length one too small"] = with_length(node, -1),
      ["with a length one too large"] = with_length(node, 1),
      ["cut by a byte"] = resized(node, function(c) return #c > 0 and c:sub(1, -2) or nil end),
      ["with a byte more"] = resized(node, function(c) return c .. "\0" end),
      ["with its content twice"] = resized(node, function(c) return #c > 0 and c .. c or nil end),
      ["emptied"] = resized(node, function(c) return #c > 0 and "" or nil end),
      ["gone"] = function() return "" end,
      ["of the largest length"] = function(bytes) return ("\255"):rep(form.bytes) .. bytes:sub(form.bytes + 1) end,
    }
  end
  return {}
end

-- Changes of what is in a list: each once more, gone, in the place of the next.
local function list_changes(node)
  local out = {}
  local function join(order)
    return function()
      local parts = {}
      for i, at in ipairs(order) do parts[i] = write(node[at]) end
      return table.concat(parts)
    end
  end
  for i = 1, #node do
    local twice, gone, swapped = {}, {}, {}
    for at = 1, #node do
      table.insert(twice, at)
      if at == i then table.insert(twice, at) else table.insert(gone, at) end
      swapped[at] = at
    end
    if i < #node then
      swapped[i], swapped[i + 1] = i + 1, i
      out[("with entries %d and %d in each other's place"):format(i, i + 1)] = join(swapped)
    end
    out[("with entry %d twice"):format(i)] = join(twice)
    out[("without entry %d"):format(i)] = join(gone)
  end
  return out
end

--- All that is nearly the message: a list of { name, body, is_malformed, doubled_extension }. Lengths around a change
--- fit, so that only what it is about is wrong.
function grammar.mutations(form, body)
  local out = {}
  local tree = assert(grammar.parse(form, body), "the message itself is not of its form")
  local function add(node, path, name, change)
    local is_done = true
    local changed = write(tree, function(at, bytes)
      if at ~= node then return nil end
      local made = change(bytes)
      is_done = made ~= nil
      return made
    end)
    if is_done and changed ~= body then
      table.insert(out, {
        name = ("field%s %s"):format(path, name), body = changed, is_malformed = grammar.parse(form, changed) == nil,
        doubles_extension = node.form.extensions ~= nil and name:find("twice") ~= nil,
      })
    end
  end
  each(tree, "", function(node, path)
    for name, change in pairs(changes_of(node)) do add(node, path, name, change) end
    if node.form.form == "list" then
      for name, change in pairs(list_changes(node)) do add(node, path, name, change) end
    end
  end)
  table.sort(out, function(a, b) return a.name < b.name end)
  return out
end

return grammar
