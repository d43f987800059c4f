#!lua flags=allow-oom
-- include rows.lua
-- include throttle.lua
-- Calls were written. Those that were so later than the reserve of the sliding log allows for count from then, not
-- from their grant: else their units would be free again before the vendor's window over their arrival has passed.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack [{name, unit, window_ms, most, services}], ARGV[2] msgpack [call] of those on time,
-- ARGV[3] msgpack [[call, ms of its grant, ms when it was written, recipients, service]] of the late ones
-- Returns the number of calls that nobody had told of before.

local now = clock_ms()
local _, limits = standing(cmsgpack.unpack(ARGV[1]), 0)
local told = 0

for _, call in ipairs(cmsgpack.unpack(ARGV[3])) do
  local no, granted_ms, written_ms, recipients, service = unpack(call)
  for _, limit in ipairs(limits) do
    if holds_for(limit, service) then
      count_from(limit, cost_of(limit, recipients), granted_ms, math.min(written_ms, now), now)
    end
  end
  told = told + redis.call('ZREM', key('unwritten'), no)
end
for _, no in ipairs(cmsgpack.unpack(ARGV[2])) do
  told = told + redis.call('ZREM', key('unwritten'), no)
end
return told
