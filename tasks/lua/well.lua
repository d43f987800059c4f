#!lua flags=allow-oom
-- include rows.lua
-- The vendor took a call from a host: what stood against that is over.
-- KEYS[1] the account's state hash
-- ARGV[1] the host
-- Returns 1 where an alert was resolved.

local now = clock_ms()
local resolved = set_alert('unreadable_answer', '', false, now)
local host = ':' .. ARGV[1]
if redis.call('HDEL', KEYS[1], 'probes' .. host) == 1 then
  redis.call('HDEL', KEYS[1], 'barred' .. host, 'probe_ms' .. host)
end
if redis.call('HEXISTS', key('alerts'), 'ip_forbidden') == 1 then
  local left = false
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do left = left or string.sub(field, 1, 7) == 'probes:' end
  if not left then resolved = set_alert('ip_forbidden', 'the vendor lets all hosts in again', false, now) or resolved end
end
return resolved and 1 or 0
