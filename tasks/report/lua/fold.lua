#!lua flags=allow-oom
-- include rows.lua
-- include histogram.lua
-- Fold reports into rows. Finals never change, except `expired` and `unknown`, which yield to the truth (and `unknown`
-- to `expired`, never the other way); so the order and the number of reports make no difference to where a row ends, as
-- long as the vendor does not contradict itself: of two different truths the first one stays.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack [[slice, offset, call (0: whichever), state, code, detail, vmid, ms it occurred, matched_by, carrier]]
-- Returns, for each, 1 where the row changed, 0 where it already was there, -1 where the report is of an older call,
-- -2 where the row is gone, -3 where only a newer version may fold it.

local now = clock_ms()
local YIELDS = { g = true, u = true, s = true, q = true, e = true, k = true }
-- `sendmill metrics` has the same bounds, in seconds.
local DELIVERY_MS = { 1000, 2000, 5000, 10000, 30000, 60000, 300000, 1800000, 7200000, 36000000, 108000000 }
local results, tallies, deliveries = {}, {}, {}
local ended, carriers = {}, {} -- by state: rows; rows by carrier

-- From the answer to a row's call until its report; a report that was faster took no time. Of rows whose answer was never
-- read nobody knows when they were handed over.
local function note_delivery(s, offset, old)
  if old ~= 's' and old ~= 'g' then return end
  local took_ms = old == 's' and now - s.created - number_of(s, 'passed', offset) or 0
  observe(deliveries, DELIVERY_MS, s.lane, took_ms, 1)
end

local reports = cmsgpack.unpack(ARGV[1])

-- Reports on rows of a large slice mostly lie close together: what is known of those rows is read once.
local MOST_HELD_FOR_EACH = 64 -- rows for a report
local met, spans = {}, {}
for _, report in ipairs(reports) do
  local id, offset = report[1], report[2]
  local span, before = spans[id], met[id]
  if span then
    span[1], span[2], span[3] = math.min(span[1], offset), math.max(span[2], offset), span[3] + 1
  elseif before then
    spans[id] = { math.min(before, offset), math.max(before, offset), 2 }
  else
    met[id] = offset
  end
end
for id, span in pairs(spans) do
  local s = slice_of(id)
  if s and span[2] < s.n and span[2] - span[1] < MOST_HELD_FOR_EACH * span[3] then hold(s, span[1], span[2]) end
end

for n, report in ipairs(reports) do
  local id, offset, call, new = report[1], report[2], report[3], report[4]
  local s = slice_of(id)
  if foreign[id] then
    results[n] = -3
  elseif not s or offset >= s.n then
    results[n] = -2
  else
    local old = states_of(s, offset, offset)
    local named = number_of(s, 'calls', offset)
    if call ~= 0 and named ~= call then
      results[n] = -1
    elseif YIELDS[old] and old ~= new and (FINAL[new] or old == 'g' or old == 'u')
      and not (old == 'e' and new == 'k') then
      local word = { code = report[5], detail = report[6], vmid = report[7], at = report[8] }
      note_delivery(s, offset, old)
      move(s, offset, offset, old, new, now, word)
      if new ~= 'd' or report[9] ~= '' or word.code ~= '' then
        redis.call('HSET', key('d:' .. id), offset, cmsgpack.pack({
          code = word.code, detail = word.detail, vmid = word.vmid, at = word.at, matched_by = report[9],
        }))
      end
      results[n] = 1
      ended[new] = (ended[new] or 0) + 1
      local by_carrier, carrier = carriers[new] or {}, report[10]
      carriers[new] = by_carrier
      by_carrier[carrier] = (by_carrier[carrier] or 0) + 1
      if new ~= 'd' and word.code ~= '' then
        local reason = coded(tallies, 'reason:' .. new .. ':', word.code)
        tallies[reason] = (tallies[reason] or 0) + 1
      end
    else
      results[n] = 0
    end
  end
end
for state, rows in pairs(ended) do
  tallies['report:' .. state] = rows
  for carrier, many in pairs(carriers[state]) do
    local field = carrier ~= '' and coded(tallies, 'carrier:' .. state .. ':', carrier)
    if field then tallies[field] = (tallies[field] or 0) + many end
  end
end
add_histogram(tallies, 'delivery', deliveries)
count(tallies)
flush()
return results
