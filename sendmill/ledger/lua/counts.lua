#!lua flags=no-writes
-- include layout.lua
-- Add up what stands in the headers of slices of one account.
-- KEYS[1] the account's state hash
-- ARGV slice ids
-- Returns {sums, gone}: sums {rows, rows in each state as layout.lua orders them, submitted rows that no report can follow},
-- empty where a newer version wrote one of the slices; gone: the places in ARGV, from 0, of slices that are not there.

local PREFIX = string.sub(KEYS[1], 1, -6) -- KEYS[1] ends in "state"
local STATES, SUBMITTED = #ORDER, string.find(ORDER, 's', 1, true)
local COUNTERS = '<' .. string.rep('I4', STATES + 1)

local rows, sums, gone = 0, {}, {}
for n = 1, STATES + 1 do sums[n] = 0 end
for place, id in ipairs(ARGV) do
  local raw = redis.call('GETRANGE', PREFIX .. 's:' .. id, 0, HEADER_BYTES - 1)
  if #raw < HEADER_BYTES then
    gone[#gone + 1] = place - 1
  else
    if string.sub(raw, 1, 2) ~= FORMAT then return { {}, {} } end
    local counts = { struct.unpack(COUNTERS, raw, COUNTERS_AT) }
    counts[STATES + 1] = math.min(counts[STATES + 1], counts[SUBMITTED])
    for n = 1, STATES + 1 do sums[n] = sums[n] + counts[n] end
    rows = rows + struct.unpack('<I4', raw, 5)
  end
end
table.insert(sums, 1, rows)
return { sums, gone }
