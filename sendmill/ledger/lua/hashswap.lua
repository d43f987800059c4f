#!lua flags=allow-oom
-- Change a hash's field where nobody else has meanwhile.
-- KEYS[1] the hash
-- ARGV[1] field, ARGV[2] the value that was read, "" for none, ARGV[3] the new one, "" to remove it
-- Returns 1 where it was changed.

if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
