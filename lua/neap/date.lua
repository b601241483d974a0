--- Times (seconds since 1970) as HTTP writes them (RFC 9110 §5.6.7); os.date's names would follow the locale.
local date = {}

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local MONTH_NUMBERS = {}
for number, name in ipairs(MONTHS) do MONTH_NUMBERS[name] = number end

--- The text of a time.
function date.format(time)
  local t = os.date("!*t", math.floor(time))
  return ("%s, %02d %s %04d %02d:%02d:%02d GMT"):format(DAYS[t.wday], t.day, MONTHS[t.month], t.year, t.hour, t.min,
    t.sec)
end

-- Days from 1970-01-01; a year begins in March here, so that the day that it may have more is its last.
local function days_of(year, month, day)
  if month < 3 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400) +
    math.floor((153 * month - 457) / 5) + day - 719469
end

-- A year of two digits is none that is more than 50 years ahead.
local function whole_year(year)
  if #year == 4 then return tonumber(year) end
  local now = os.date("!*t").year
  local whole = now - now % 100 + tonumber(year)
  return whole > now + 50 and whole - 100 or whole
end

--- The time that a text says in one of HTTP's three forms; nil when it is none.
function date.parse(text)
  local day, month, year, clock = text:match("^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) (%S+) GMT$")
  if not day then day, month, year, clock = text:match("^%a+day, (%d%d)%-(%a%a%a)%-(%d%d) (%S+) GMT$") end
  if not day then month, day, clock, year = text:match("^%a%a%a (%a%a%a) ([ %d]%d) (%S+) (%d%d%d%d)$") end
  local hours, minutes, seconds = (clock or ""):match("^(%d%d):(%d%d):(%d%d)$")
  month, day = MONTH_NUMBERS[month], tonumber(day)
  if not hours or not month or day < 1 or day > 31 then return nil end
  hours, minutes, seconds = tonumber(hours), tonumber(minutes), tonumber(seconds)
  if hours > 23 or minutes > 59 or seconds > 60 then return nil end
  return ((days_of(whole_year(year), month, day) * 24 + hours) * 60 + minutes) * 60 + seconds
end

return date
