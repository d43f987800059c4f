-- Let numbers opt out, or in again. Running it twice changes nothing more.
-- KEYS[1] <namespace>:{jobs}:optouts, a hash: digest → msgpack StoredOptOut
-- ARGV[1] msgpack [[digest, value], …]; an empty value lets the number opt in again
-- KEYS[1]:log zset digest → version of its last change; KEYS[1]:version string, the last version given out
-- Returns how many changed. An opt-out that is known stays as it is.

local hash = KEYS[1]
local changed = 0
for _, each in ipairs(cmsgpack.unpack(ARGV[1])) do
  local done
  if each[2] == '' then
    done = redis.call('HDEL', hash, each[1])
  else
    done = redis.call('HSETNX', hash, each[1], each[2])
  end
  if done == 1 then
    changed = changed + 1
    redis.call('ZADD', hash .. ':log', redis.call('INCR', hash .. ':version'), each[1])
  end
end
return changed
