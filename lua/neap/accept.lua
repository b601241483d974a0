--- What a client takes: Accept, Accept-Encoding and Accept-Language against what there is (RFC 9110 §12.5).
local accept = { request = {} }

local MOST = 64 -- ranges of a field that are looked at: a browser sends a dozen

-- The value of a field that may be in several lines; nil without one.
local function value_of(headers, name)
  local lines = headers:get_all(name)
  return lines[1] and table.concat(lines, ",") or nil
end

-- The ranges of a field, in order: { name =, q =, has_parameters = }; a weight that is none takes its range out.
local function ranges_of(value)
  local list = {}
  for text in value:gmatch("[^,]+") do
    if #list == MOST then break end
    local name, rest = text:match("^%s*([^%s;]+)([^,]*)$")
    local weight = rest and rest:match(";%s*[qQ]=([%d.]*)")
    local q = weight and tonumber(weight) or not weight and 1
    if name and q and q >= 0 and q <= 1 then
      list[#list + 1] = { name = name:lower(), q = q, has_parameters = rest:find(";%s*[^qQ;%s]") ~= nil }
    end
  end
  return list
end

-- The best of what is offered; fit(range, offer) is how well a range fits, nil: not at all. An offer has the weight of
-- the range that fits it best. Of equal ones that is better which fits better, and then what the client names first;
-- nil when none is taken.
local function choose(ranges, offers, fit)
  local best, best_q, best_fit, best_place
  for _, offer in ipairs(offers) do
    local found, found_fit, place = nil, 0, nil
    for i, range in ipairs(ranges) do
      local how = fit(range, offer:lower())
      if how and how > found_fit then found, found_fit, place = range, how, i end
    end
    local q = found and found.q or 0
    if q > 0 and (not best or q > best_q or q == best_q
      and (found_fit > best_fit or found_fit == best_fit and place < best_place)) then
      best, best_q, best_fit, best_place = offer, q, found_fit, place
    end
  end
  return best
end

local function fit_type(range, offer)
  if range.has_parameters then return nil end
  if range.name == offer then return 3 end
  if range.name == "*/*" then return 1 end
  local group = range.name:match("^([^/]+)/%*$")
  return group and offer:sub(1, #group + 1) == group .. "/" and 2 or nil
end

local function fit_language(range, offer)
  local name = range.name
  if name == offer then return 4 end
  if offer:sub(1, #name + 1) == name .. "-" then return 3 end -- "en" is content with en-GB,
  if name:sub(1, #offer + 1) == offer .. "-" then return 2 end -- and "en-GB" rather with en than with nothing
  return name == "*" and 1 or nil
end

--- Which of these media types a client takes best; the first where it says nothing, nil: none. `value` is its Accept.
function accept.type(value, offers)
  return value and choose(ranges_of(value), offers, fit_type) or not value and offers[1] or nil
end

--- The same of languages, by Accept-Language.
function accept.language(value, offers)
  return value and choose(ranges_of(value), offers, fit_language) or not value and offers[1] or nil
end

--- Which of these content codings, best first, a client takes: of those with the same weight the first. "identity",
-- that is none, where it takes no other or likes it better; nil when it does not take that either.
function accept.encoding(value, offers)
  local weights = {}
  for _, range in ipairs(ranges_of(value or "")) do
    local name = range.name == "x-gzip" and "gzip" or range.name
    weights[name] = weights[name] or range.q
  end
  local best, best_q = nil, 0
  for _, offer in ipairs(offers) do
    local q = weights[offer] or weights["*"] or 0
    if offer ~= "identity" and q > best_q then best, best_q = offer, q end
  end
  local identity = weights.identity or weights["*"] == 0 and 0 or nil
  if best and (identity or 0) <= best_q then return best end
  return identity ~= 0 and "identity" or nil
end

--- Adds a name to the field `vary` of a response, unless it is there.
function accept.vary(res, name)
  local vary = res:header("vary")
  if not vary then
    res:header("vary", name)
  elseif vary ~= "*" and not ("," .. vary:lower():gsub("%s", "") .. ","):find("," .. name .. ",", 1, true) then
    res:header("vary", vary .. ", " .. name)
  end
end

--- Which of these media types the client takes best: `req:accepts("text/html", "application/json")`; the first where it
-- says nothing; nil when it takes none, which is a 406.
function accept.request:accepts(...)
  return accept.type(value_of(self.headers, "accept"), { ... })
end

--- Which of these languages, such as "en" or "pt-BR", it takes best.
function accept.request:accepts_language(...)
  return accept.language(value_of(self.headers, "accept-language"), { ... })
end

--- Which of these content codings, best first, it takes; "identity" for none; nil when it does not take that either.
function accept.request:accepts_encoding(...)
  return accept.encoding(value_of(self.headers, "accept-encoding"), { ... })
end

return accept
