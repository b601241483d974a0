--- What a message costs each engine of AES-GCM that this machine has, and OpenSSL's libcrypto in the same run: CPU
--- nanoseconds, medians of rounds in turn, and in how much of OpenSSL's time.
--- build/bench/spec_host scripts/bench.d/crypto.lua → a table
local engines = require("neap.units").engines

local ROUNDS = 15
local BYTES = 2 ^ 20 -- of a round
local SIZES = { 40, 350, 1200, 1350, 1452, 8192 }

local names = engines.names()
if engines.time("openssl", 0x1301, 40, true, 1) >= 0 then names[#names + 1] = "openssl" end

local function medians(suite, size, is_seal)
  local times, result = {}, {}
  for _, name in ipairs(names) do times[name] = {} end
  for i = 1, ROUNDS do
    for _, name in ipairs(names) do
      local rounds = math.ceil(BYTES / (size + 200) / 16 / (name == "mbedtls" and 8 or 1))
      times[name][i] = engines.time(name, suite, size, is_seal, rounds)
    end
  end
  for _, name in ipairs(names) do
    table.sort(times[name])
    result[name] = times[name][math.ceil(ROUNDS / 2)]
  end
  return result
end

print("| AES-GCM, ns a message | bytes | " .. table.concat(names, " | ") .. " |")
print("|---|---" .. ("|---"):rep(#names) .. "|")
for _, suite in ipairs({ 0x1301, 0x1302 }) do
  for _, is_seal in ipairs({ true, false }) do
    for _, size in ipairs(SIZES) do
      local found, cells = medians(suite, size, is_seal), {}
      for i, name in ipairs(names) do
        cells[i] = ("%.0f"):format(found[name])
        if found.openssl and name ~= "openssl" then
          cells[i] = cells[i] .. (" (%.2f)"):format(found[name] / found.openssl)
        end
      end
      print(("| %s, %d-bit keys | %d | %s |"):format(is_seal and "seal" or "open", suite == 0x1301 and 128 or 256, size,
        table.concat(cells, " | ")))
    end
  end
end
