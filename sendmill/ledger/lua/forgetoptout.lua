#!lua flags=allow-oom
-- Let the number go from an opt-out: its digest stays, and with it the opt-out.
-- KEYS[1] <namespace>:{jobs}:optouts, as in optouts.lua
-- ARGV[1] digest, ARGV[2] the value that the caller read, ARGV[3] the value without the number
-- Returns 1, or 0 where it has changed since it was read.

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[1] .. ':log', redis.call('INCR', KEYS[1] .. ':version'), ARGV[1])
return 1
