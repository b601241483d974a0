--- Signatures in certificates are verified once; all else is asked every time.
local authority = require("spec.crypto.authority")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto
local helper = require("spec.helper")

local CA, SERVER = authority.CA, authority.SERVER
local DAY = 86400
local MOST = 64 -- LIMIT_VERIFIED_SIGNATURES

describe("a signature that was verified", function()
  local ca, context, now
  local c = {}

  local function issue(spec) c[spec.name] = ca:issue(spec) end

  setup(function()
    ca = authority.new()
    now = os.time() + 3600
    issue({ name = "root", extensions = CA, days = 3000 })
    issue({ name = "other root", extensions = CA, days = 3000 })
    issue({ name = "middle", issuer = "root", extensions = CA, days = 3000 })
    issue({ name = "leaf", issuer = "middle", extensions = SERVER, days = 100 })
  end)

  teardown(function() ca:remove() end)

  before_each(function() context = crypto.new(("v"):rep(32)) end)

  --- check({names or DER}, options) → signatures, those remembered, the reason of a refusal or ""
  local function check(names, options)
    options = options or {}
    local chain, roots = {}, {}
    for i, name in ipairs(names) do chain[i] = c[name] and c[name].der or name end
    for i, name in ipairs(options.roots or { "root" }) do roots[i] = c[name].pem end
    local signatures, _, reason, remembered = certificates.verification_cost(context, {
      chain = chain, roots = roots, name = options.name or "tide.example", now = options.now or now,
      is_client = options.is_client,
    })
    return signatures, remembered, reason
  end

  local function refused(why, names, options)
    local _, _, reason = check(names, options)
    assert.is_truthy(reason:find(why, 1, true), reason)
  end

  --- Certificates of the same key and name as another one's, but with other extensions.
  local function twin(name, of, spec)
    local base = helper.quote(ca.dir .. "/" .. name)
    local key = ca.dir .. "/" .. of .. ".key"
    helper.write_file(ca.dir .. "/" .. name .. ".ext", spec.extensions .. "\n")
    local issuer = helper.quote(ca.dir .. "/" .. (spec.issuer or "root"))
    local output, status = helper.run(("openssl req -new -key %s -subj %s -out %s.csr && openssl x509 -req -in %s.csr"
      .. " -out %s.pem -days %d -set_serial 77 -sha256 -extfile %s.ext -CA %s.pem -CAkey %s.key"):format(
      helper.quote(key), helper.quote("/CN=" .. of), base, base, base, spec.days or 1000, base, issuer, issuer))
    assert.equal(0, status, output)
    local pem = helper.read_file(ca.dir .. "/" .. name .. ".pem")
    c[name] = { pem = pem, der = certificates.ders(context, pem)[1] }
  end

  it("is remembered, with what it was made over and by whom", function()
    assert.same({ 2, 0, "" }, { check({ "leaf", "middle" }) })
    assert.same({ 2, 2, "" }, { check({ "leaf", "middle" }) })
    assert.same({ 1, 1, "" }, { check({ "leaf" }, { roots = { "middle" } }) })
    issue({ name = "second leaf", issuer = "middle", extensions = SERVER })
    assert.same({ 2, 1, "" }, { check({ "second leaf", "middle" }) })
    assert.same({ 2, 2, "" }, { check({ "second leaf", "middle" }) })
  end)

  it("is another config's own", function()
    check({ "leaf", "middle" })
    context = crypto.new(("v"):rep(32))
    assert.same({ 2, 0, "" }, { check({ "leaf", "middle" }) })
  end)

  it("is not remembered when it does not fit", function()
    issue({ name = "stranger", subject = "/CN=middle", extensions = CA })
    for _ = 1, 2 do
      local signatures, remembered, reason = check({ "leaf", "stranger" }, { roots = { "root" } })
      assert.same({ 1, 0 }, { signatures, remembered })
      assert.is_truthy(reason:find("not issued by", 1, true))
    end
  end)

  it("says nothing of another certificate, signature or key, whatever they share", function()
    check({ "leaf", "middle" })
    local der = c.leaf.der
    for _, at in ipairs({ #der, #der - 40, der:find("tide.example", 1, true) }) do
      local changed = der:sub(1, at - 1) .. string.char((der:byte(at) + 1) % 256) .. der:sub(at + 1)
      refused("not issued by", { changed, "middle" }, { name = "a.wild.example" })
    end
    issue({ name = "impostor", subject = "/CN=middle", issuer = "root", extensions = CA })
    refused("not issued by", { "leaf", "impostor" })
  end)

  describe("does not outlive", function()
    before_each(function() assert.same({ 2, 0, "" }, { check({ "leaf", "middle" }) }) end)

    it("dates of the leaf, of an issuer and of a root", function()
      refused("has expired", { "leaf", "middle" }, { now = now + 200 * DAY })
      refused("not valid yet", { "leaf", "middle" }, { now = now - 2 * DAY })
      twin("short middle", "middle", { extensions = CA, days = 10 })
      assert.same({ 2, 1, "" }, { check({ "leaf", "short middle" }) })
      refused("issuer's certificate has expired", { "leaf", "short middle" }, { now = now + 50 * DAY })
    end)

    it("the trust in a root", function()
      refused("not issued by", { "leaf", "middle" }, { roots = { "other root" } })
      refused("not issued by", { "leaf", "middle", "root" }, { roots = { "other root" } })
    end)

    it("the name that is asked for, and the use", function()
      refused("another name", { "leaf", "middle" }, { name = "ebb.example" })
      refused("not for this side", { "leaf", "middle" }, { is_client = true })
    end)

    it("what an issuer of the same key may do", function()
      for name, row in pairs({
        ["no authority"] = { "basicConstraints=critical,CA:FALSE", "not a certificate authority" },
        ["no signer"] = { (CA:gsub("keyCertSign,", "")), "not a certificate authority" },
        ["constrained"] = { CA .. "\nnameConstraints=critical,excluded;DNS:tide.example", "may not vouch" },
        ["for mail"] = { CA .. "\nextendedKeyUsage=emailProtection", "not for this use" },
        ["critical"] = { CA .. "\n1.2.3.4=critical,ASN1:NULL", "not understood" },
      }) do
        twin(name, "middle", { extensions = row[1] })
        for _ = 1, 2 do refused(row[2], { "leaf", name }) end
        -- And it takes nothing from the one that may.
        assert.same({ "" }, { (select(3, check({ "leaf", name, "middle" }))) })
      end
    end)

    it("a bound on the path", function()
      twin("short root", "root", { extensions = CA:gsub("CA:TRUE", "CA:TRUE,pathlen:0"), issuer = "other root" })
      refused("more intermediates", { "leaf", "middle", "short root" }, { roots = { "other root" } })
      assert.same({ 2, 2, "" }, { check({ "leaf", "middle" }) })
    end)
  end)

  it("costs the budget as much as if it were verified", function()
    issue({ name = "link 10", issuer = "root", extensions = CA, key = "p384" })
    for i = 9, 2, -1 do issue({ name = "link " .. i, issuer = "link " .. i + 1, extensions = CA }) end
    issue({ name = "link 1", issuer = "link 2", extensions = SERVER })
    local names = {}
    for i = 1, 10 do names[i] = "link " .. i end
    refused("too many signatures", names)
    assert.same({ 9, 9, "" }, { check(names, { roots = { "link 10" } }) })
    refused("too many signatures", names)
  end)

  it("goes with the oldest when there are more than the bound, and memory does not grow", function()
    check({ "leaf", "middle" })
    local used = crypto.used(context)
    certificates.remember(context, MOST - 2)
    assert.same({ 2, 2, "" }, { check({ "leaf", "middle" }) })
    certificates.remember(context, 1)
    assert.same({ 2, 0, "" }, { check({ "leaf", "middle" }) }) -- the leaf's was the oldest, then came the other's turn
    certificates.remember(context, 10 * MOST)
    assert.same({ 2, 0, "" }, { check({ "leaf", "middle" }) })
    assert.equal(used, crypto.used(context))
  end)

  it("is forgotten where there is no memory", function()
    local count, reason = 0
    repeat
      context = crypto.new(("v"):rep(32))
      crypto.fail_after(context, count)
      reason = select(3, check({ "leaf", "middle" }))
      crypto.fail_after(context, -1)
      count = count + 1
    until reason == ""
    local _, remembered, again = check({ "leaf", "middle" })
    assert.equal("", again)
    assert.is_true(remembered < 2)
  end)
end)
