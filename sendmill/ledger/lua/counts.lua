#!lua flags=no-writes
-- include layout.lua
-- include pages.lua
-- Add up what stands in the headers of slices of one account.
-- KEYS[1] the account's state hash
-- ARGV slice ids
-- Returns {sums, gone}: sums {rows, rows in each state as layout.lua orders them, submitted rows that no report can follow},
-- empty where a newer version wrote one of the slices; gone: the places in ARGV, from 0, of slices that are not there.

local STATES, SUBMITTED = #ORDER, string.find(ORDER, 's', 1, true)
local COUNTERS = '<' .. string.rep('I4', STATES + 1)

local rows, sums, gone = 0, {}, {}
for n = 1, STATES + 1 do sums[n] = 0 end

-- Add a slice of a page: its only row. Returns whether this version knows its format.
local function add_folded(raw)
  if string.sub(raw, 1, 1) ~= 'P' then return false end
  local state = string.find(ORDER, string.sub(raw, 4, 4), 1, true)
  if state then sums[state] = sums[state] + 1 end
  if state == SUBMITTED and string.byte(raw, 5) >= 2 then sums[STATES + 1] = sums[STATES + 1] + 1 end
  rows = rows + 1
  return true
end

local function add(raw)
  if string.sub(raw, 1, 2) ~= FORMAT then return false end
  local counts = { struct.unpack(COUNTERS, raw, COUNTERS_AT) }
  counts[STATES + 1] = math.min(counts[STATES + 1], counts[SUBMITTED])
  for n = 1, STATES + 1 do sums[n] = sums[n] + counts[n] end
  rows = rows + struct.unpack('<I4', raw, 5)
  return true
end

for place, id in ipairs(ARGV) do
  local paged = page_of(id) ~= nil
  local raw = read_slice(id, HEADER_BYTES - 1)
  if #raw < (paged and FOLDED_BYTES or HEADER_BYTES) then
    gone[#gone + 1] = place - 1
  elseif not (paged and add_folded or add)(raw) then
    return { {}, {} }
  end
end
table.insert(sums, 1, rows)
return { sums, gone }
