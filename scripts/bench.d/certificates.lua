--- What the worst certificates of a peer cost, each chain as large as one Certificate message may be:
--- build/bench/spec_host scripts/bench.d/certificates.lua → a table
local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto

local MESSAGE = 65536
local ROUNDS = 15
local CA, SERVER = authority.CA, authority.SERVER
-- Authorities of which no key identifier says which one issued a certificate.
local ALIKE, BY_ALIKE = CA .. "\nsubjectKeyIdentifier=01020304", "\nauthorityKeyIdentifier=keyid"

local ca = authority.new()
local context = crypto.new(("b"):rep(32))
local c = {}

local function issue(spec)
  c[spec.name] = ca:issue(spec)
  return spec.name
end

--- Lines of an openssl section, `#` in them being their number.
local function list(count, line)
  local lines = {}
  for i = 1, count do lines[i] = (line:gsub("#", i)) end
  return table.concat(lines, "\n")
end

--- Authorities of one name, any of which could have issued the leaf: the last one did.
local function maze(key, filler)
  local names = { key .. " leaf" }
  for i = 1, 9 do
    names[i + 1] = issue({ name = key .. " " .. i, subject = "/CN=" .. key, key = key, extensions = ALIKE })
  end
  issue({ name = names[1], issuer = names[10], extensions = SERVER .. BY_ALIKE .. (filler or "") })
  return names
end

local function constrained(name, subject, constraints, names)
  issue({ name = name, issuer = "root", subject = subject,
    extensions = ALIKE .. "\nnameConstraints=critical,@constraints\n[constraints]\n" .. constraints })
  return issue({ name = name .. "'s", issuer = name,
    extensions = BY_ALIKE .. "\nsubjectAltName=@names\n[names]\nDNS.0=tide.example\n" .. names })
end

local function measure(what, names)
  local chain, size = {}, 4
  for i, name in ipairs(names) do
    chain[i] = c[name].der
    size = size + #c[name].der + 5
  end
  assert(size <= MESSAGE, what .. ": " .. size)
  local options = { chain = chain, roots = { c.root.der }, name = "tide.example", now = os.time() + 60 }
  local times, signatures, cost, reason = {}
  for i = 1, ROUNDS do
    local start = os.clock()
    signatures, cost, reason = certificates.verification_cost(context, options)
    times[i] = (os.clock() - start) * 1000
  end
  table.sort(times)
  print(("| %s | %d | %d | %d | %.1f | %s |"):format(what, size, signatures, cost, times[math.ceil(ROUNDS / 2)],
    reason == "" and "accepted" or reason))
end

print("| certificates | bytes | signatures | cost of names | ms | verdict |\n|---|---|---|---|---|---|")

local function run()
  issue({ name = "root", key = "p256", extensions = CA })
  issue({ name = "middle", issuer = "root", extensions = CA })
  issue({ name = "leaf", issuer = "middle", extensions = SERVER })
  measure("an honest chain of P-256", { "leaf", "middle" })

  for _, key in ipairs({ "p256", "p384", "p521", "rsa4096_e32" }) do
    measure("nine authorities of one name, " .. key, maze(key))
  end
  local text = ("f"):rep(50000)
  measure("the same, with a leaf of 50 kB to hash", maze("p256", "\n1.2.3.4=ASN1:UTF8String:" .. text))

  constrained("short", nil, list(1700, "excluded;DNS.#=x#"), list(2900, "DNS.#=y#"))
  measure("short names under short constraints", { "short's", "short" })
  local label = ("a"):rep(60)
  local long = ("%s.%s.%s.%s"):format(label, label, label, label)
  constrained("long", nil, list(110, "excluded;DNS.#=x" .. long .. "#"), list(120, "DNS.#=y" .. long .. "#"))
  measure("long names under long constraints", { "long's", "long" })
  local two = label .. "." .. label
  constrained("alike", nil, list(220, "excluded;DNS.#=x" .. two), list(220, "DNS.#=y" .. two))
  measure("names that differ from constraints in the first of 121 letters", { "alike's", "alike" })

  local names = { constrained("all", "/CN=all", list(1400, "excluded;DNS.#=xy#"), list(2300, "DNS.#=zz#")) }
  for i = 1, 8 do names[#names + 1] = issue({ name = "not all " .. i, subject = "/CN=all", extensions = ALIKE }) end
  names[#names + 1] = "all"
  measure("ten signatures, and names as many as are looked at", names)
end

local ok, message = pcall(run)
ca:remove()
if not ok then error(message, 0) end
