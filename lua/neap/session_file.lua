--- TLS sessions of clients in a file: what is there, and what is put there. Several programs may have the same one.
--- Before the sessions, where there are such, the addresses that answered where others were silent: a session that is
--- offered to a silent one is lost, and some servers give only one.
local core = require "neap.core"

local session_file = {}

local KIND = "neap sessions " -- the beginning of every such file
local MARK = KIND .. "1\n"    -- and of those that this version reads; see core/tls/sessions.c
local MARK_ADDRESSES = KIND .. "2\n" -- then lines, see winners.lua, an empty one, and the whole from the other mark on
local PIECE = 65536

local function left_alone(path, why)
  return nil, path .. " " .. why .. ", and is left alone"
end

-- The path behind links where sessions may be written, and the bytes that are there; nil and a message when it is not
-- ours to write: a device, a link that leads nowhere, what somebody keeps something else in.
local function look(path)
  local target = core.realpath(path)
  if not target then
    if core.stat(path, true) then return left_alone(path, "is a link that leads nowhere") end
    return path, ""
  end
  local file, message = core.open_file(target)
  if not file then
    local stat = core.stat(target)
    if stat and stat.type ~= "file" then return left_alone(path, "is no regular file") end
    return nil, message
  end
  local bytes = file:read(#KIND)
  if bytes == "" or bytes == KIND then
    local pieces = { bytes }
    repeat
      bytes, message = file:read(PIECE)
      pieces[#pieces + 1] = bytes
    until not bytes or bytes == ""
    bytes = bytes and table.concat(pieces)
  elseif bytes then
    target, message = left_alone(path, "is none of TLS sessions")
  end
  file:close()
  if not target or not bytes then return nil, message end
  return target, bytes
end

-- The lines of addresses in a file's bytes, and the bytes of its sessions.
local function split(bytes)
  if bytes:sub(1, #MARK_ADDRESSES) ~= MARK_ADDRESSES then return "", bytes end
  local past = bytes:find("\n\n", #MARK_ADDRESSES, true)
  if not past then return "", "" end
  return bytes:sub(#MARK_ADDRESSES + 1, past), bytes:sub(past + 2)
end

-- The sessions of a file's bytes, each with its server, in a list and as a set. They end where it is cut off.
local function records(bytes)
  local list, set = {}, {}
  local at = #MARK + 1 -- port: 2 bytes; size and name: 1 and so many; size and session: 2 and so many
  if bytes:sub(1, #MARK) ~= MARK then return list, set end
  while true do
    local name_size = bytes:byte(at + 2)
    local high, low = bytes:byte(at + 3 + (name_size or 0), at + 4 + (name_size or 0))
    local past = name_size and low and at + 5 + name_size + high * 256 + low
    if not past or past > #bytes + 1 then return list, set end
    local one = bytes:sub(at, past - 1)
    list[#list + 1], set[one] = one, true
    at = past
  end
end

--- Puts what the file has into a config and a table of winners: what is known of the file, for save. A file that is cut
-- off is as good as none: the next handshake is a full one. nil, message for one that is not ours.
function session_file.load(path, config, winners)
  local target, bytes = look(path)
  if not target then return nil, bytes end
  local addresses, sessions = split(bytes)
  config:load_sessions(sessions)
  winners:read(addresses)
  return select(2, records(sessions))
end

-- What save does while nobody else does.
local function merge(path, config, known, winners)
  local target, bytes = look(path)
  if not target then return nil, bytes end
  local addresses, theirs = split(bytes)
  local list, there = records(theirs)
  local others, kept = {}, {}
  for _, one in ipairs(list) do
    if not known[one] then others[#others + 1] = one end
  end
  if #others > 0 then config:load_sessions(MARK .. table.concat(others)) end
  local ours, now_known = records(config:save_sessions())
  for _, one in ipairs(ours) do
    if there[one] or not known[one] then kept[#kept + 1] = one end
  end
  winners:read(addresses)
  addresses = winners:text()
  local whole = MARK .. table.concat(kept)
  if addresses ~= "" then whole = MARK_ADDRESSES .. addresses .. "\n" .. whole end
  if whole ~= bytes then
    local ok, message = core.write_file(target, whole, 384)
    if not ok then return nil, message end
  end
  return now_known
end

--- Writes a config's sessions, for its owner alone: who has them can read what a resumed connection sends first. What
-- others have put there since is kept, as far as a config keeps so many. What was `known` and is gone here was used by
-- us, what is gone there by others: neither is written. What is known now; nil, message when nothing was written.
function session_file.save(path, config, known, winners)
  local target, message = look(path)
  if not target then return nil, message end
  local lock
  lock, message = core.lock_file(target)
  if not lock then return nil, message end
  local now_known
  now_known, message = merge(path, config, known, winners)
  lock:close()
  return now_known, message
end

return session_file
