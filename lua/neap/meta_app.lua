---@meta neap
--- Types of the library for editors (LuaCATS): what an application is made of. Nothing runs from here.

--- Every method; before a handler a table may stand with options of the route.
---@class neap.Routes
local App = {}
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return self
function App:head(pattern, options, handler) end
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return self
function App:options(pattern, options, handler) end
--- Routes and middleware below a path; "/" is the group's own.
---@param prefix string
---@return neap.Group
function App:group(prefix) end
--- What is at a path and below it is answered by another app: it sees what is behind that path as req.path, and the path
--- as req.mount.
---@param prefix string without parameters
---@param other neap.App
---@return self
function App:mount(prefix, other) end
--- Requests for a host are answered by another app.
---@param names string|string[] "gw.example", "*.gw.example" for all below
---@param other neap.App
---@return neap.App
function App:host(names, other) end

--- Has the functions of an app that take a path.
---@class neap.Group: neap.Routes
