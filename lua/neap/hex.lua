--- Bytes as hex digits.
local DIGITS = {}
for i = 0, 255 do DIGITS[string.char(i)] = ("%02x"):format(i) end

return function(bytes)
  return (bytes:gsub(".", DIGITS))
end
