-- Reasons are left out of builds that are told so.
local helper = require("spec.helper")

local quote, sh = helper.quote, helper.sh

local PROGRAM = [[
#include "base/failure.h"
#include <stdio.h>
static int parse(struct failure *why, const char *reason)
{
    neap_fail(why, 7, "the tide is out");
    return neap_fail(why, 8, reason);
}
int main(void)
{
    struct failure why = {0};
    int code = parse(&why, "again");
    printf("%d %d [%s]", code, why.code, why.reason);
    return 0;
}
]]

describe("neap_fail", function()
  local dir

  setup(function()
    dir = helper.make_dir()
    helper.write_file(dir .. "/program.c", PROGRAM)
  end)

  teardown(function() helper.remove_dir(dir) end)

  local function run(flags)
    return sh(("cd %s && cc -std=c11 -Os -Wall -Wextra -Werror %s -I %s program.c -o program && ./program"):format(
      quote(dir), flags, quote(helper.source_dir .. "/core")))
  end

  it("keeps the first code and its reason", function()
    assert.equal("8 7 [the tide is out]", run(""))
  end)

  it("has codes alone, and no text in the program, where reasons are left out", function()
    assert.equal("8 7 []", run("-DNEAP_NO_REASONS=1"))
    assert.is_nil(helper.read_file(dir .. "/program"):find("the tide is out", 1, true))
  end)
end)
