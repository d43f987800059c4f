-- include rows.lua
-- include throttle.lua
-- The throttle under a clock of the test's own. KEYS[1] the account's state hash
-- ARGV[1] ms, ARGV[2] what is done, ARGV[3] msgpack limits, ARGV[4..] see below

local now, limits = tonumber(ARGV[1]), cmsgpack.unpack(ARGV[3])
local no, recipients = ARGV[4], tonumber(ARGV[5])

-- ask: call, recipients, lane. Returns the ms to wait, "0" where it was granted.
if ARGV[2] == 'ask' then
  local wait = 0
  for _, limit in ipairs(limits) do
    wait = math.max(wait, wait_for(limit, cost_of(limit, recipients), now, ARGV[6]))
  end
  if wait > 0 then return string.format('%.3f', wait) end
  for _, limit in ipairs(limits) do take(limit, cost_of(limit, recipients), now) end
  redis.call('ZADD', key('unwritten'), string.format('%.3f', now), no)
  redis.call('HSET', key('call:' .. no), 'recipients', recipients)
  return '0'
end

-- late: call, recipients, ms of the grant, ms of the write. giveup: call, recipients, ms of the grant. on_time: call.
for _, limit in ipairs(limits) do
  if ARGV[2] == 'late' then
    count_from(limit, cost_of(limit, recipients), tonumber(ARGV[6]), tonumber(ARGV[7]), now)
  elseif ARGV[2] == 'giveup' then
    refund(limit, cost_of(limit, recipients), tonumber(ARGV[6]))
  end
end
redis.call('ZREM', key('unwritten'), no)
return '0'
