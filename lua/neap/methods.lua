--- What is known of methods (RFC 9110 §9.2).
local methods = {}

--- They change nothing.
methods.SAFE = { GET = true, HEAD = true, OPTIONS = true, TRACE = true }

--- Twice is as once.
methods.IDEMPOTENT = { GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true, DELETE = true }

return methods
