#!lua flags=allow-oom
-- Change an API key, unless somebody else changed it meanwhile.
-- KEYS[1] <namespace>:{jobs}:apikeys, a hash: id → JSON ApiKey
-- ARGV[1] the key's id, ARGV[2] what was read of it ("" for a new one), ARGV[3] what is to stand there ("" for nothing)
-- Returns 1, or 0 where something else stands there now.

if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[1] .. ':used', ARGV[1])
end
return 1
