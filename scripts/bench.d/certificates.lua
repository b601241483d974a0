--- What the worst certificates of a peer cost, each chain as large as one Certificate message may be:
--- build/bench/spec_host scripts/bench.d/certificates.lua → a table for each provider of public-key cryptography
local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto

local MESSAGE = 65536
local ROUNDS = 15
local CA, SERVER = authority.CA, authority.SERVER
-- Authorities of which no key identifier says which one issued a certificate.
local ALIKE, BY_ALIKE = CA .. "\nsubjectKeyIdentifier=01020304", "\nauthorityKeyIdentifier=keyid"

local ca = authority.new()
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

local function element(tag, content)
  local size = #content
  local length = size < 0x80 and string.char(size) or size < 0x100 and string.char(0x81, size)
    or string.char(0x82, math.floor(size / 256), size % 256)
  return string.char(tag) .. length .. content
end

local function hex(bytes) return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)) end

--- A pair of a relative name.
local function attribute(oid, value) return element(0x30, element(0x06, oid) .. element(0x0c, value)) end

--- A line of alternative names (DER) beside a host's.
local function names_der(names)
  return "2.5.29.17=DER:" .. hex(element(0x30, element(0x82, "tide.example") .. names))
end

--- A leaf of such names under excluded subtrees (DER of their bases).
local function constrained_der(name, bases, names)
  local subtrees = {}
  for i, base in ipairs(bases) do subtrees[i] = element(0x30, base) end
  issue({ name = name, issuer = "root", extensions = ALIKE .. "\n2.5.29.30=critical,DER:"
    .. hex(element(0x30, element(0xa1, table.concat(subtrees)))) })
  issue({ name = name .. "'s", issuer = name, extensions = BY_ALIKE .. "\n" .. names_der(names) })
end

local function repeated(base, count)
  local bases = {}
  for i = 1, count do bases[i] = base end
  return bases
end

--- A leaf (its subject, its line of names) under an authority that forbids it, whose constraints (a line) and key eight
--- others of its name have too: many paths that are whole.
local function many_paths(name, line, subject, names)
  local first = name .. " 1"
  local chain = { name .. "'s" }
  for i = 1, 9 do
    chain[11 - i] = issue({ name = name .. " " .. i, issuer = i == 1 and "root" or first, subject = "/CN=" .. name,
      key = "ed25519", key_of = i > 1 and first or nil, extensions = CA .. "\nnameConstraints=critical,@c\n[c]\n"
      .. line .. (i == 1 and "\nexcluded;DNS=tide.example" or "") })
  end
  issue({ name = chain[1], issuer = first, subject = subject, extensions = "extendedKeyUsage=serverAuth\n" .. names })
  return chain
end

local cases = {}

local function add(what, names)
  local chain, size = {}, 4
  for i, name in ipairs(names) do
    chain[i] = c[name].der
    size = size + #c[name].der + 5
  end
  assert(size <= MESSAGE, what .. ": " .. size)
  cases[#cases + 1] = { what = what, chain = chain, size = size }
end

--- A context is new each time, as it remembers the signatures that it verified; and what a library makes once is not
--- measured.
local function measure(provider, case)
  local function verify(context, chain)
    return certificates.verification_cost(context, {
      chain = chain, roots = { c.root.der }, name = "tide.example", now = os.time() + 60,
    })
  end

  local times, signatures, cost, reason = {}
  for i = 1, ROUNDS do
    local context = crypto.new(("b"):rep(32), nil, provider)
    verify(context, { c["another leaf"].der })
    local start = os.clock()
    signatures, cost, reason = verify(context, case.chain)
    times[i] = (os.clock() - start) * 1000
  end
  table.sort(times)
  print(("| %s | %d | %d | %d | %.1f | %s |"):format(case.what, case.size, signatures, cost,
    times[math.ceil(ROUNDS / 2)], reason == "" and "accepted" or reason))
end

local function run()
  issue({ name = "root", key = "p256", extensions = CA })
  issue({ name = "middle", issuer = "root", extensions = CA })
  issue({ name = "leaf", issuer = "middle", extensions = SERVER })
  issue({ name = "another leaf", issuer = "root", extensions = SERVER })
  add("an honest chain of P-256", { "leaf", "middle" })

  for _, key in ipairs({ "p256", "p384", "p521", "rsa4096_e32" }) do
    add("nine authorities of one name, " .. key, maze(key))
  end
  local text = ("f"):rep(50000)
  add("the same, with a leaf of 50 kB to hash", maze("p256", "\n1.2.3.4=ASN1:UTF8String:" .. text))

  constrained("short", nil, list(1700, "excluded;DNS.#=x#"), list(2900, "DNS.#=y#"))
  add("short names under short constraints", { "short's", "short" })
  local label = ("a"):rep(60)
  local long = ("%s.%s.%s.%s"):format(label, label, label, label)
  constrained("long", nil, list(110, "excluded;DNS.#=x" .. long .. "#"), list(120, "DNS.#=y" .. long .. "#"))
  add("long names under long constraints", { "long's", "long" })
  local two = label .. "." .. label
  constrained("alike", nil, list(220, "excluded;DNS.#=x" .. two), list(220, "DNS.#=y" .. two))
  add("names that differ from constraints in the first of 121 letters", { "alike's", "alike" })

  constrained("directories", nil,
    list(500, "excluded;dirName.#=x") .. ("\n[x]\nname=%sx"):format(two:sub(1, 40)),
    list(250, "dirName.#=y") .. ("\n[y]\nname=%s%sy"):format((" "):rep(15), two:sub(1, 40):upper()))
  add("directory names that differ from constraints in the last letter", { "directories's", "directories" })
  local set = {}
  for i = 1, 8 do set[i] = attribute("\x2a" .. string.char(i), "") end
  set = element(0x31, table.concat(set))
  local one = element(0x31, attribute("\x55\x04\x03", "x"))
  constrained_der("empty", repeated(element(0xa4, element(0x30, ("\x31\0"):rep(31) .. one)), 200),
    element(0xa4, element(0x30, set:rep(32))):rep(12))
  add("directory names under ones of empty sets", { "empty's", "empty" })
  constrained_der("pairs", repeated(element(0xa4, element(0x30, one)), 1000),
    element(0xa4, element(0x30, set)):rep(300))
  add("relative names of eight pairs under others", { "pairs's", "pairs" })
  local uri = element(0x86, ("Z"):rep(24000) .. "://" .. ("z"):rep(24000) .. "@ebb.example")
  add("one long URI under many paths", many_paths("uri", "excluded;URI=dune.example", nil, names_der(uri)))
  add("one long subject under many paths", many_paths("subject", "excluded;email=dune.example",
    "/CN=a" .. ("/O=a"):rep(4000), names_der("")))
  add("many names under many paths", many_paths("names", "excluded;URI=dune.example", nil,
    names_der(element(0x82, "a"):rep(15000))))
  local names = { constrained("all", "/CN=all", list(1400, "excluded;DNS.#=xy#"), list(2300, "DNS.#=zz#")) }
  for i = 1, 8 do names[#names + 1] = issue({ name = "not all " .. i, subject = "/CN=all", extensions = ALIKE }) end
  names[#names + 1] = "all"
  add("ten signatures, and names as many as are looked at", names)

  for _, provider in ipairs(crypto.providers()) do
    print(("%s:\n"):format(provider))
    print("| certificates | bytes | signatures | cost of names | ms | verdict |\n|---|---|---|---|---|---|")
    for _, case in ipairs(cases) do measure(provider, case) end
    print("")
  end
end

local ok, message = pcall(run)
ca:remove()
if not ok then error(message, 0) end
