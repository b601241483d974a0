--- Line plots as SVG, for what a simulation has measured: panels under one another over one axis of time.
local plot = {}

local WIDTH, HEIGHT = 960, 200  -- of the page, and of a panel
local LEFT, RIGHT, TOP, BETWEEN, BOTTOM = 76, 24, 72, 34, 46
local TICKS = 5                 -- about so many on an axis
local COLOURS = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000" } -- Okabe and Ito's
local SMALL = "font-family='sans-serif' font-size='12' fill='#444444'"

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["'"] = "&#39;", ['"'] = "&quot;" }

local function escaped(text)
  return (tostring(text):gsub("[&<>'\"]", ESCAPES))
end

-- A step of 1, 2 or 5 times a power of ten that cuts a range into about so many parts.
local function nice_step(range, parts)
  local rough = range / parts
  local power = 10 ^ math.floor(math.log(rough) / math.log(10))
  for _, factor in ipairs{ 1, 2, 5 } do
    if rough <= factor * power * 1.0001 then return factor * power end
  end
  return 10 * power
end

local function number(value)
  return ("%.10g"):format(math.abs(value) < 1e-12 and 0 or value)
end

-- The range of what is shown, from 0 in y, to a whole step.
local function ranges(page)
  local left, right = math.huge, -math.huge
  for _, panel in ipairs(page.panels) do
    panel.greatest = panel.greatest_y or 0
    for _, line in ipairs(panel.lines) do
      for _, point in ipairs(line.points) do
        left, right = math.min(left, point[1]), math.max(right, point[1])
        if not panel.greatest_y then panel.greatest = math.max(panel.greatest, point[2]) end
      end
    end
    if panel.greatest <= 0 then panel.greatest = 1 end
    panel.step = nice_step(panel.greatest, TICKS)
    panel.greatest = math.ceil(panel.greatest / panel.step - 1e-9) * panel.step
  end
  if left >= right then left, right = 0, 1 end
  return page.from or left, page.to or right
end

-- Points that no eye can tell apart are one: the first, the least, the greatest and the last of each column of pixels.
local function thinned(points, place)
  local out, column, kept = {}, nil, {}
  local function close()
    table.sort(kept, function(a, b) return a.order < b.order end)
    for i, one in ipairs(kept) do
      if i == 1 or one.order ~= kept[i - 1].order then out[#out + 1] = one.point end
    end
  end
  for order, point in ipairs(points) do
    local here = math.floor(place(point[1]))
    local one = { order = order, point = point }
    if here ~= column then
      if column then close() end
      column, kept = here, { one, one, one, one }
    else
      if point[2] < kept[2].point[2] then kept[2] = one end
      if point[2] > kept[3].point[2] then kept[3] = one end
      kept[4] = one
    end
  end
  if column then close() end
  return out
end

local function path_of(line, x, y)
  local parts, last_y = {}, nil
  for i, point in ipairs(thinned(line.points, x)) do
    local px, py = x(point[1]), y(point[2])
    if line.is_step and last_y then parts[#parts + 1] = ("L%.1f %.1f"):format(px, last_y) end
    parts[#parts + 1] = ("%s%.1f %.1f"):format(i == 1 and "M" or "L", px, py)
    last_y = py
  end
  return table.concat(parts)
end

local function draw_panel(out, page, panel, top, x, from, to)
  local height = panel.height or HEIGHT
  local width = page.width or WIDTH
  local function y(value) return top + height - math.min(value, panel.greatest) / panel.greatest * height end
  local function add(format, ...) out[#out + 1] = format:format(...) end
  for _, shade in ipairs(page.shades or {}) do
    add("<rect x='%.1f' y='%.1f' width='%.1f' height='%d' fill='#f2e6d9'/>", x(shade.from), top,
      x(shade.to) - x(shade.from), height)
  end
  for i = 0, math.floor(panel.greatest / panel.step + 0.5) do
    local value = i * panel.step
    add("<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' stroke='%s'/>", LEFT, width - RIGHT, y(value), y(value),
      i == 0 and "#444444" or "#e4e4e4")
    add("<text x='%d' y='%.1f' text-anchor='end' %s>%s</text>", LEFT - 8, y(value) + 4, SMALL, number(value))
  end
  local step = nice_step(to - from, 10)
  for i = math.ceil(from / step - 1e-9), math.floor(to / step + 1e-9) do
    add("<line x1='%.1f' x2='%.1f' y1='%d' y2='%d' stroke='#444444'/>", x(i * step), x(i * step), top + height,
      top + height + 4)
    add("<text x='%.1f' y='%d' text-anchor='middle' %s>%s</text>", x(i * step), top + height + 18, SMALL,
      number(i * step))
  end
  add("<text x='%d' y='%.1f' font-family='sans-serif' font-size='13' font-weight='bold' fill='#222222'>%s</text>", LEFT,
    top - 8, escaped(panel.y))
  for _, mark in ipairs(page.marks or {}) do
    add("<line x1='%.1f' x2='%.1f' y1='%d' y2='%d' stroke='#888888' stroke-dasharray='4 3'/>", x(mark.at), x(mark.at),
      top, top + height)
  end
  for i, line in ipairs(panel.lines) do
    add("<path d='%s' fill='none' stroke='%s' stroke-width='1.5'%s/>", path_of(line, x, y),
      line.colour or COLOURS[(i - 1) % #COLOURS + 1], line.is_dashed and " stroke-dasharray='6 4'" or "")
  end
  return top + height
end

-- The names of the lines, once for all panels: those of one name have one colour.
local function draw_legend(out, page)
  local at, seen, width = LEFT, {}, page.width or WIDTH
  for _, panel in ipairs(page.panels) do
    for i, line in ipairs(panel.lines) do
      if line.name and not seen[line.name] then
        seen[line.name] = true
        local size = 44 + 7 * #line.name
        if at + size > width then return end
        out[#out + 1] = ("<line x1='%d' x2='%d' y1='36' y2='36' stroke='%s' stroke-width='3'%s/>"):format(at, at + 22,
          line.colour or COLOURS[(i - 1) % #COLOURS + 1], line.is_dashed and " stroke-dasharray='6 4'" or "")
        out[#out + 1] = ("<text x='%d' y='40' %s>%s</text>"):format(at + 28, SMALL, escaped(line.name))
        at = at + size
      end
    end
  end
end

-- What the dashed lines are, above the first panel: one below the other where they would meet.
local function draw_marks(out, page, x)
  local ends = {}
  for _, mark in ipairs(page.marks or {}) do
    local row = 1
    while ends[row] and ends[row] > x(mark.at) do row = row + 1 end
    ends[row] = x(mark.at) + 8 + 6.5 * #mark.text
    out[#out + 1] = ("<text x='%.1f' y='%d' font-family='sans-serif' font-size='11' fill='#666666'>%s</text>"):format(
      x(mark.at) + 3, TOP + 12 * row, escaped(mark.text))
  end
end

--- A page: `title`; `x`, what the axis below is; `panels`, a list of { `y` = what it shows, `lines`, `height` in
-- pixels, `greatest_y` }; a line is { `name`, `points` = { { x, y } … } in the order of x, `is_step`, `is_dashed`,
-- `colour` }. `marks` = { { at =, text = } … } are dashed lines through all panels, `shades` = { { from =, to = } … }
-- what is shaded; `from`, `to`: what of x is shown; `width`. Returns the text of an SVG file.
function plot.svg(page)
  local from, to = ranges(page)
  local width = page.width or WIDTH
  local function x(value) return LEFT + (value - from) / (to - from) * (width - LEFT - RIGHT) end
  local out, top = {}, TOP
  for _, panel in ipairs(page.panels) do
    top = draw_panel(out, page, panel, top, x, from, to) + BETWEEN + 16
  end
  local height = top - BETWEEN - 16 + BOTTOM
  draw_legend(out, page)
  draw_marks(out, page, x)
  out[#out + 1] = ("<text x='%d' y='%d' text-anchor='middle' %s>%s</text>"):format(width / 2, height - 10, SMALL,
    escaped(page.x or "seconds"))
  table.insert(out, 1, ("<text x='%d' y='20' font-family='sans-serif' font-size='15' fill='#000000'>%s</text>"):format(
    LEFT, escaped(page.title or "")))
  table.insert(out, 1, ("<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' viewBox='0 0 %d %d'>\n"
    .. "<rect width='%d' height='%d' fill='#ffffff'/>"):format(width, height, width, height, width, height))
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

--- Writes it to a file: true; nil, message.
function plot.write(path, page)
  local file, message = io.open(path, "w")
  if not file then return nil, message end
  file:write(plot.svg(page))
  file:close()
  return true
end

return plot
