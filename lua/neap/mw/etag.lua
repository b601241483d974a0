--- Entity tags of whole bodies, and 304 for who has one already (RFC 9110 §8.8.3, §13): saves the transfer, not the
-- work.
local conditional = require "neap.conditional"
local core = require "neap.core"
local hex = require "neap.hex"
local options = require "neap.options"

local OWN = { weak = options.of("boolean", false) }

return function(given)
  local prefix = options.fill(given, OWN, "etag", 2).weak and "W/" or ""
  return function(req, res, next)
    next()
    local method = req.method
    local body = (method == "GET" or method == "HEAD") and res:status() == 200 and res:body()
    if not body then return end
    local tag = res:header("etag")
    if not tag then
      tag = ('%s"%s"'):format(prefix, hex(core.hmac("entity tag", body):sub(1, 12)))
      res:header("etag", tag)
    end
    local status = conditional.status_instead(req.headers, tag)
    if status then
      res:header("content-type", status == 412 and "text/plain; charset=utf-8" or nil)
      res:body(status == 412 and "precondition failed\n" or ""):status(status)
    end
  end
end
