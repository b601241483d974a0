--- Bodies of HTML forms: what a request has to read them.
local multipart = require "neap.multipart"
local url = require "neap.url"

local form = {}

local MOST = 1000 -- values of a form, each of which is a table

local function is_multipart(req)
  local kind = req.headers:get("content-type")
  return kind and kind:lower():find("^%s*multipart/") ~= nil
end

--- Iterates over the parts of a multipart/form-data body as they come, with no more of them in memory than a piece:
-- `for part in req:multipart() do … end`. A part has name, filename (without folders; nil: no file), content_type,
-- headers, read, chunks, body and save; what is not read of it is passed over. Limits: `parts` (128), `bytes` of the
-- body and `part_bytes` of one (none), `headers` (16) and `header_bytes` (8192) of one. A body that is none, or has
-- more, is an error with the status 400, 413 or 415, which answers so when nobody catches it.
function form:multipart(limits)
  local boundary = multipart.boundary(self.headers:get("content-type") or "")
  if not boundary then
    error({ status = is_multipart(self) and 400 or 415, message = "multipart/form-data with a boundary expected\n" }, 2)
  end
  return multipart.parts(self:chunks(), boundary, limits)
end

local function read_parts(self, limit)
  local values, all, files = {}, {}, {}
  for part in self:multipart { bytes = limit, parts = MOST } do
    local text = part:body(limit)
    if part.filename then
      files[part.name] = { filename = part.filename, content_type = part.content_type, body = text }
    else
      values[part.name] = text
      all[part.name] = all[part.name] or {}
      table.insert(all[part.name], text)
    end
  end
  return { values, all, files }
end

--- The body read as an HTML form, application/x-www-form-urlencoded or multipart/form-data: a table of values, one
-- with every value of each name, and one of files, { filename =, content_type =, body = }. nil, message, code when it
-- is none or has more than `limit` bytes (1 MiB unless told) or 1000 values. Files of any size: see multipart.
function form:form(limit)
  if self._form then return self._form[1], self._form[2], self._form[3] end
  if is_multipart(self) then
    local ok, result = pcall(read_parts, self, limit or 1024 * 1024)
    if not ok and type(result) == "table" then
      return nil, result.message, result.code or "invalid", result.number
    end
    if not ok then error(result, 0) end
    self._form = result
    return result[1], result[2], result[3]
  end
  local text, message, code, number = self:body(limit)
  if not text then return nil, message, code, number end
  if select(2, text:gsub("&", "")) >= MOST then return nil, ("more than %d values"):format(MOST), "limit" end
  local values, all = url.parse_query(text)
  return values, all, {}
end

return form
