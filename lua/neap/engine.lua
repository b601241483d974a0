--- What computes AES-GCM, and the wish for it in the environment.
local core = require "neap.core"

local engine = {}

--- What is wrong with NEAP_CRYPTO: a line when it names nothing that is here, else nil.
function engine.complaint()
  local wanted = os.getenv "NEAP_CRYPTO"
  if not wanted or wanted == "" then return nil end
  local names = core.engines()
  for _, name in ipairs(names) do
    if name == wanted then return nil end
  end
  return ("NEAP_CRYPTO=%s is not here: %s computes AES-GCM (there are: %s)"):format(wanted, names[1],
    table.concat(names, ", "))
end

return engine
