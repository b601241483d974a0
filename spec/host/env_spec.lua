--- The default environment.
local host = require("neap.units").host

describe("the default randomness", function()
  it("is another in each process that was forked behind neap_config_new", function()
    local drawn = host.forked()
    assert.equal(3, #drawn)
    local cids, keys = {}, {}
    for _, bytes in ipairs(drawn) do
      local cid, key = bytes:sub(1, 20), bytes:sub(21):match("^%Z+")
      assert.is_truthy(key:find("PRIVATE KEY", 1, true))
      assert.is_nil(cids[cid])
      assert.is_nil(keys[key])
      cids[cid], keys[key] = true, true
    end
  end)
end)
