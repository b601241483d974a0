-- Texts about certificates are reasons: builds without those have none. What they say elsewhere: peer_chain_spec.lua.
local helper = require("spec.helper")

local quote, sh = helper.quote, helper.sh

local PROGRAM = [[
#include "crypto/explain.h"
#include <stdio.h>
int main(void)
{
    struct failure why = {0};
    struct certificate leaf = {0};
    char name[EXPLAIN_NAME], hosts[EXPLAIN_NAMES], since[EXPLAIN_TIME];
    int code = neap_certificate_explain(NULL, &why, 45, "%s, %s: the tide of \"%s\" was out at %s",
                                        neap_explain_name(leaf.subject, name), neap_explain_hosts(&leaf, hosts),
                                        neap_explain_text(span_of_string("Wadden"), name),
                                        neap_explain_time(0, since));
    printf("%#x %#x [%s]", (unsigned)code, (unsigned)why.code, why.reason);
    return 0;
}
]]

describe("neap_certificate_explain", function()
  local dir

  setup(function()
    dir = helper.make_dir()
    helper.write_file(dir .. "/program.c", PROGRAM)
  end)

  teardown(function() helper.remove_dir(dir) end)

  it("has the code alone, and neither text nor what makes it in the program, where reasons are left out", function()
    local core = quote(helper.source_dir .. "/core")
    assert.equal("0x12d 0x12d []", sh(("cd %s && cc -std=c11 -D_GNU_SOURCE -Os -Wall -Wextra -Werror " ..
      "-DNEAP_NO_REASONS=1 -I %s -I %s/include program.c -o program && ./program"):format(quote(dir), core, core)))
    assert.is_nil(helper.read_file(dir .. "/program"):find("the tide of", 1, true))
  end)
end)
