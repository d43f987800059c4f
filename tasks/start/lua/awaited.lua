#!lua flags=allow-oom
-- Who has not yet written again what a Redis lost that came back as another run.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV[1] run id, ARGV[2] process, ARGV[3] "1" where the process is through, ARGV[4] ms for which this is remembered
-- processes zset: who sends; awaited:<run id> set: those of them, as they were when the run was first seen
-- Returns how many are awaited still.

local prefix = string.sub(KEYS[1], 1, -4)
local awaited = prefix .. 'awaited:' .. ARGV[1]
if redis.call('EXISTS', awaited) == 0 then
  redis.call('SADD', awaited, '', unpack(redis.call('ZRANGE', prefix .. 'processes', 0, 999)))
end
redis.call(ARGV[3] == '1' and 'SREM' or 'SADD', awaited, ARGV[2])
redis.call('PEXPIRE', awaited, ARGV[4])
return redis.call('SCARD', awaited) - 1
