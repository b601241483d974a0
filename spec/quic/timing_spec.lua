--- What secrets show by the way that code takes: valgrind follows bytes of which nothing is known, and counts
--- instructions. timing_program is of the core without sanitizers.
local helper = require("helper")

local quote, run = helper.quote, helper.run
local program = helper.build_dir .. "/timing_program"

local function build()
  if not helper.has_program("valgrind") then return nil, "needs valgrind" end
  local output, status = run(("cmake --build %s --target timing_program -j 2"):format(quote(helper.build_dir)))
  if status == 0 then return true end
  if output:find("unknown target", 1, true) then return nil, "needs valgrind's headers when it is configured" end
  error(output)
end

describe("valgrind", function()
  local is_built, why = build()

  local function lacks()
    if not is_built then pending(why) end
    return not is_built
  end

  -- The functions in which something depends on a secret, and what was printed.
  local function dependent(case)
    local output, status = run(("valgrind -q --read-inline-info=no --error-exitcode=9 %s undefined %s"):format(
      quote(program), quote(case)))
    local functions, names = {}, {}
    for name in output:gmatch("\n==%d+==    at 0x%x+: ([%w_]+) ") do functions[name] = true end
    for name in pairs(functions) do names[#names + 1] = name end
    assert(status == (#names > 0 and 9 or 0), output)
    return names, output
  end

  it("sees a comparison that ends early", function()
    if lacks() then return end
    assert.same({ "compare_early" }, (dependent("early")))
  end)

  it("sees nothing of what is compared in constant time", function()
    if lacks() then return end
    assert.same({}, (dependent("equal")))
  end)

  -- covers: rfc9000#10.3.1.4
  it("sees nothing of stateless reset tokens", function()
    if lacks() then return end
    assert.same({}, (dependent("reset token")))
  end)

  it("sees nothing of what header protection hides while it comes off, and of the packet number", function()
    if lacks() then return end
    assert.same({}, (dependent("header")))
  end)

  it("sees nothing of keys, nonces and plaintext in AES-GCM of ours, but whether the tag is right", function()
    if lacks() then return end
    local names, output = dependent("keys")
    if not output:find("\n%l+%w+\n$") then return pending("this CPU, or this valgrind, has no instructions for it") end
    assert.same({ "gcm_open" }, names)
  end)

  it("sees nothing of private keys of P-256 and of nonces, but whether numbers of a signature are in range", function()
    if lacks() then return end
    local names, output = dependent("P-256")
    if not output:find("done\n$") then return pending("needs NEAP_WITH_P256") end
    for _, name in ipairs(names) do assert.is_truthy(name == "sign" or name == "sign_with", name) end
    assert.is_true(#names > 0)
  end)

  describe("counts as many instructions", function()
    local counts, is_accelerated

    setup(function()
      if not is_built then return end
      local dir = helper.make_dir()
      local output = helper.sh(("LD_BIND_NOW=1 valgrind -q --tool=callgrind --instr-atstart=no --combine-dumps=yes "
        .. "--callgrind-out-file=%s/out %s count"):format(quote(dir), quote(program)))
      is_accelerated = output:find("accelerated", 1, true) ~= nil
      counts = {}
      for case, variant, count in assert(helper.read_file(dir .. "/out")):gmatch(
        "\ndesc: Trigger: Client Request: ([%a ]+)/(%d+)\n.-\ntotals: (%d+)") do
        counts[case] = counts[case] or {}
        counts[case][tonumber(variant)] = tonumber(count)
      end
      helper.remove_dir(dir)
    end)

    -- For all variants of a case, or all of each `group`.
    local function check(case, variants, group)
      if lacks() then return end
      local first = {}
      for variant = 0, variants - 1 do
        local count, of = assert(counts[case][variant]), group and group(variant) or 0
        assert.is_true(count > 100)
        first[of] = first[of] or count
        assert.equal(first[of], count, ("%s, variant %d"):format(case, variant))
      end
      assert.is_nil(counts[case][variants])
    end

    -- What a library does with an AEAD's message of another length is its own matter.
    local function by_size(variant) return is_accelerated and 0 or variant % 4 end

    -- covers: rfc9001#6.3.1 rfc9001#9.5.1
    it("for each packet that does not open, whatever its number, its size, phase and reserved bits are", function()
      check("header", 160, by_size)
    end)

    -- covers: rfc9001#9.5.2
    it("for packet numbers of every size that are sent", function() check("sealing", 4, by_size) end)

    it("for a stateless reset token, whichever byte of it is wrong", function() check("reset token", 6) end)
    it("for the tag of a ticket, whichever byte of it is wrong", function() check("ticket", 4) end)
    it("for the tag of a token, whichever byte of it is wrong", function() check("token", 4) end)
    it("for a Finished, whichever byte of it is wrong", function() check("Finished", 4) end)
  end)
end)
