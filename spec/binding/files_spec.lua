local core = require "neap.core"
local helper = require "helper"

describe("core.open_beneath", function()
  local dir

  before_each(function()
    dir = helper.make_dir()
    helper.write_file(dir .. "/secret", "outside")
    assert(core.mkdir(dir .. "/www/sub"))
    helper.write_file(dir .. "/www/page", "0123456789")
    helper.write_file(dir .. "/www/sub/deep", "deep")
    helper.run(("cd %s/www && ln -s ../secret out && ln -s sub/deep in && ln -s .. up && mkfifo pipe"):format(
      helper.quote(dir)))
  end)

  after_each(function() helper.remove_dir(dir) end)

  it("opens files and folders below", function()
    local file = assert(core.open_beneath(dir .. "/www", "page"))
    local info = file:stat()
    assert.equal("file", info.type)
    assert.equal(10, info.size)
    assert.is_true(info.mtime > 1.6e9)
    assert.is_number(info.inode)
    assert.equal("0123", file:read(4))
    assert.equal("89", file:read(100, 8))
    assert.equal("456789", file:read(100))
    assert.equal("", file:read(100))
    file:close()
    assert.has_error(function() file:read(1) end)
    assert.equal("directory", assert(core.open_beneath(dir .. "/www", "")):stat().type)
    assert.equal("deep", assert(core.open_beneath(dir .. "/www", "sub/deep")):read(9))
  end)

  for _, path in ipairs{ "../secret", "/etc/passwd", "sub/../../secret", "out", "up/secret", "page\0x", "missing",
    "page/x" } do
    it("does not open " .. path:gsub("%z", "\\0"), function()
      local file, message, code, number = core.open_beneath(dir .. "/www", path)
      assert.is_nil(file)
      assert.is_string(message)
      assert.equal("system", code)
      assert.is_number(number)
    end)
  end

  it("does not open what is neither file nor folder", function()
    assert.is_nil((core.open_beneath(dir .. "/www", "pipe")))
    assert.is_nil((core.open_beneath(dir .. "/none", "x")))
  end)
end)

describe("files", function()
  it("are written whole, with the mode asked for", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    assert.is_true(core.mkdir(dir .. "/a/b/c"))
    assert.is_true(core.mkdir(dir .. "/a/b/c"))
    assert.is_true(core.write_file(dir .. "/a/b/c/key", "one"))
    assert.is_true(core.write_file(dir .. "/a/b/c/key", "two\0three"))
    assert.equal("two\0three", helper.read_file(dir .. "/a/b/c/key"))
    assert.same({ "key" }, core.list(dir .. "/a/b/c"))
    assert.matches("^%-rw%-%-%-%-%-%-%-", (helper.run("ls -l " .. dir .. "/a/b/c/key")))
    local _, message, code = core.mkdir(dir .. "/a/b/c/key/d")
    assert.matches("Not a directory", message)
    assert.equal("system", code)
    assert.is_nil((core.write_file(dir .. "/none/key", "x")))
    assert.is_nil((core.list(dir .. "/none")))
    assert.equal(core.realpath(dir) .. "/a/b", core.realpath(dir .. "/a/../a/b"))
    assert.is_nil((core.realpath(dir .. "/none")))
    assert.equal("directory", core.stat(dir).type)
    assert.equal("other", core.stat("/dev/null").type)
    assert.is_nil((core.stat(dir .. "/none")))
  end)

  it("know what is a terminal", function()
    assert.is_false((core.isatty(1000)))
  end)
end)
