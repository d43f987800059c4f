-- include rows.lua
-- Let an account submit again, or stop it, because a person said so.
-- KEYS[1] the account's state hash
-- ARGV[1] active | paused
-- Returns 1 where an alert of a blocked account was resolved by it.

local now = math.floor(clock_ms())
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'since_ms', now)
if ARGV[1] == 'paused' then
  redis.call('HSET', KEYS[1], 'why', 'by a person')
  return 0
end
redis.call('HDEL', KEYS[1], 'why')
return set_alert('account_blocked', 'resumed by a person', false, now) and 1 or 0
