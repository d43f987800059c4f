#!lua flags=allow-oom
-- include rows.lua
-- Let an account submit again, or stop it, because a person said so.
-- KEYS[1] the account's state hash
-- ARGV[1] active | paused, ARGV[2] who says so, ARGV[3] why ("" for no reason)
-- Returns 1 where an alert of a blocked account was resolved by it.

local now = math.floor(clock_ms())
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'since_ms', now)
if ARGV[1] == 'paused' then
  redis.call('HSET', KEYS[1], 'why', 'by a person', 'by', ARGV[2], 'reason', ARGV[3])
  return 0
end
redis.call('HDEL', KEYS[1], 'by', 'reason')
-- A person knows better than probes and breaker do.
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if field == 'why' or string.find(field, '^prob') or string.find(field, '^barred:') then
    redis.call('HDEL', KEYS[1], field)
  end
end
redis.call('HDEL', key('clock'), 'failed', 'broken', 'broken_ms', 'trial', 'cool')
local resolved = false
for _, code in ipairs({ 'account_blocked', 'ip_forbidden', 'outage', 'ledger_lost' }) do
  resolved = set_alert(code, 'resumed by a person', false, now) or resolved
end
return resolved and 1 or 0
