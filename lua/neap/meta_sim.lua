---@meta neap.meta_sim
--- Types of the simulation, for editors (LuaCATS). Nothing runs from here. docs/simulator.md says more.

---@class neap.sim
local sim = {}
---@param options? { seed?: number|string, max_steps?: integer }
---@return neap.Sim
function sim.new(options) end

---@class neap.LinkOptions
---@field delay? number seconds one way
---@field jitter? number seconds at most on top, without changing the order
---@field rate? number|false bytes a second
---@field queue? number datagrams that wait for the rate; 100
---@field discipline? "tail"|"codel" what is done about a queue before it is full
---@field target? number seconds of waiting that CoDel takes; 0.005
---@field interval? number seconds for which it does; 0.1
---@field mark? boolean CoDel marks (ECN) what it may, instead of dropping
---@field mark_above? number|false datagrams that wait; what comes then is marked
---@field ecn? "pass"|"bleach"|"ect1"|"drop" what becomes of the bits of ECN
---@field loss? number probability
---@field loss_burst? number datagrams that it takes in a row, at most
---@field duplicate? number probability
---@field reorder? number probability to be held back
---@field reorder_delay? number seconds at most
---@field corrupt? number probability that a bit is flipped
---@field mtu? number UDP payloads above it are lost
---@field ptb? boolean … and a PTB message of ICMP tells their sender so (endpoint:too_big)
---@field drop? integer[]|false datagrams to lose, counted from 1
---@field cut? boolean everything is lost
---@field outages? number[][]|false cut from … to … seconds since the start: { { 1, 2.5 } }
---@field cross? neap.CrossTraffic|false
---@field filter? false|fun(bytes: string, index: integer, now: number, datagram: table): (boolean|string)? false loses it, a string replaces it
---@field up? neap.LinkOptions away from who is behind the link: client to server
---@field down? neap.LinkOptions
---@field behind? neap.Link what goes up takes next

--- Of others, through the same queue.
---@class neap.CrossTraffic
---@field rate number bytes a second while it is on
---@field size? integer bytes of a datagram; 1200
---@field on? number seconds, and so many …
---@field off? number … off, in turn
---@field from? number seconds since the start
---@field to? number

---@class neap.Link
---@field up neap.LinkDirection
---@field down neap.LinkDirection
local Link = {}
--- Changes options from now on.
---@param options neap.LinkOptions
function Link:set(options) end
---@param direction "up"|"down"
---@return neap.LinkDirection
function Link:stats(direction) end

--- Datagrams, unless it is said.
---@class neap.LinkDirection
---@field sent integer that came to it
---@field bytes integer of these
---@field delivered integer
---@field delivered_bytes integer
---@field lost integer by loss, drop, filter, cut, outages, mtu, ecn = "drop"
---@field overflowed integer for which the queue had no room
---@field dropped_early integer by CoDel
---@field marked integer
---@field bleached integer
---@field duplicated integer
---@field reordered integer
---@field corrupted integer
---@field too_big integer
---@field longest integer that waited at once
---@field crossed integer of cross traffic
---@field crossed_lost integer

---@class neap.NodeOptions: neap.ConfigOptions
---@field on_conn? fun(conn: neap.Conn, node: neap.Node)
---@field address? string
---@field link? neap.Link
---@field server? neap.Node to connect to at once
---@field connect? boolean
---@field name? string of the server, "localhost"
---@field rebind? { at: number, address: string }[] of a client, by its NAT

---@class neap.Node
---@field conn neap.Conn?
---@field endpoint neap.Endpoint
---@field address string
local Node = {}
---@param server? neap.Node
---@return neap.Conn? conn
---@return string? message
---@return neap.Code? code
function Node:connect(server) end
--- Something was done to this node's connections outside of on_conn and of tasks.
function Node:touch() end
--- Gives a client another address, as a NAT does: what is under way to the old one is lost.
---@param address string
---@param inside? string which of its own, the first unless told
function Node:rebind(address, inside) end
--- One more address, perhaps behind another link.
---@param address string
---@param options? { link?: neap.Link }
function Node:add_address(address, options) end
---@param address string
function Node:remove_address(address) end
function Node:close() end

---@class neap.HostOptions
---@field address? string an IP
---@field addresses? string[]
---@field link? neap.Link

---@class neap.Host
---@field name string
---@field addresses string[]
local Host = {}
--- Runs a function as a task of the host: what it begins listens and connects there.
---@param fn fun(...)
---@param ... any
function Host:go(fn, ...) end
--- The same, and runs the simulation until it has returned.
---@param fn fun(): ...
---@param seconds? number at most, 3600
---@return any ... what it returned
function Host:run(fn, seconds) end
--- A NAT forgets the host: its clients have other ports from now on, or another address.
---@param ip? string
function Host:rebind(ip) end
--- Its addresses, or one, are behind another link from now on.
---@param link neap.Link
---@param ip? string
function Host:move(link, ip) end

--- One more address: an interface comes up.
---@param ip string
---@param options? { link?: neap.Link }
function Host:add_address(ip, options) end
--- It goes down.
---@param ip string
function Host:remove_address(ip) end

---@class neap.Sim
---@field seed number|string
---@field hash integer of everything sent so far
---@field now number
---@field random fun(): number
local Sim = {}
---@param options? neap.LinkOptions
---@return neap.Link
function Sim:link(options) end
---@param name string of DNS
---@param options? neap.HostOptions|string an IP is `address`
---@return neap.Host
function Sim:host(name, options) end
---@param options? neap.NodeOptions
---@return neap.Node
function Sim:server(options) end
---@param options? neap.NodeOptions
---@return neap.Node
function Sim:client(options) end
---@param goal number|fun(): any seconds, or until it is true
---@param seconds? number at most, 120
---@return number seconds since the start
function Sim:run(goal, seconds) end
---@return number
function Sim:time() end
---@param seconds number since the start
---@param fn fun(sim: neap.Sim)
function Sim:at(seconds, fn) end
---@param fn fun(sim: neap.Sim)
function Sim:go(fn) end
---@param seconds number
function Sim:sleep(seconds) end
---@param condition fun(): any
function Sim:wait(condition) end
--- A datagram that no node sends comes to an address at a time (as sim.now).
---@param at number
---@param bytes string
---@param from string
---@param to string
---@param ecn? integer
function Sim:inject(at, bytes, from, to, ecn) end
--- The greatest share of what came from an address that was sent there before it was proved: 3 at most (RFC 9000 §8).
---@return number ratio
---@return string? address
function Sim:amplification() end
function Sim:close() end

return sim
