#!lua flags=allow-oom
-- include rows.lua
-- What a question about a suspended account, or one that refused a host, brought. One that goes on is tried with one
-- call first (begin.lua), because the question may have been answered without looking at what was refused.
-- KEYS[1] the account's state hash
-- ARGV[1] the reason that was asked about, ARGV[2] "1" where it may go on, ARGV[3] "1" where the answer proves that the
-- reason is gone, ARGV[4] ms until the first probe, ARGV[5] the longest ms between two, ARGV[6] host ("" for the account)
-- Returns 1 where the account, or the host, goes on.

local now = clock_ms()
local state, host = KEYS[1], ARGV[6]
local suffix = host ~= '' and ':' .. host or ''
local told = redis.call('HMGET', state, 'state', 'why', 'barred:' .. host)
local suspended = told[1] == 'suspended' and told[2] == ARGV[1]
if not suspended and (host == '' or not told[3]) then return 0 end
local probes = tonumber(redis.call('HGET', state, 'probes' .. suffix) or '1')
if ARGV[2] ~= '1' then
  redis.call('HSET', state, 'probes' .. suffix, probes + 1, 'probe_ms' .. suffix,
    math.floor(now + math.min(tonumber(ARGV[5]), tonumber(ARGV[4]) * 2 ^ probes)))
  return 0
end
if host ~= '' then redis.call('HDEL', state, 'barred:' .. host, 'probe_ms:' .. host) end
if suspended then
  redis.call('HSET', state, 'state', 'active', 'since_ms', math.floor(now))
  redis.call('HDEL', state, 'why', 'probe_ms')
  redis.call('HSET', key('clock'), 'broken', 1, 'broken_ms', math.floor(now))
  redis.call('HDEL', key('clock'), 'trial', 'failed')
  -- Where a try was refused before, only a call that the vendor takes ends the alert.
  if redis.call('HSETNX', state, 'probe_tried', 1) == 1 and ARGV[3] == '1' then
    set_alert('account_blocked', 'the vendor lets the account in again', false, now)
  end
end
return 1
