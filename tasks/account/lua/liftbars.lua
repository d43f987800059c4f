#!lua flags=allow-oom
-- include rows.lua
-- The vendor took a call from a host: what stood against that is over.
-- KEYS[1] the account's state hash
-- ARGV[1] the host, ARGV[2..] where they are known the hosts that send: others are gone, and nobody will let them in
-- Returns whether an alert was resolved (1 or 0), and whether another host is barred still.

local now = clock_ms()
local resolved = set_alert('unreadable_answer', '', false, now)
local host = ':' .. ARGV[1]
if redis.call('HDEL', KEYS[1], 'probes' .. host) == 1 then
  redis.call('HDEL', KEYS[1], 'barred' .. host, 'probe_ms' .. host)
end
local sending, left = {}, false
for i = 2, #ARGV do sending[ARGV[i]] = true end
if redis.call('HEXISTS', key('alerts'), 'ip_forbidden') == 1 then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local other = string.match(field, '^probes:(.*)$')
    if other and #ARGV > 1 and not sending[other] then
      redis.call('HDEL', KEYS[1], field, 'barred:' .. other, 'probe_ms:' .. other)
    elseif other then
      left = true
    end
  end
  if not left then resolved = set_alert('ip_forbidden', 'the vendor lets all hosts in again', false, now) or resolved end
end
return { resolved and 1 or 0, left and 1 or 0 }
