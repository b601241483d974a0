local Node = require "neap.sim.node"
local sim = require "neap.sim"

--- A network between two nodes that only records what it delivers: sim, send(bytes, sender, ecn), list of what arrived,
-- link.
return function(options, seed)
  local lab = sim.new{ seed = seed or 1 }
  local link = lab:link(options)
  local arrived = {}
  local node = { answers_most = 64, endpoint = {
    deadline = function() end,
    next = function() end,
    send = function() end,
    recv = function(_, bytes, info) arrived[#arrived + 1] = { bytes = bytes, at = lab:time(), ecn = info.ecn } end,
    stats = function() return { answers_waiting = 0 } end,
    close = function() end,
  } }
  node.sim, node.receive = lab, Node.receive
  node.serve = function() return false end
  node.flush = function() node.dirty = false end
  lab.nodes[1] = node
  lab:take_place({ node = node, inside = "10.0.0.2:1", outside = "10.0.0.2:1" }, 1)
  local function send(bytes, sender, ecn)
    lab:pass_on{ bytes = bytes, size = #bytes, from = "10.0.0.1:1", to = "10.0.0.2:1", ecn = ecn or 0, hop = 0,
      route = { link.up }, sender = sender }
  end
  return lab, send, arrived, link
end
