--- Downloads into a file: what breaks off goes on where it was, also in the next run of a program, and the file has its
-- name only when it is whole (RFC 9110 §14).
local core = require "neap.core"
local Headers = require "neap.headers"
local options = require "neap.options"
local process = require "neap.process"
local task = require "neap.task"

local OWN = {
  headers = options.of("table"), timeout = options.timeout(), progress_timeout = options.timeout(30), -- of a request
  follow = options.whole(0, nil, 10), -- redirects
  progress = options.of("function"), -- progress(size, total or nil), of what is there
  sha256 = options.row("64 hex digits", function(value)
    return type(value) == "string" and #value == 64 and value:find("^%x+$") ~= nil
  end),
  resume = options.of("boolean", true), -- what an earlier run has left is gone on with
  retries = options.whole(0, nil, 5), -- in a row, without a byte
  wait = options.timeout(0.5), -- seconds before the first, doubled each time
  most = options.whole(0), -- bytes: a larger file is refused
}

local LONGEST_WAIT = 30 -- seconds

-- What may be better the next time.
local MAY_PASS = { closed = true, reset = true, timeout = true, unreachable = true, refused = true, truncated = true,
  limit = true, again = true, system = true }
local MAY_PASS_STATUS = { [408] = true, [425] = true, [429] = true, [500] = true, [502] = true, [503] = true,
  [504] = true }

local busy = {} -- paths that are being written

local function size_of(path)
  local stat = core.stat(path)
  return stat and stat.type == "file" and stat.size or 0
end

-- What of an earlier run is there: the URL and the validator that it was of, or nil.
local function read_note(path)
  local file = io.open(path)
  if not file then return nil end
  local address, validator = file:read("*l", "*l")
  file:close()
  return address, validator
end

-- By what a server says later whether a representation is still the same: a strong entity tag, or else a date.
local function validator_of(response)
  local tag = response.headers.etag
  if tag and tag:sub(1, 1) == '"' then return tag end
  return response.headers["last-modified"]
end

local Download = {}
Download.__index = Download

-- Begins anew: nothing of what was there counts.
function Download:restart()
  os.remove(self.note)
  self.size, self.validator = 0, nil
end

-- What is lost of it by a loss of power only costs the file being fetched anew.
function Download:write_note()
  local file = self.validator and core.create_file(self.note, false, true)
  if not file then return end
  file:write(self.address .. "\n" .. self.validator .. "\n")
  file:close()
end

-- Whether a part is what was asked for: the rest of the same file (RFC 9110 §15.3.7).
function Download:goes_on(response)
  local first, last, total = (response.headers["content-range"] or ""):match("^bytes (%d+)%-(%d+)/(%d+)$")
  self.total = tonumber(total)
  local tag = self.validator:sub(1, 1) == '"' and response.headers.etag
  return tonumber(first) == self.size and tonumber(last) == self.total - 1 and (not tag or tag == self.validator)
end

-- Where the body of a response goes: true; nil, message, code; the third is nil when asking again is in vain.
function Download:begin(response)
  local status = response.status
  if status == 416 and self.size > 0 then
    local total = (response.headers["content-range"] or ""):match("^bytes %*/(%d+)$")
    if tonumber(total) == self.size then
      self.total, self.is_whole = self.size, true
      return true
    end
    self:restart()
    return nil, "the file has another size now", "truncated"
  end
  if status == 206 and self.size > 0 then
    if not self:goes_on(response) then
      self:restart()
      return nil, "the server sent another part than it was asked for", "truncated"
    end
  elseif status == 200 then
    self:restart()
    self.total = tonumber(response.headers["content-length"])
    self.validator = validator_of(response)
    self:write_note()
  else
    return nil, "status " .. status, MAY_PASS_STATUS[status] and "status" or nil
  end
  if self.most and (self.total or 0) > self.most then return nil, ("larger than %d bytes"):format(self.most) end
  return true
end

-- One request: true when the file is whole.
function Download:try(client)
  local headers = Headers.new(self.headers)
  headers:set("accept-encoding", "identity"):del("range"):del("if-range")
  if self.size > 0 and self.validator then
    headers:set("range", ("bytes=%d-"):format(self.size)):set("if-range", self.validator)
  else
    self.size = 0
  end
  local response, message, code = client:get(self.address, { headers = headers, timeout = self.timeout,
    progress_timeout = self.progress_timeout, follow = self.follow })
  if not response then return nil, message, MAY_PASS[code] and code or nil end
  local ok
  ok, message, code = self:begin(response)
  if not ok or self.is_whole then
    response:close()
    return ok, message, code
  end
  local file
  file, message = core.create_file(self.part, self.size > 0, true)
  if not file then
    response:close()
    return nil, message
  end
  local count, kind
  repeat
    count, message, kind = response:_save(file)
    if count then
      self.size = self.size + count
      if self.progress then self.progress(self.size, self.total) end
      if self.most and self.size > self.most then
        response:close()
        count, message, kind = nil, ("larger than %d bytes"):format(self.most), "argument"
      elseif self.total and self.size > self.total then
        response:close()
        count, message, kind = nil, "the body is longer than it was to be", "truncated"
      end
    end
  until not count
  local is_closed, reason = file:close()
  if not is_closed then return nil, reason end
  if not message and self.total and self.size ~= self.total then
    message, kind = "the body is not whole", "truncated"
  end
  -- What was too long, or ended too early without an error, was another file than it said.
  if kind == "truncated" then self:restart() end
  if message then return nil, message, kind ~= "system" and MAY_PASS[kind] and kind or nil end
  return true
end

-- Whether the bytes are those that were meant.
function Download:check()
  if not self.sha256 then return true end
  local result, message = process.run { "sha256sum", "-b", "--", self.part }
  if not result then return nil, message end
  local digits = result.stdout:match("^\\?(%x+)")
  if result.code ~= 0 or not digits then return nil, "sha256sum failed: " .. result.stderr end
  if digits:lower() == self.sha256:lower() then return true end
  self:restart()
  os.remove(self.part)
  return nil, "the file has another checksum: " .. digits, "checksum"
end

local function download(client, address, path, given)
  local self = setmetatable(given, Download)
  self.address, self.part, self.note = address, path .. ".part", path .. ".part.of"
  local of, validator = read_note(self.note)
  self.size = 0
  if self.resume and of == address and validator then self.size, self.validator = size_of(self.part), validator end
  local wait, left, most = self.wait, self.retries, self.size
  while true do
    local ok, message, code = self:try(client)
    if ok then break end
    if not code then return nil, message, message:match("^status ") and "status" or "system" end
    -- Of more than there ever was: a server that begins again each time gets no further.
    if self.size > most then wait, left, most = self.wait, self.retries, self.size end
    if left == 0 then return nil, message, code end
    left = left - 1
    -- Not all of many at once.
    local slept, reason, kind = task.sleep(wait * (0.75 + math.random() / 2))
    if slept == nil and kind then return nil, reason, kind end
    wait = math.min(2 * wait, LONGEST_WAIT)
  end
  local ok, message, code = self:check()
  if not ok then return nil, message, code or "system" end
  local renamed, reason = os.rename(self.part, path)
  if not renamed then return nil, reason, "system" end
  os.remove(self.note)
  return self.size
end

--- client:download(url, path[, options]): fetches into `path`, by way of `path`.part, which is gone on with as long as
-- the server says that it is still the same file. Options: headers, timeout, progress_timeout, follow (10),
-- progress(size, total), sha256 (64 hex digits), resume (true), retries (5, in a row without a byte) and wait (0.5
-- seconds before the first, doubled each time), most (bytes). The size; nil, message, code: "status", "checksum",
-- "busy", "system", or as client:request.
return function(client, address, path, given)
  if type(address) ~= "string" or type(path) ~= "string" then error("download takes a URL and a path", 2) end
  given = options.fill(given, OWN, "download", 2)
  if busy[path] then return nil, path .. " is being written by another download", "busy" end
  busy[path] = true
  local results = { pcall(download, client, address, path, given) }
  busy[path] = nil
  if not results[1] then error(results[2], 0) end
  return results[2], results[3], results[4]
end
