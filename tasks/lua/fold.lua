#!lua flags=allow-oom
-- include rows.lua
-- Fold reports into rows. Finals never change, except `expired` and `unknown`, which yield to the truth (and `unknown`
-- to `expired`, never the other way); so the order and the number of reports make no difference to where a row ends, as
-- long as the vendor does not contradict itself: of two different truths the first one stays.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack [[slice, offset, call (0: whichever), state, code, detail, vmid, ms it occurred, matched_by]]
-- Returns, for each, 1 where the row changed, 0 where it already was there, -1 where the report is of an older call,
-- -2 where the row is gone, -3 where only a newer version may fold it.

local now = clock_ms()
local YIELDS = { g = true, u = true, s = true, q = true, e = true, k = true }
local results, tallies = {}, {}

for n, report in ipairs(cmsgpack.unpack(ARGV[1])) do
  local id, offset, call, new = report[1], report[2], report[3], report[4]
  local s = slice_of(id)
  if foreign[id] then
    results[n] = -3
  elseif not s or offset >= s.n then
    results[n] = -2
  else
    local old = states_of(s, offset, offset)
    local named = struct.unpack('<I4', calls_of(s, offset, offset))
    if call ~= 0 and named ~= call then
      results[n] = -1
    elseif YIELDS[old] and old ~= new and (FINAL[new] or old == 'g' or old == 'u')
      and not (old == 'e' and new == 'k') then
      local word = { code = report[5], detail = report[6], vmid = report[7], at = report[8] }
      move(s, offset, offset, old, new, now, word)
      if new ~= 'd' or report[9] ~= '' or word.code ~= '' then
        redis.call('HSET', key('d:' .. id), offset, cmsgpack.pack({
          code = word.code, detail = word.detail, vmid = word.vmid, at = word.at, matched_by = report[9],
        }))
      end
      results[n] = 1
      tallies['report:' .. new] = (tallies['report:' .. new] or 0) + 1
      if new ~= 'd' and word.code ~= '' then
        local reason = coded(tallies, 'reason:' .. new .. ':', word.code)
        tallies[reason] = (tallies[reason] or 0) + 1
      end
    else
      results[n] = 0
    end
  end
end
count(tallies)
flush()
return results
