-- Reasons are left out of builds that are told so.
local helper = require("spec.helper")

local quote, sh = helper.quote, helper.sh

local PROGRAM = [[
#include "base/failure.h"
#include <stdio.h>
static const char *const rows[] = {REASON_TEXT("a neap" " tide")};
static int parse(struct failure *why, const char *reason)
{
    neap_fail(why, 7, "the tide is out");
    return neap_fail(why, 8, reason);
}
int main(void)
{
    struct failure why = {0};
    int code = parse(&why, "again");
    printf("%d %d [%s] [%s]", code, why.code, why.reason, rows[0]);
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

  it("keeps the first code and its reason, and tables their texts", function()
    assert.equal("8 7 [the tide is out] [a neap tide]", run(""))
  end)

  it("has codes alone, and no text in the program, where reasons are left out", function()
    assert.equal("8 7 [] []", run("-DNEAP_NO_REASONS=1"))
    local program = helper.read_file(dir .. "/program")
    assert.is_nil(program:find("the tide is out", 1, true) or program:find("a neap tide", 1, true))
  end)
end)
