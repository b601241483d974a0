--- What the specs of TLS over TCP (records*_spec.lua) found, as a table: a row for each program, both roles.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")

local records_table = {}

--- The columns, and words of the names of the specs that belong there.
local COLUMNS = {
  { "suites", "has the suite" },
  { "groups", "takes our share of", "where it can do no other" },
  { "HelloRetryRequest", "HelloRetryRequest" },
  { "certificates", "shows a certificate", "takes our certificate" },
  { "client certificate", "gets ours, of kind", "shows us a certificate", "shows us none", "which we do not have" },
  { "resumed", "resumes our session", "a ticket that we cannot open" },
  { "external PSK", "pre-shared key" },
  { "OCSP response", "OCSP response" },
  { "compressed certificate", "compressed certificate" },
}

records_table.programs = { "openssl", "gnutls", "python" }
records_table.columns = {}
for i, column in ipairs(COLUMNS) do records_table.columns[i] = column[1] end

local COMMAND = [[cd /neap && LSAN_OPTIONS=suppressions=spec/support/lsan.supp:print_suppressions=0 \
  /var/neap/dev/spec_host /usr/bin/busted --ignore-lua -o TAP \
  spec/interop/records_spec.lua spec/interop/records_proofs_spec.lua]]

local function belongs(name, program, column)
  if not name:find("over TCP with " .. program, 1, true) and not name:find("over TCP " .. program, 1, true) then
    return false
  end
  for i = 2, #column do
    if name:find(column[i], 1, true) then return true end
  end
  return false
end

--- Runs the specs in the root of scripts/peers, where `scripts/peers build dev` has been. Returns how many were good,
--- the names of those that were not, and cell(program, i) for the columns: true, false, or nil where there is nothing.
function records_table.run(ctx)
  local output, why, all = harness.call(ctx.inside("bash -c " .. helper.quote(COMMAND)), 300)
  local good, bad, results = 0, {}, {}
  for no, name in ("\n" .. (output or all)):gmatch("\n(n?o?t? ?)ok %d+ %- ([^\n]*)") do
    local is_good = no == ""
    results[#results + 1] = { name = name, is_good = is_good }
    if is_good then good = good + 1 else bad[#bad + 1] = name end
  end
  if not output and #bad == 0 then bad[1] = why end -- a sanitizer speaks behind the last of them

  return good, bad, function(program, i)
    local value
    for _, result in ipairs(results) do
      if belongs(result.name, program, COLUMNS[i]) then value = value ~= false and result.is_good end
    end
    return value
  end
end

return records_table
