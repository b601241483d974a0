--- Handshake messages taken apart and put together again, so that specs can change what is in them.
local messages = {}

local function number(bytes, at, size)
  local value = 0
  for i = at, at + size - 1 do value = value * 256 + bytes:byte(i) end
  return value
end

--- Big-endian bytes of a number.
messages.bytes = require "spec.support.big_endian"

--- A vector: length and content.
function messages.vector(content, size)
  return messages.bytes(#content, size) .. content
end

messages.CLIENT_HELLO, messages.SERVER_HELLO, messages.NEW_SESSION_TICKET = 1, 2, 4
messages.END_OF_EARLY_DATA, messages.ENCRYPTED_EXTENSIONS, messages.CERTIFICATE = 5, 8, 11
messages.CERTIFICATE_REQUEST, messages.CERTIFICATE_VERIFY, messages.FINISHED = 13, 15, 20
messages.KEY_UPDATE = 24

--- A message of a type and a body.
function messages.build(kind, body)
  return string.char(kind) .. messages.vector(body, 3)
end

function messages.kind(message) return message:byte(1) end
function messages.body(message) return message:sub(5) end

--- The whole messages in a run of bytes.
function messages.split(bytes)
  local list, at = {}, 1
  while at <= #bytes do
    local size = 4 + number(bytes, at + 1, 3)
    list[#list + 1] = bytes:sub(at, at + size - 1)
    at = at + size
  end
  return list
end

local function reader(bytes)
  local at = 1
  local r = {}
  function r.take(size)
    local out = bytes:sub(at, at + size - 1)
    assert(#out == size, "message too short")
    at = at + size
    return out
  end
  function r.vector(size) return r.take(number(r.take(size), 1, size)) end
  function r.rest() return bytes:sub(at) end
  return r
end

--- An extension block as a list of { type, data }.
function messages.read_extensions(block)
  local list, r = {}, reader(block)
  while r.rest() ~= "" do
    local kind = number(r.take(2), 1, 2)
    list[#list + 1] = { kind, r.vector(2) }
  end
  return list
end

function messages.write_extensions(list)
  local out = {}
  for i, ext in ipairs(list) do out[i] = messages.bytes(ext[1], 2) .. messages.vector(ext[2], 2) end
  return table.concat(out)
end

local fields = {
  [messages.CLIENT_HELLO] = {
    read = function(r)
      return {
        version = r.take(2), random = r.take(32), session = r.vector(1), suites = r.vector(2),
        compressions = r.vector(1), extensions = messages.read_extensions(r.vector(2)),
      }
    end,
    write = function(m)
      return m.version .. m.random .. messages.vector(m.session, 1) .. messages.vector(m.suites, 2)
        .. messages.vector(m.compressions, 1)
        .. messages.vector(messages.write_extensions(m.extensions), 2)
    end,
  },
  [messages.SERVER_HELLO] = {
    read = function(r)
      return {
        version = r.take(2), random = r.take(32), session = r.vector(1), suite = r.take(2),
        compression = r.take(1), extensions = messages.read_extensions(r.vector(2)),
      }
    end,
    write = function(m)
      return m.version .. m.random .. messages.vector(m.session, 1) .. m.suite .. m.compression
        .. messages.vector(messages.write_extensions(m.extensions), 2)
    end,
  },
  [messages.ENCRYPTED_EXTENSIONS] = {
    read = function(r) return { extensions = messages.read_extensions(r.vector(2)) } end,
    write = function(m) return messages.vector(messages.write_extensions(m.extensions), 2) end,
  },
  [messages.CERTIFICATE_REQUEST] = {
    read = function(r) return { context = r.vector(1), extensions = messages.read_extensions(r.vector(2)) } end,
    write = function(m)
      return messages.vector(m.context, 1) .. messages.vector(messages.write_extensions(m.extensions), 2)
    end,
  },
}

--- The fields of a ClientHello, ServerHello, EncryptedExtensions or CertificateRequest.
function messages.read(message)
  return fields[messages.kind(message)].read(reader(messages.body(message)))
end

--- The message again, after `change(fields)`.
function messages.edit(message, change)
  local kind = messages.kind(message)
  local m = messages.read(message)
  change(m)
  return messages.build(kind, fields[kind].write(m))
end

--- The data of the extension of a type, or nil.
function messages.extension(m, kind)
  for _, ext in ipairs(m.extensions) do
    if ext[1] == kind then return ext[2] end
  end
  return nil
end

--- A change for messages.edit: the extension gets this data (nil: it goes, absent before: it comes last).
function messages.set_extension(kind, data)
  return function(m)
    for i, ext in ipairs(m.extensions) do
      if ext[1] == kind then
        if data then ext[2] = data else table.remove(m.extensions, i) end
        return
      end
    end
    if data then table.insert(m.extensions, { kind, data }) end
  end
end

return messages
