--- The engine for ARMv8, made by a cross compiler and run by an emulator: the files of AES-GCM alone, and records of
--- what they have to compute.
local engines = require("neap.units").engines
local helper = require("spec.helper")

local quote, sh, unhex = helper.quote, helper.sh, helper.unhex
local MESSAGES = tonumber(os.getenv("NEAP_ENGINE_CASES")) or 1000

describe("the engine armv8", function()
  local folder, program

  setup(function()
    folder = helper.make_dir()
    program = folder .. "/engine_host"
    sh(("cd %s && aarch64-linux-gnu-gcc -std=c11 -O2 -static -DNEAP_ACCEL=1 -D_GNU_SOURCE -Wall -Wextra -Wshadow "
      .. "-Wconversion -Werror -Icore -Icore/include -Ispec/support core/crypto/engine.c core/crypto/accel/*.c "
      .. "spec/support/engine_host.c -o %s"):format(quote(helper.source_dir), quote(program)))
  end)

  teardown(function() helper.remove_dir(folder) end)

  --- Checks records; returns how many messages were right.
  local function checked(records)
    helper.write_file(folder .. "/records", records)
    local output, status = helper.run(("timeout 280 qemu-aarch64-static -cpu max %s armv8 < %s"):format(quote(program),
      quote(folder .. "/records")))
    assert.equal(0, status, output)
    return tonumber(output:match("^armv8: (%d+) messages\n$"))
  end

  it("seals, opens, refuses and masks as Mbed TLS does, in place and at odd addresses, and wipes its keys", function()
    local count, seed = 0, 0
    while count < MESSAGES do
      local records = {}
      for i = 1, 100 do
        seed = seed + 1
        records[i] = engines.record(("%032d"):format(seed))
      end
      count = count + checked(table.concat(records))
    end
  end)

  it("agrees with Project Wycheproof", function()
    local records = {}
    for _, group in ipairs(helper.shared_json("wycheproof/aes_gcm_test.json", pending).testGroups) do
      local suite = ({ [128] = 0x1301, [256] = 0x1302 })[group.keySize]
      for _, case in ipairs(suite and group.ivSize == 96 and group.tagSize == 128 and group.tests or {}) do
        if case.result == "valid" then
          records[#records + 1] = engines.vector(suite, unhex(case.key), unhex(case.iv), unhex(case.aad),
            unhex(case.msg), unhex(case.ct) .. unhex(case.tag))
        end
      end
    end
    assert.is_true(#records > 50)
    assert.equal(#records, checked(table.concat(records)))
  end)
end)
