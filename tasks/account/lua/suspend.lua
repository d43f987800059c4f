#!lua flags=allow-oom
-- include rows.lua
-- The vendor refused the account itself: it is suspended, or where the vendor refuses a host's address, that host first
-- and the account when all hosts that send are refused. A person's pause stays what it is.
-- KEYS[1] the account's state hash
-- ARGV[1] reason (an error's name), ARGV[2] detail, ARGV[3] ms until the first probe, ARGV[4] the longest ms between two,
-- ARGV[5] the host that is refused ("" where it is the account), ARGV[6..] hosts that send
-- state hash: why; probes (how often it was, or will be, asked in vain whether it may go on), probe_ms (when next),
-- probe_tried (it went on once since the vendor last took a call); barred:<host> (ms since when), and probes:<host> and
-- probe_ms:<host> the same for a host
-- Returns 1 where an alert was opened.

local now = clock_ms()
local state, host = KEYS[1], ARGV[5]
local function next_probe(suffix)
  local probes = redis.call('HINCRBY', state, 'probes' .. suffix, 1)
  local wait = math.min(tonumber(ARGV[4]), tonumber(ARGV[3]) * 2 ^ (probes - 1))
  redis.call('HSET', state, 'probe_ms' .. suffix, math.floor(now + wait))
end

local opened, all_refused = false, true
if host ~= '' then
  if redis.call('HSETNX', state, 'barred:' .. host, math.floor(now)) == 1 then next_probe(':' .. host) end
  opened = set_alert('ip_forbidden', 'host ' .. host .. ': ' .. ARGV[2], true, now)
  for i = 6, #ARGV do
    if redis.call('HEXISTS', state, 'barred:' .. ARGV[i]) == 0 then all_refused = false end
  end
end
if all_refused then
  local old = redis.call('HGET', state, 'state')
  if not old or old == 'active' then
    redis.call('HSET', state, 'state', 'suspended', 'why', ARGV[1], 'since_ms', math.floor(now))
    -- A breaker that was open for it is not what keeps it now.
    redis.call('HDEL', key('clock'), 'failed', 'broken', 'broken_ms', 'trial')
    if host == '' then next_probe('') end
  end
  opened = set_alert('account_blocked', ARGV[2], true, now) or opened
end
return opened and 1 or 0
