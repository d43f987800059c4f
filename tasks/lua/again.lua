-- include rows.lua
-- include throttle.lua
-- Count calls once more, as granted now: they left later than the reserve of the sliding log allows for, so the units
-- of their grant would be free before the vendor's window over their arrival has passed. Only windows of seconds mind.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack [{name, unit, window_ms, most}], ARGV[2..] recipients of each call
-- Returns the number of calls counted.

local now = clock_ms()
for _, limit in ipairs(cmsgpack.unpack(ARGV[1])) do
  if limit.window_ms <= LONGEST_PACED_WINDOW_MS then
    for i = 2, #ARGV do
      take(limit, cost_of(limit, tonumber(ARGV[i])), now)
    end
  end
end
return #ARGV - 1
