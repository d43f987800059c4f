#!lua flags=allow-oom
-- include rows.lua
-- include process/sweeps.lua
-- Note which run of the server this account's rows lie in. Where it is another one than before, what the server knew last
-- may be lost: nothing goes out until the processes that live have written it again (restore.lua), or the time is up.
-- KEYS[1] the account's state hash
-- ARGV[1] run id, ARGV[2] ms of the quarantine at the longest, ARGV[3] call numbers that are left out,
-- ARGV[4] the last call number that the caller was ever given, ARGV[5] the account's tag
-- clock hash: run_id; restarted (ms at which a new one was first seen); quarantine (ms until which no call is granted)
-- Returns 1 where the run is new here, else 0.

local now = clock_ms()
local known = redis.call('HGET', key('clock'), 'run_id')
local counted = tonumber(redis.call('GET', key('calls')) or '0')
redis.call('HSETNX', key('state'), 'tag', ARGV[5])
local new = known ~= ARGV[1]
if new then
  redis.call('HSET', key('clock'), 'run_id', ARGV[1])
  if known or counted > 0 then
    redis.call('HSET', key('clock'), 'restarted', string.format('%.3f', now), 'quarantine',
      string.format('%.3f', now + tonumber(ARGV[2])))
    count_found('restarts', 1, now)
    -- Numbers that were given out in what is lost, and to processes that died with it, are never given out again.
    counted = counted + tonumber(ARGV[3])
  end
end
redis.call('SET', key('calls'), string.format('%d', math.max(counted, tonumber(ARGV[4]))))
return new and 1 or 0
