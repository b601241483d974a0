local helper = require "helper"
local leash = require "spec.support.leash"
local neap = require "neap"
local support = require "support.program"
local web = require "support.web"

local IMAGE = ("\0firmware\255"):rep(50000)

describe("examples/ota_agent.lua", function()
  local folder

  before_each(function()
    folder = helper.make_dir()
    helper.run(("mkdir %s/www %s/device && cd %s && openssl ecparam -name prime256v1 -genkey -noout -out key.pem && "
      .. "openssl ec -in key.pem -pubout -out public.pem 2>/dev/null"):format(folder, folder, folder))
    helper.write_file(folder .. "/www/image.bin", IMAGE)
    helper.write_file(folder .. "/ca.pem", web.identity().cert)
  end)
  after_each(function()
    leash.end_all()
    helper.remove_dir(folder)
  end)

  local function publish(version, image)
    local digits = helper.run("sha256sum " .. folder .. "/www/" .. image):match("^%x+")
    helper.write_file(folder .. "/www/manifest.json",
      ('{"version":%d,"image":"image.bin","sha256":"%s"}'):format(version, digits))
    helper.run("cd " .. folder .. "/www && openssl dgst -sha256 -sign ../key.pem -out manifest.json.sig manifest.json")
  end

  local function with_agent(fn)
    web.with_app(function(app) app:get("/*path", neap.static(folder .. "/www")) end, function(_, url)
      local log = folder .. "/log"
      local words = "env INTERVAL=0.3 DEVICE_CA=%s/ca.pem NEAP_LISTEN=127.0.0.1:0 %s run examples/ota_agent.lua "
        .. "%s/manifest.json %s/public.pem %s/device sh -c 'cp \"$0\" %s/installed'"
      local process = leash.start(words:format(folder, support.neap, url, folder, folder, folder), log)
      -- What the log says soon.
      local function says(text)
        for _ = 1, 200 do
          if (helper.read_file(log) or ""):find(text, 1, true) then return true end
          neap.sleep(0.05)
        end
        error(text .. " is not in " .. (helper.read_file(log) or ""))
      end
      fn(says)
      leash.stop(process)
    end)
  end

  it("installs what is signed, once, and no older version", function()
    publish(7, "image.bin")
    with_agent(function(says)
      says "installed\t7"
      assert.equal(IMAGE, helper.read_file(folder .. "/installed"))
      assert.equal("7\n", helper.read_file(folder .. "/device/version"))
      says "up to date"
      publish(6, "image.bin")
      os.remove(folder .. "/installed")
      says "up to date"
      assert.is_nil(helper.read_file(folder .. "/installed"))
    end)
  end)

  it("installs nothing that is not signed, or is not what was signed", function()
    publish(8, "../public.pem") -- the checksum of something else
    with_agent(function(says)
      says "another checksum"
      publish(8, "image.bin")
      helper.write_file(folder .. "/www/manifest.json",
        '{"version":9,"image":"image.bin","sha256":"' .. ("0"):rep(64) .. '"}')
      says "not signed by our key"
      assert.is_nil(helper.read_file(folder .. "/installed"))
      publish(9, "image.bin")
      says "installed\t9"
    end)
  end)
end)
