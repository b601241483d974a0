--- What is known of methods (RFC 9110 §9.2) and statuses (§15).
local semantics = {}

--- Methods that change nothing.
semantics.SAFE = { GET = true, HEAD = true, OPTIONS = true, TRACE = true }

--- Those that done twice are as done once.
semantics.IDEMPOTENT = { GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true, DELETE = true }

--- Statuses without content.
semantics.NO_CONTENT = { [204] = true, [205] = true, [304] = true }

return semantics
