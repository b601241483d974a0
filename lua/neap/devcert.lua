--- The development certificate: self-signed for localhost, made once and kept in the user's cache
-- folder.
local core = require "neap.core"
local task = require "neap.task"

local devcert = {}

local DAYS = 90          -- a certificate is valid so long
local RENEW_AFTER = 80   -- and made anew when it is so old

--- The folder where it is kept.
function devcert.folder()
  local cache = os.getenv("XDG_CACHE_HOME")
  if not cache or cache == "" then cache = (os.getenv("HOME") or "/tmp") .. "/.cache" end
  return cache .. "/neap"
end

--- The names it is for.
devcert.names = { "localhost", "127.0.0.1", "::1" }

--- The paths of certificate and key, made when they are missing or old; at a host of a simulation their texts. nil,
-- message, code when that fails.
function devcert.get()
  local place = task.place()
  if place.certificate then return place:certificate() end
  local folder = devcert.folder()
  local cert, key = folder .. "/dev-cert.pem", folder .. "/dev-key.pem"
  local cert_stat, key_stat = core.stat(cert), core.stat(key)
  if cert_stat and key_stat and os.time() - cert_stat.mtime < RENEW_AFTER * 86400 then return cert, key end
  local certificate, private = core.make_certificate { names = devcert.names, days = DAYS }
  if not certificate then return nil, private, "certificate" end
  local ok, message, code = core.mkdir(folder)
  if ok then ok, message, code = core.write_file(key, private, 384) end
  if ok then ok, message, code = core.write_file(cert, certificate, 420) end
  if not ok then return nil, message, code end
  return cert, key
end

return devcert
