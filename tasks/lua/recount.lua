#!lua flags=allow-oom
-- include rows.lua
-- Count what waits in slices, once: those that came before this was counted as they came are not in the counters.
-- KEYS[1] the account's state hash
-- counters hash: waiting:counted, that it was done
-- Returns 1 where it was done now.

if redis.call('HSETNX', key('counters'), 'waiting:counted', 1) == 0 then return 0 end
local waiting, seen = { otp = 0, normal = 0, bulk = 0 }, {}
for _, name in ipairs({ 'out:otp', 'out:normal', 'out:bulk', 'wait', 'inflight' }) do
  for _, id in ipairs(redis.call('ZRANGE', key(name), 0, -1)) do
    local s = not seen[id] and slice_of(id)
    seen[id] = true
    if s then waiting[s.lane] = waiting[s.lane] + count_of(s, 'q') end
    loaded[id] = nil
  end
end
for lane, rows in pairs(waiting) do redis.call('HSET', key('counters'), 'waiting:' .. lane, rows) end
return 1
