--- How much work a function is, without a clock: the instructions that the virtual machine runs. The functions of
-- `string` that match patterns are done in Lua meanwhile, so that what they go back over counts too.
local work = {}

local plain = { find = string.find, match = string.match, gmatch = string.gmatch, gsub = string.gsub }
local byte, char, sub = string.byte, string.char, string.sub

-- Whether a byte is of a single-letter class, %a and so on, or is that letter: asked of Lua itself.
local function is_of_class(code, letter)
  return plain.find(char(code), "%" .. letter) ~= nil
end

-- Where the single item of a pattern that begins at p ends.
local function item_end(pattern, p)
  local c = sub(pattern, p, p)
  if c == "%" then return p + 2 end
  if c ~= "[" then return p + 1 end
  p = p + 1
  if sub(pattern, p, p) == "^" then p = p + 1 end
  repeat
    p = p + (sub(pattern, p, p) == "%" and 2 or 1)
  until sub(pattern, p, p) == "]"
  return p + 1
end

local function is_in_set(code, pattern, p, last)
  local is_negated = sub(pattern, p + 1, p + 1) == "^"
  p = p + (is_negated and 2 or 1)
  while p < last do
    local c = sub(pattern, p, p)
    if c == "%" then
      if is_of_class(code, sub(pattern, p + 1, p + 1)) then return not is_negated end
      p = p + 2
    elseif sub(pattern, p + 1, p + 1) == "-" and p + 2 < last then
      if byte(pattern, p) <= code and code <= byte(pattern, p + 2) then return not is_negated end
      p = p + 3
    else
      if byte(c) == code then return not is_negated end
      p = p + 1
    end
  end
  return is_negated
end

local function is_item(text, s, pattern, p, stop)
  local code = byte(text, s)
  if not code then return false end
  local c = sub(pattern, p, p)
  if c == "." then return true end
  if c == "%" then return is_of_class(code, sub(pattern, p + 1, p + 1)) end
  if c == "[" then return is_in_set(code, pattern, p, stop - 1) end
  return byte(c) == code
end

local match_here

local function match_balanced(text, s, pattern, p)
  local open, close = sub(pattern, p + 2, p + 2), sub(pattern, p + 3, p + 3)
  if sub(text, s, s) ~= open then return nil end
  local depth = 1
  for i = s + 1, #text do
    local c = sub(text, i, i)
    if c == close then
      depth = depth - 1
      if depth == 0 then return i + 1 end
    elseif c == open then
      depth = depth + 1
    end
  end
end

-- Where the match ends that begins at s, with the rest of the pattern from p on; nil for none.
function match_here(text, s, pattern, p, captures)
  if p > #pattern then return s end
  local c = sub(pattern, p, p)
  if c == "$" and p == #pattern then return s > #text and s or nil end
  if c == "(" then
    captures[#captures + 1] = { s }
    local stop = match_here(text, s, pattern, p + 1, captures)
    if not stop then captures[#captures] = nil end
    return stop
  elseif c == ")" then
    local i = #captures
    while captures[i][2] do i = i - 1 end
    captures[i][2] = s - 1
    local stop = match_here(text, s, pattern, p + 1, captures)
    if not stop then captures[i][2] = nil end
    return stop
  elseif sub(pattern, p, p + 1) == "%b" then
    s = match_balanced(text, s, pattern, p)
    return s and match_here(text, s, pattern, p + 4, captures)
  end
  local stop = item_end(pattern, p)
  local how = sub(pattern, stop, stop)
  if how == "*" or how == "+" then
    local count = 0
    while is_item(text, s + count, pattern, p, stop) do count = count + 1 end
    for i = count, how == "+" and 1 or 0, -1 do
      local last = match_here(text, s + i, pattern, stop + 1, captures)
      if last then return last end
    end
    return nil
  elseif how == "-" then
    while true do
      local last = match_here(text, s, pattern, stop + 1, captures)
      if last then return last end
      if not is_item(text, s, pattern, p, stop) then return nil end
      s = s + 1
    end
  elseif how == "?" then
    local last = is_item(text, s, pattern, p, stop) and match_here(text, s + 1, pattern, stop + 1, captures)
    return last or match_here(text, s, pattern, stop + 1, captures)
  end
  return is_item(text, s, pattern, p, stop) and match_here(text, s + 1, pattern, stop, captures) or nil
end

-- First, last and captures of the first match from `init` on.
local function search(text, pattern, init)
  local is_anchored = sub(pattern, 1, 1) == "^"
  for s = init, is_anchored and init or #text + 1 do
    local captures = {}
    local stop = match_here(text, s, pattern, is_anchored and 2 or 1, captures)
    if stop then
      for i, one in ipairs(captures) do captures[i] = sub(text, one[1], one[2]) end
      return s, stop - 1, captures
    end
  end
end

local spread = table.unpack or unpack
local counted = {}

local function from(text, init)
  init = init or 1
  return init < 0 and math.max(1, #text + init + 1) or init
end

function counted.find(text, pattern, init, is_plain)
  if is_plain then return plain.find(text, pattern, init, true) end
  local first, last, captures = search(text, pattern, from(text, init))
  if first then return first, last, spread(captures) end
end

function counted.match(text, pattern, init)
  local first, last, captures = search(text, pattern, from(text, init))
  if not first then return nil end
  if #captures == 0 then return sub(text, first, last) end
  return spread(captures)
end

function counted.gmatch(text, pattern)
  local at = 1
  return function()
    if at > #text + 1 then return nil end
    local first, last, captures = search(text, pattern, at)
    if not first then return nil end
    at = last >= first and last + 1 or first + 1
    if #captures == 0 then return sub(text, first, last) end
    return spread(captures)
  end
end

function counted.gsub(text, pattern, with)
  local parts, at, count = {}, 1, 0
  while at <= #text + 1 do
    local first, last, captures = search(text, pattern, at)
    if not first then break end
    count = count + 1
    local found = sub(text, first, last)
    local new = with
    if type(with) == "function" then new = with(captures[1] or found) end
    parts[#parts + 1] = sub(text, at, first - 1) .. tostring(new or found)
    at = last + 1
    if last < first then
      parts[#parts + 1] = sub(text, at, at)
      at = at + 1
    end
    if sub(pattern, 1, 1) == "^" then break end
  end
  parts[#parts + 1] = sub(text, at)
  return table.concat(parts), count
end

local STEP = 100 -- instructions between two looks

--- The instructions that fn(...) runs, to the next hundred, and its first result.
function work.count(fn, ...)
  local jit = rawget(_G, "jit")
  local steps = 0
  for name, one in pairs(counted) do rawset(string, name, one) end
  if jit then jit.off() end
  debug.sethook(function() steps = steps + 1 end, "", STEP)
  local ok, result = pcall(fn, ...)
  debug.sethook()
  if jit then jit.on() end
  for name, one in pairs(plain) do rawset(string, name, one) end
  if not ok then error(result, 0) end
  return steps * STEP, result
end

--- Whether fn is at most linear: an input that is twice as long, as make(size) makes it, is at most 2.5 times the
-- work. With the two counts.
function work.is_linear(make, fn)
  local small, large = make(1000), make(2000)
  local first, second = work.count(fn, small), work.count(fn, large)
  return second <= 2.5 * math.max(first, 2 * STEP), first, second
end

return work
