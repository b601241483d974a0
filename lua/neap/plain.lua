--- What others wrote, as text for a terminal or a log: no byte of it steers a terminal, and no line begins at the left.
-- What is no printable character of UTF-8 is shown by its bytes, as \x1b.
local plain = {}

-- What turns the direction of a line around, and other ends of lines.
local function steers(code)
  return code < 0xa0 or code >= 0x2028 and code <= 0x202e or code >= 0x2066 and code <= 0x2069
end

-- How many bytes the character at the front of `run` has; 0: they are none, or one that is not for terminals.
local function printable_size(run)
  local a, b, c, d = run:byte(1, 4)
  if a >= 0xc2 and a <= 0xdf and b then return steers((a - 0xc0) * 64 + b - 0x80) and 0 or 2 end
  if a >= 0xe0 and a <= 0xef and c then
    local code = (a - 0xe0) * 4096 + (b - 0x80) * 64 + c - 0x80
    return (code < 0x800 or code >= 0xd800 and code <= 0xdfff or steers(code)) and 0 or 3
  end
  if a >= 0xf0 and a <= 0xf4 and d then
    local code = (a - 0xf0) * 262144 + (b - 0x80) * 4096 + (c - 0x80) * 64 + d - 0x80
    return (code < 0x10000 or code > 0x10ffff) and 0 or 4
  end
  return 0
end

-- A byte that is no printable one of ASCII, and those behind it that only go on with a character.
local function escaped(run)
  local size = printable_size(run)
  return run:sub(1, size) .. run:sub(size + 1):gsub(".", function(c) return ("\\x%02x"):format(c:byte()) end)
end

--- In one line.
function plain.line(text)
  if not text:find("[%c\128-\255]") then return text end
  return (text:gsub("[%c\128-\255][\128-\191]*", escaped))
end

--- The same with its lines, all but the first of which are indented.
function plain.lines(text)
  if not text:find("[%c\128-\255]") then return text end
  return (text:gsub("[^\n\t]+", plain.line):gsub("\t", "    "):gsub("\n", "\n  "))
end

-- Sequences of more than one byte, RFC 3629 §4.
local TAIL = "[\128-\191]"
local SEQUENCES = { "[\194-\223]" .. TAIL, "\224[\160-\191]" .. TAIL, "[\225-\236\238\239]" .. TAIL .. TAIL,
  "\237[\128-\159]" .. TAIL, "\240[\144-\191]" .. TAIL .. TAIL, "[\241-\243]" .. TAIL .. TAIL .. TAIL,
  "\244[\128-\143]" .. TAIL .. TAIL }

--- Whether bytes are UTF-8.
function plain.is_utf8(text)
  for _, sequence in ipairs(SEQUENCES) do
    if not text:find("[\128-\255]") then return true end
    text = text:gsub(sequence, "?")
  end
  return not text:find("[\128-\255]")
end

return plain
