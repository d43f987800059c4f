#!lua flags=allow-oom
-- Let numbers opt out, or in again. Running it twice changes nothing more.
-- KEYS[1] <namespace>:{jobs}:optouts, a hash: digest → msgpack StoredOptOut
-- ARGV digest, value, digest, value, …; an empty value lets the number opt in again
-- KEYS[1]:log zset digest → version of its last change; KEYS[1]:version string, the last version given out
-- Returns how many changed. An opt-out that is known stays as it is.

local hash = KEYS[1]
local changed = 0
for i = 1, #ARGV, 2 do
  local digest, value = ARGV[i], ARGV[i + 1]
  local done
  if value == '' then
    done = redis.call('HDEL', hash, digest)
  else
    done = redis.call('HSETNX', hash, digest, value)
  end
  if done == 1 then
    changed = changed + 1
    redis.call('ZADD', hash .. ':log', redis.call('INCR', hash .. ':version'), digest)
  end
end
return changed
