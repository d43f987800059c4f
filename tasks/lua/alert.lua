-- include rows.lua
-- Open or resolve an alert of the account: consumers hear it once when it opens and once when it is over.
-- KEYS[1] the account's state hash
-- ARGV[1] code, ARGV[2] detail, ARGV[3] open | resolve, ARGV[4] state to set the account to ("" for none)
-- Returns 1 where something changed.

local now = clock_ms()
local code, detail = ARGV[1], ARGV[2]
if ARGV[4] ~= '' then
  redis.call('HSET', key('state'), 'state', ARGV[4], 'why', code, 'since_ms', math.floor(now))
end
if ARGV[3] == 'open' then
  local alert = cjson.encode({ detail = detail, opened_ms = math.floor(now) })
  if redis.call('HSETNX', key('alerts'), code, alert) == 0 then return 0 end
elseif redis.call('HDEL', key('alerts'), code) == 0 then
  return 0
end
redis.call('XADD', key('events'), 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', 'alert', 'code', code, 'detail', detail,
  'open', ARGV[3] == 'open' and '1' or '0', 'at', math.floor(now))
return 1
