#!lua flags=allow-oom
-- include rows.lua
-- include throttle.lua
-- Calls left later than the reserve of the sliding log allows for: their units count from now on instead of from their
-- grant. Else they would be free again before the vendor's window over the calls' arrival has passed.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack [{name, unit, window_ms, most}], ARGV[2..] ms of the grant, recipients, for each call
-- Returns the number of calls.

local now = clock_ms()
for _, limit in ipairs(cmsgpack.unpack(ARGV[1])) do
  for i = 2, #ARGV, 2 do
    count_from(limit, cost_of(limit, tonumber(ARGV[i + 1])), tonumber(ARGV[i]), now)
  end
end
return (#ARGV - 1) / 2
